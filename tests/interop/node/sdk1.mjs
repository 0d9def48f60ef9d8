// The official TypeScript SDK, 1.x.
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { run } from './app.mjs';

const finish = (transport, answer) => transport.finishAuth(answer.get('code'));
await run({ Client, StreamableHTTPClientTransport, UnauthorizedError, finish });
