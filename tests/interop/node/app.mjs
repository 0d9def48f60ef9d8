// The app around either SDK: what it keeps, a listener for the way back, and the steps that it was told to take.
// Its one argument is JSON: {url, mode, document, steps}. It prints one line of JSON for each step, and one for each
// address that a browser has to open.
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';

const tell = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

/** A listener on a free port of 127.0.0.1; `answer` is what the latest sign-in brought back. */
async function listen() {
  const listener = { answer: undefined, arrive: undefined };
  listener.expect = () => {
    listener.answer = new Promise((resolve) => {
      listener.arrive = resolve;
    });
  };
  const server = createServer((request, response) => {
    const target = new URL(request.url, listener.redirectUrl);
    response.setHeader('connection', 'close').end('You can close this page.');
    if (target.pathname === '/callback') listener.arrive(target.searchParams);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  listener.redirectUrl = `http://127.0.0.1:${server.address().port}/callback`;
  listener.close = () => server.close();
  return listener;
}

/** Everything that the SDK asks an app to keep, in memory, as it was given. */
class Provider {
  constructor(listener, document) {
    this.listener = listener;
    this.clientMetadataUrl = document;
    this.redirectUrl = listener.redirectUrl;
  }

  get clientMetadata() {
    return {
      client_name: 'An app of the TypeScript SDK',
      redirect_uris: [this.redirectUrl],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    };
  }

  state() {
    this.expected = randomUUID();
    return this.expected;
  }

  clientInformation() {
    return this.client;
  }

  saveClientInformation(client) {
    this.client = client;
  }

  tokens() {
    return this.kept;
  }

  saveTokens(tokens) {
    this.kept = tokens;
  }

  codeVerifier() {
    return this.verifier;
  }

  saveCodeVerifier(verifier) {
    this.verifier = verifier;
  }

  discoveryState() {
    return this.discovered;
  }

  saveDiscoveryState(state) {
    this.discovered = state;
  }

  redirectToAuthorization(url) {
    this.listener.expect();
    tell({ open: url.href });
  }
}

/** Runs the steps with the classes of one SDK; `finish` hands the SDK what the browser came back with. */
export async function run({ Client, StreamableHTTPClientTransport, UnauthorizedError, finish }) {
  const { url, mode, document, steps } = JSON.parse(process.argv[2]);
  const listener = await listen();
  const provider = new Provider(listener, document);
  let wire = [];
  let client;
  let transport;

  const noted = async (input, init) => {
    const response = await fetch(input, init);
    wire.push(`${init?.method ?? 'GET'} ${new URL(input).pathname} ${response.status}`);
    return response;
  };

  // As the SDK's documentation has it: it throws when the person is needed, and is asked again when they are back.
  const signedIn = async (attempt) => {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof UnauthorizedError) || listener.answer === undefined) throw error;
      const answer = await listener.answer;
      if (answer.get('state') !== provider.expected) throw new Error('an answer to another question');
      await finish(transport, answer);
      return attempt();
    }
  };

  const connect = async () => {
    transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: provider, fetch: noted });
    client = new Client({ name: 'interop', version: '1' }, { versionNegotiation: { mode } });
    await client.connect(transport);
    return client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion;
  };

  const actions = {
    connect: () => signedIn(connect),
    tools: async () => (await client.listTools()).tools.map((tool) => tool.name),
    call: (name, args) => signedIn(async () => (await client.callTool({ name, arguments: args })).structuredContent),
    spoil: () => {
      provider.kept = { ...provider.kept, access_token: 'run-out' };
    },
    kept: () => ({ client: provider.client, tokens: provider.kept }),
  };

  try {
    for (const [step, ...args] of steps) {
      const result = await actions[step](...args);
      tell({ step, result, wire });
      wire = [];
    }
  } catch (error) {
    tell({ error: `${error.name}: ${error.message}`, wire });
    process.exitCode = 1;
  } finally {
    await client?.close();
    listener.close();
  }
}
