// The official TypeScript SDK, 2.x, with an assertion in place of a person: its own provider for enterprises, and the
// one that an app writes for a job. Whoever runs it signs: it is told what an assertion is wanted for, and answers.
import { createInterface } from 'node:readline';
import { Client, CrossAppAccessProvider, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const { url, kind, clientId, clientSecret, issuer } = JSON.parse(process.argv[2]);
const tell = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);
const input = createInterface({ input: process.stdin });
const answers = input[Symbol.asyncIterator]();

async function assertion(wanted) {
  tell({ wanted });
  return JSON.parse((await answers.next()).value);
}

/** A job has no client of its own; the SDK wants an id all the same. */
class JobProvider {
  redirectUrl = undefined;
  clientMetadata = { client_name: 'A job', redirect_uris: [] };

  clientInformation() {
    return { client_id: 'a-job', issuer };
  }

  tokens() {
    return this.kept;
  }

  saveTokens(tokens) {
    this.kept = tokens;
  }

  redirectToAuthorization() {
    throw new Error('a job has no browser');
  }

  async prepareTokenRequest(scope) {
    const parameters = new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
      assertion: await assertion({ scope }),
    });
    if (scope) parameters.set('scope', scope);
    return parameters;
  }
}

const enterprise = () =>
  new CrossAppAccessProvider({
    assertion: ({ authorizationServerUrl, resourceUrl, scope }) =>
      assertion({ audience: authorizationServerUrl, resource: resourceUrl, scope }),
    clientId,
    clientSecret,
    expectedIssuer: issuer,
  });

const provider = kind === 'workload' ? new JobProvider() : enterprise();
const client = new Client({ name: 'interop', version: '1' }, { versionNegotiation: { mode: 'auto' } });
try {
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { authProvider: provider }));
  const { tools } = await client.listTools();
  const called = await client.callTool({ name: 'stock_quotes', arguments: { symbols: ['DOOR'] } });
  tell({ tools: tools.map((tool) => tool.name), quotes: called.structuredContent, tokens: provider.tokens() });
} catch (error) {
  tell({ error: `${error.name}: ${error.message}` });
} finally {
  await client.close();
  input.close();
  process.stdin.destroy();
}
