// openid-client, unmodified, against an authorization server: one JSON argument, then a line of JSON for each step.
import { createServer } from "node:http";
import * as client from "openid-client";

const { issuer, clientId, secret, key, method, dpop, steps } = JSON.parse(process.argv[2]);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const insecure = { execute: [client.allowInsecureRequests], algorithm: "oauth2" };
const methods = {
  none: () => client.None(),
  client_secret_post: (given) => client.ClientSecretPost(given),
  client_secret_basic: (given) => client.ClientSecretBasic(given),
  private_key_jwt: async () => client.PrivateKeyJwt(await importKey(key)),
};

async function importKey(jwk) {
  const algorithm = { name: "ECDSA", namedCurve: "P-256" };
  return { key: await crypto.subtle.importKey("jwk", jwk, algorithm, false, ["sign"]), kid: jwk.kid };
}

// Where the answer comes to: a page of this machine, on a port of the moment.
let arrived;
const listener = createServer((request, response) => {
  response.end("done");
  arrived?.(new URL(request.url, `http://${request.headers.host}`));
});
await new Promise((ready) => listener.listen(0, "127.0.0.1", ready));
const redirectUri = `http://127.0.0.1:${listener.address().port}/callback`;

let config;
let tokens;
let handle;
const options = () => (handle ? { DPoP: handle } : undefined);

const actions = {
  async discover(known) {
    const { client_id = clientId, client_secret = secret } = known;
    const auth = await methods[method](client_secret);
    config = await client.discovery(new URL(issuer), client_id, client_secret, auth, insecure);
    if (dpop) handle = client.getDPoPHandle(config, await client.randomDPoPKeyPair(dpop));
    return { issuer: config.serverMetadata().issuer };
  },
  async register(metadata) {
    const asked = { redirect_uris: [redirectUri], token_endpoint_auth_method: method, ...metadata };
    const registered = await client.dynamicClientRegistration(new URL(issuer), asked, undefined, insecure);
    await actions.discover(registered.clientMetadata());
    return registered.clientMetadata();
  },
  async code({ pushed, ...more }) {
    const verifier = client.randomPKCECodeVerifier();
    const state = client.randomState();
    const asked = {
      redirect_uri: redirectUri,
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: "S256",
      state,
      ...more,
    };
    const url = pushed
      ? await client.buildAuthorizationUrlWithPAR(config, asked, options())
      : client.buildAuthorizationUrl(config, asked);
    const landed = new Promise((resolve) => (arrived = resolve));
    say({ open: url.href });
    const checks = { pkceCodeVerifier: verifier, expectedState: state };
    tokens = await client.authorizationCodeGrant(config, await landed, checks, undefined, options());
    return tokens;
  },
  async refresh(more) {
    tokens = await client.refreshTokenGrant(config, tokens.refresh_token, more, options());
    return tokens;
  },
  async credentials(more) {
    tokens = await client.clientCredentialsGrant(config, more, options());
    return tokens;
  },
  async device(more) {
    const device = await client.initiateDeviceAuthorization(config, more);
    say({ device });
    tokens = await client.pollDeviceAuthorizationGrant(config, device, undefined, options());
    return tokens;
  },
  async introspect() {
    return client.tokenIntrospection(config, tokens.access_token);
  },
  async revoke() {
    await client.tokenRevocation(config, tokens.refresh_token ?? tokens.access_token);
    return {};
  },
  async call(url) {
    const ping = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping" });
    const headers = new Headers({ "content-type": "application/json", accept: "application/json, text/event-stream" });
    const body = new TextEncoder().encode(ping);
    const answer = await client.fetchProtectedResource(
      config, tokens.access_token, new URL(url), "POST", body, headers, options(),
    );
    return { status: answer.status };
  },
};

let failed = false;
for (const [name, argument] of steps) {
  try {
    say({ result: await actions[name](argument ?? {}) });
  } catch (error) {
    const cause = error.cause;
    say({ error: error.error ?? error.code ?? String(error), status: error.status, detail: String(cause?.message ?? error) });
    failed = true;
    break;
  }
}
listener.close();
listener.closeAllConnections();
process.exitCode = failed ? 1 : 0;
