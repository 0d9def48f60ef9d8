// The authorization server of the TypeScript SDK, 1.x, with the provider of its examples, beside a server it protects:
// `PORT=3000 node typescript_sdk.mjs`. Whoever comes is let in without a question, for an hour.
import { DemoInMemoryAuthProvider } from '@modelcontextprotocol/sdk/examples/server/demoInMemoryOAuthProvider.js';
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js';
import { getOAuthProtectedResourceMetadataUrl, mcpAuthRouter } from '@modelcontextprotocol/sdk/server/auth/router.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import express from 'express';
import { z } from 'zod';

const origin = `http://127.0.0.1:${process.env.PORT}`;
const resourceServerUrl = new URL('/mcp', origin);
const provider = new DemoInMemoryAuthProvider();

function build() {
  const server = new McpServer({ name: 'Greeter', version: '1' });
  server.registerTool('greet', { inputSchema: { name: z.string() } }, async ({ name }) => ({
    content: [{ type: 'text', text: `Hello, ${name}!` }],
  }));
  return server;
}

const app = express();
app.use(mcpAuthRouter({ provider, issuerUrl: new URL(origin), resourceServerUrl, scopesSupported: ['notes'] }));
app.post(
  '/mcp',
  requireBearerAuth({
    verifier: provider,
    requiredScopes: ['notes'],
    resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(resourceServerUrl),
    expectedResource: resourceServerUrl,
  }),
  express.json(),
  async (request, response) => {
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
    await build().connect(transport);
    await transport.handleRequest(request, response, request.body);
  },
);
app.listen(Number(process.env.PORT), '127.0.0.1');
