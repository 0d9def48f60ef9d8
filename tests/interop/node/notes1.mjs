// A server of the official TypeScript SDK, 1.x, with sessions, that knows nothing of Doorward:
// `PORT=3000 node notes1.mjs`.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { isInitializeRequest } from '@modelcontextprotocol/sdk/types.js';
import { z } from 'zod';

const READS = { readOnlyHint: true };
const NAME = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] };
const notes = [];
const told = (result) => ({
  content: [{ type: 'text', text: JSON.stringify(result) }],
  structuredContent: { result },
});

function build() {
  const server = new McpServer({ name: 'Notes', version: '1' });
  server.registerTool('list_notes', { description: 'All notes.', annotations: READS }, async () => told(notes));
  server.registerTool(
    'add_note',
    { description: 'Keep a note; answers how many there are.', inputSchema: { text: z.string() } },
    async ({ text }) => told(notes.push(text)),
  );
  server.registerTool(
    'clear_notes',
    { description: 'Forget all notes.', annotations: { destructiveHint: true } },
    async () => told(notes.splice(0).length),
  );
  server.registerTool(
    'count',
    { description: 'Count, and tell of each step.', inputSchema: { steps: z.number() }, annotations: READS },
    async ({ steps }, { _meta, sendNotification }) => {
      const progressToken = _meta?.progressToken;
      for (let step = 1; step <= steps; step += 1) {
        const params = { progressToken, progress: step, total: steps, message: `step ${step}` };
        if (progressToken !== undefined) await sendNotification({ method: 'notifications/progress', params });
      }
      return told(steps);
    },
  );
  server.registerTool('greet', { description: 'Ask for a name, and greet.', annotations: READS }, async () => {
    const answer = await server.server.elicitInput({ message: 'Who are you?', requestedSchema: NAME });
    return told(`Hello, ${answer.content?.name}!`);
  });
  server.registerTool('headers', { description: 'What came with this request.', annotations: READS }, async ({ requestInfo }) =>
    told({ ...requestInfo.headers }),
  );
  server.registerResource('all', 'notes://all', { mimeType: 'text/plain' }, async ({ href }) => ({
    contents: [{ uri: href, mimeType: 'text/plain', text: notes.join('\n') || 'no notes' }],
  }));
  server.registerPrompt('summary', { argsSchema: { style: z.string() } }, ({ style }) => ({
    messages: [{ role: 'user', content: { type: 'text', text: `Sum up my notes: ${style}` } }],
  }));
  return server;
}

const sessions = new Map();

async function read(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return parts.length === 0 ? undefined : JSON.parse(Buffer.concat(parts).toString());
}

createServer(async (request, response) => {
  const body = await read(request);
  let transport = sessions.get(request.headers['mcp-session-id']);
  if (transport === undefined) {
    if (!isInitializeRequest(body)) {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('Session not found');
      return;
    }
    transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => sessions.set(id, transport),
      onsessionclosed: (id) => sessions.delete(id),
    });
    await build().connect(transport);
  }
  await transport.handleRequest(request, response, body);
}).listen(Number(process.env.PORT), '127.0.0.1');
