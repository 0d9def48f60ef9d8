// Better Auth with its plugin for MCP, and a server of the official SDK behind it: `PORT=3000 node better_auth.mjs`.
// One person exists; where its pages would be, the person posts what they would.
import { createServer } from 'node:http';
import { mcp, requireMcpAuth } from '@better-auth/mcp';
import { toNodeHandler as toNodeHandlerOfMcp } from '@modelcontextprotocol/node';
import { McpServer, createMcpHandler, fromJsonSchema } from '@modelcontextprotocol/server';
import { betterAuth } from 'better-auth';
import { memoryAdapter } from 'better-auth/adapters/memory';
import { getAuthTables } from 'better-auth/db';
import { toNodeHandler } from 'better-auth/node';
import { jwt } from 'better-auth/plugins';

const origin = `http://127.0.0.1:${process.env.PORT}`;
const resource = `${origin}/mcp`;

const options = {
  baseURL: origin,
  secret: 'a-secret-of-a-test-and-of-nothing-else',
  emailAndPassword: { enabled: true, minPasswordLength: 8 },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
  plugins: [
    jwt(),
    mcp({
      loginPage: '/login',
      consentPage: '/consent',
      resource,
      scopes: ['openid', 'offline_access', 'notes'],
      allowDynamicClientRegistration: true,
      allowUnauthenticatedClientRegistration: true,
    }),
  ],
};
const tables = Object.keys(getAuthTables(options));
const database = memoryAdapter(Object.fromEntries(tables.map((name) => [name, []])));
const auth = betterAuth({ ...options, database });

await auth.api.signUpEmail({
  body: { name: 'Ada', email: 'ada@example.com', password: 'a quiet harbour at dawn' },
});

function build() {
  const server = new McpServer({ name: 'Greeter', version: '1' });
  const inputSchema = fromJsonSchema({ type: 'object', properties: { name: { type: 'string' } }, required: ['name'] });
  server.registerTool('greet', { description: 'Greet somebody.', inputSchema }, async ({ name }) => ({
    content: [{ type: 'text', text: `Hello, ${name}!` }],
  }));
  return server;
}

const serve = createMcpHandler(build, {});
const guarded = toNodeHandlerOfMcp({ fetch: requireMcpAuth(auth, (request) => serve.fetch(request), { resource }) });
const issuer = toNodeHandler(auth);
createServer((request, response) =>
  request.url === '/mcp' ? guarded(request, response) : issuer(request, response),
).listen(Number(process.env.PORT), '127.0.0.1');
