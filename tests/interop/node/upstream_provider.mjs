// oidc-provider over TLS, for people who sign in here by it: `PORT=3000 TLS=key-and-certificate.pem node upstream_provider.mjs`.
// Its secrets, clients and people are for tests alone. It knows everybody who comes, by the name that they type.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { Provider } from 'oidc-provider';

const issuer = `https://127.0.0.1:${process.env.PORT}`;
const tls = readFileSync(process.env.TLS);

const client = (id, redirect, type) => ({
  client_id: id,
  client_secret: 'a-secret-of-a-test-and-of-nothing-else',
  application_type: type,
  redirect_uris: [redirect],
});

const provider = new Provider(issuer, {
  clients: [
    client('inside', 'https://auth.example.com/login/callback/acme', 'web'),
    client('beside', 'http://127.0.0.1/login/callback/acme', 'native'),
  ],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  findAccount: (context, id) => ({
    accountId: id,
    claims: () => ({ sub: id, name: 'Carol', email: `${id}@people.example`, email_verified: true }),
  }),
  pkce: { required: () => true },
  cookies: { keys: ['of a test'] },
});

createServer({ key: tls, cert: tls }, provider.callback()).listen(Number(process.env.PORT), '127.0.0.1');
