// Swallows uploads and says how many bytes they had: node sink.mjs PORT

import { createServer } from 'node:http';

createServer((request, response) => {
  let bytes = 0;
  request.on('data', (chunk) => (bytes += chunk.length));
  request.on('end', () => response.end(String(bytes)));
}).listen(Number(process.argv[2]), '127.0.0.1');
