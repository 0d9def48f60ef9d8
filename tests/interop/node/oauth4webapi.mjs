// oauth4webapi, unmodified: every answer goes through its own checks, with nothing put between it and the wire.
import { createServer } from "node:http";
import * as oauth from "oauth4webapi";

const { issuer, clientId, secret, dpop, steps } = JSON.parse(process.argv[2]);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const insecure = { [oauth.allowInsecureRequests]: true };

let arrived;
const listener = createServer((request, response) => {
  response.end("done");
  arrived?.(new URL(request.url, `http://${request.headers.host}`));
});
await new Promise((ready) => listener.listen(0, "127.0.0.1", ready));
const redirectUri = `http://127.0.0.1:${listener.address().port}/callback`;

const as = await oauth
  .discoveryRequest(new URL(issuer), { algorithm: "oauth2", ...insecure })
  .then((answer) => oauth.processDiscoveryResponse(new URL(issuer), answer));
let client = { client_id: clientId };
let auth = secret ? oauth.ClientSecretBasic(secret) : oauth.None();
let tokens;
let handle;

// A nonce that is asked for is sent with the same request again, as the library has it.
async function withNonce(ask) {
  try {
    return await ask();
  } catch (error) {
    if (!handle || !oauth.isDPoPNonceError(error)) throw error;
    return ask();
  }
}
const options = () => (handle ? { DPoP: handle, ...insecure } : insecure);

const actions = {
  async register(metadata) {
    const asked = { redirect_uris: [redirectUri], token_endpoint_auth_method: "none", ...metadata };
    client = await oauth
      .dynamicClientRegistrationRequest(as, asked, insecure)
      .then(oauth.processDynamicClientRegistrationResponse);
    if (client.client_secret) auth = oauth.ClientSecretBasic(client.client_secret);
    return client;
  },
  async prove() {
    handle = oauth.DPoP(client, await oauth.generateKeyPair(dpop));
    return { jkt: await handle.calculateThumbprint() };
  },
  async code({ pushed, bind, ...more }) {
    const verifier = oauth.generateRandomCodeVerifier();
    const state = oauth.generateRandomState();
    const parameters = new URLSearchParams({
      client_id: client.client_id,
      response_type: "code",
      redirect_uri: redirectUri,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: "S256",
      state,
      ...(bind ? { dpop_jkt: await handle.calculateThumbprint() } : {}),
      ...more,
    });
    const url = new URL(as.authorization_endpoint);
    if (pushed) {
      const { request_uri } = await withNonce(async () =>
        oauth.processPushedAuthorizationResponse(
          as, client, await oauth.pushedAuthorizationRequest(as, client, auth, parameters, options()),
        ));
      url.search = new URLSearchParams({ client_id: client.client_id, request_uri });
    } else {
      url.search = parameters;
    }
    const landed = new Promise((resolve) => (arrived = resolve));
    say({ open: url.href });
    const answer = oauth.validateAuthResponse(as, client, await landed, state);
    tokens = await withNonce(async () =>
      oauth.processAuthorizationCodeResponse(
        as, client, await oauth.authorizationCodeGrantRequest(as, client, auth, answer, redirectUri, verifier, options()),
      ));
    return tokens;
  },
  async refresh() {
    tokens = await withNonce(async () =>
      oauth.processRefreshTokenResponse(
        as, client, await oauth.refreshTokenGrantRequest(as, client, auth, tokens.refresh_token, options()),
      ));
    return tokens;
  },
  async credentials(more) {
    tokens = await withNonce(async () =>
      oauth.processClientCredentialsResponse(
        as, client, await oauth.clientCredentialsGrantRequest(as, client, auth, more, options()),
      ));
    return tokens;
  },
  async validate(resource) {
    // What a protected server of this library would say of the token: signature, issuer, audience, time, proof.
    const claims = await oauth.validateJwtAccessToken(
      as,
      new Request(resource, { headers: { authorization: `Bearer ${tokens.access_token}` } }),
      resource,
      insecure,
    );
    return claims;
  },
  async introspect() {
    return oauth.processIntrospectionResponse(
      as, client, await oauth.introspectionRequest(as, client, auth, tokens.access_token, insecure),
    );
  },
  async revoke() {
    await oauth.processRevocationResponse(
      await oauth.revocationRequest(as, client, auth, tokens.refresh_token ?? tokens.access_token, insecure),
    );
    return {};
  },
};

let failed = false;
for (const [name, argument] of steps) {
  try {
    say({ result: await actions[name](argument ?? {}) });
  } catch (error) {
    say({ error: error.error ?? error.code ?? String(error), status: error.status, detail: String(error) });
    failed = true;
    break;
  }
}
listener.close();
listener.closeAllConnections();
process.exitCode = failed ? 1 : 0;
