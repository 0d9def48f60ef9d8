// A server of the official TypeScript SDK, 2.x, that knows nothing of Doorward: `PORT=3000 node notes2.mjs`. It serves
// 2026-07-28, and the revisions before it with sessions.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { NodeStreamableHTTPServerTransport, toNodeHandler, toWebRequest } from '@modelcontextprotocol/node';
import {
  McpServer,
  acceptedContent,
  createMcpHandler,
  fromJsonSchema,
  inputRequired,
  isInitializeRequest,
  isLegacyRequest,
} from '@modelcontextprotocol/server';

const READS = { readOnlyHint: true };
const NAME = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] };
const notes = [];
const takes = (properties) => fromJsonSchema({ type: 'object', properties, required: Object.keys(properties) });
const told = (result) => ({
  content: [{ type: 'text', text: JSON.stringify(result) }],
  structuredContent: { result },
});

function build() {
  const server = new McpServer({ name: 'Notes', version: '1' });
  server.registerTool('list_notes', { description: 'All notes.', annotations: READS }, async () => told(notes));
  server.registerTool(
    'add_note',
    { description: 'Keep a note; answers how many there are.', inputSchema: takes({ text: { type: 'string' } }) },
    async ({ text }) => told(notes.push(text)),
  );
  server.registerTool(
    'clear_notes',
    { description: 'Forget all notes.', annotations: { destructiveHint: true } },
    async () => told(notes.splice(0).length),
  );
  server.registerTool(
    'count',
    { description: 'Count, and tell of each step.', inputSchema: takes({ steps: { type: 'number' } }), annotations: READS },
    async ({ steps }, { mcpReq }) => {
      const progressToken = mcpReq._meta?.progressToken;
      for (let step = 1; step <= steps; step += 1) {
        const params = { progressToken, progress: step, total: steps, message: `step ${step}` };
        if (progressToken !== undefined) await mcpReq.notify({ method: 'notifications/progress', params });
      }
      return told(steps);
    },
  );
  server.registerTool('greet', { description: 'Ask for a name, and greet.', annotations: READS }, async ({ mcpReq }) => {
    const who = acceptedContent(mcpReq.inputResponses, 'who');
    if (who !== undefined) return told(`Hello, ${who.name}!`);
    const question = inputRequired.elicit({ message: 'Who are you?', requestedSchema: NAME });
    return inputRequired({ inputRequests: { who: question } });
  });
  server.registerTool('headers', { description: 'What came with this request.', annotations: READS }, async ({ http }) =>
    told(Object.fromEntries(http.req.headers)),
  );
  server.registerResource('all', 'notes://all', { mimeType: 'text/plain' }, async ({ href }) => ({
    contents: [{ uri: href, mimeType: 'text/plain', text: notes.join('\n') || 'no notes' }],
  }));
  server.registerPrompt('summary', { argsSchema: takes({ style: { type: 'string' } }) }, ({ style }) => ({
    messages: [{ role: 'user', content: { type: 'text', text: `Sum up my notes: ${style}` } }],
  }));
  return server;
}

const modern = toNodeHandler(createMcpHandler(build, { legacy: 'reject' }));
const sessions = new Map();

async function serveLegacy(request, response, body) {
  let transport = sessions.get(request.headers['mcp-session-id']);
  if (transport === undefined) {
    if (!isInitializeRequest(body)) {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('Session not found');
      return;
    }
    transport = new NodeStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => sessions.set(id, transport),
      onsessionclosed: (id) => sessions.delete(id),
    });
    await build().connect(transport);
  }
  await transport.handleRequest(request, response, body);
}

async function read(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return parts.length === 0 ? undefined : JSON.parse(Buffer.concat(parts).toString());
}

createServer(async (request, response) => {
  const body = await read(request);
  const isLegacy = await isLegacyRequest(await toWebRequest(request, body), body);
  await (isLegacy ? serveLegacy : modern)(request, response, body);
}).listen(Number(process.env.PORT), '127.0.0.1');
