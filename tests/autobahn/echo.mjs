// A WebSocket server that sends every message back, with compression where the client offers it. It says where it
// listens on its first line, and ends when its standard input does.

import { WebSocketServer } from 'ws';

const server = new WebSocketServer({
  host: '127.0.0.1',
  port: 0,
  maxPayload: 64 * 1024 * 1024,
  perMessageDeflate: { threshold: 0, concurrencyLimit: 4 },
});

server.on('connection', (socket) => {
  socket.on('error', () => {}); // What breaks the protocol is answered by `ws` itself.
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
});
server.on('listening', () => console.log(JSON.stringify(server.address())));
process.stdin.resume().on('end', () => process.exit(0));
