// The official TypeScript SDK, 2.x, which validates `iss` itself.
import { Client, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client';
import { run } from './app.mjs';

const finish = (transport, answer) => transport.finishAuth(answer);
await run({ Client, StreamableHTTPClientTransport, UnauthorizedError, finish });
