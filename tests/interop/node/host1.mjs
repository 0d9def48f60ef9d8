// A host of the official TypeScript SDK, 1.x, that starts its server as a command: node host1.mjs COMMAND ARGUMENT…
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';

const [command, ...args] = process.argv.slice(2);
const client = new Client({ name: 'A host', version: '1' });
try {
  await client.connect(new StdioClientTransport({ command, args, env: process.env }));
  const { tools } = await client.listTools();
  const called = await client.callTool({ name: 'stock_quotes', arguments: { symbols: ['DOOR'] } });
  console.log(JSON.stringify({ tools: tools.map((tool) => tool.name), quotes: called.structuredContent.quotes }));
} catch (error) {
  console.log(JSON.stringify({ error: error.message }));
}
await client.close();
