// Holds connections open that ask once and then say nothing: node idle.mjs PORT COUNT CERTIFICATE TOKEN
// It prints a line when all are open, and ends with its standard input.

import { readFileSync } from 'node:fs';
import { connect } from 'node:tls';

const [port, count, certificate, token] = process.argv.slice(2);
const ca = readFileSync(certificate);
const question = `GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n\r\n`;

/** How many connections an address has: a limit that some systems rightly have by default is none of ours. */
const PER_ADDRESS = 1000;
const AT_A_TIME = 32;

function open(number) {
  return new Promise((resolve, reject) => {
    const localAddress = `127.0.0.${2 + Math.floor(number / PER_ADDRESS)}`;
    const socket = connect({ host: '127.0.0.1', servername: 'localhost', port, localAddress, ca, minVersion: 'TLSv1.3' });
    let answer = '';
    socket.on('secureConnect', () => socket.write(question));
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
      const [head, body] = answer.split('\r\n\r\n');
      if (body?.length >= 1024) head.startsWith('HTTP/1.1 200') ? resolve() : reject(new Error(head));
    });
    socket.on('error', reject);
    socket.on('close', () => fail(new Error('a connection was closed')));
  });
}

function fail(error) {
  process.stdout.write(`${error.message}\n`);
  process.exit(1);
}

let next = 0;
const openers = Array.from({ length: AT_A_TIME }, async () => {
  while (next < Number(count)) await open(next++);
});
await Promise.all(openers).catch(fail);
process.stdout.write('open\n');
process.stdin.on('end', () => process.exit(0)).resume();
