// oidc-provider with its own development pages: `PORT=3000 node oidc_provider.mjs`. It grants tokens for any server on this
// machine, as JWTs; its secrets and clients are for tests alone.
// With `ONLY_PUSHED=yes` it takes pushed authorization requests alone.
import { Provider } from 'oidc-provider';

const issuer = `http://127.0.0.1:${process.env.PORT}`;
const SCOPE = 'notes';

const known = (id, path) => ({
  client_id: id,
  client_secret: 'a-secret-of-a-test-and-of-nothing-else',
  application_type: 'native',
  redirect_uris: [`http://127.0.0.1${path}`],
  grant_types: ['authorization_code', 'refresh_token'],
});

const provider = new Provider(issuer, {
  clients: [known('given', '/callback'), known('proxy', '/auth/callback')],
  scopes: ['openid', 'offline_access'],
  pkce: { required: () => true },
  jwks: undefined,
  cookies: { keys: ['of a test'] },
  // Its own fetch refuses addresses of this machine, where the documents of the tests are.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  features: {
    clientIdMetadataDocument: { enabled: true, ack: 'draft-02' },
    deviceFlow: { enabled: true },
    pushedAuthorizationRequests: { requirePushedAuthorizationRequests: process.env.ONLY_PUSHED === 'yes' },
    registration: { enabled: true },
    registrationManagement: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (context, resource) => ({
        scope: SCOPE,
        audience: resource,
        accessTokenFormat: 'jwt',
        accessTokenTTL: 3600,
        jwt: { sign: { alg: 'RS256' } },
      }),
      useGrantedResource: () => true,
    },
  },
});

provider.listen(Number(process.env.PORT), '127.0.0.1');
