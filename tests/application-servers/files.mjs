// A server of static files that is as lenient as any: where some way to read a target leads to a protected file, it goes
// that way.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import url from 'node:url';

const files = path.resolve(process.argv[2]);
const admin = path.join(files, 'admin');

const parsers = [
  (target) => target.split('?')[0],
  (target) => target.split(/[?#;]/)[0],
  (target) => new URL(target, 'http://app.test').pathname,
  (target) => new URL(`http://app.test${target}`).pathname,
  (target) => url.parse(target).pathname,
  (target) => new URL(decodeURIComponent(target), 'http://app.test').pathname,
];
const decoders = [
  (text) => text,
  decodeURI,
  decodeURIComponent,
  unescape,
  (text) => decodeURIComponent(decodeURIComponent(text)),
  (text) => Buffer.from(unescape(text), 'latin1').toString(),
];
const normalisers = [
  (text) => path.posix.normalize(text),
  (text) => path.win32.normalize(text).replaceAll('\\', '/'),
  (text) => path.posix.normalize(text.normalize('NFKC')),
  (text) => path.posix.normalize(text.split('\0')[0]),
  (text) => path.posix.normalize(text.replaceAll(/;[^/]*/g, '')),
];

function* readings(target) {
  for (const parse of parsers) {
    for (const decode of decoders) {
      for (const normalise of normalisers) {
        try {
          yield path.join(files, normalise(decode(parse(target))));
        } catch {
          // Not to be read in this way.
        }
      }
    }
  }
}

function contents(name) {
  try {
    const file = fs.statSync(name).isDirectory() ? path.join(name, 'index.php') : name;
    return fs.readFileSync(file);
  } catch {
    return undefined;
  }
}

const server = http.createServer((request, response) => {
  const names = [...new Set(readings(request.url))];
  const found = names.filter((name) => name === admin || name.startsWith(`${admin}/`)).concat(names);
  const body = found.map(contents).find((body) => body !== undefined);
  response.writeHead(body === undefined ? 404 : 200, { 'content-type': 'text/plain' });
  response.end(body ?? 'Nothing is there.\n');
});
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
