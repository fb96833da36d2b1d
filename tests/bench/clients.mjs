// The programs that make load: wrk for HTTP/1.1, h2load for HTTP/2, curl for bodies. Each run says what came of it.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { CIPHER } from './verify.mjs';

const SCRIPT = fileURLToPath(new URL('load.lua', import.meta.url));

/** An OpenSSL configuration that leaves the programs one way to speak TLS, so that all systems speak the same. */
export function tlsConfiguration(directory) {
  const file = `${directory}/openssl.cnf`;
  writeFileSync(
    file,
    `
openssl_conf = start
[start]
ssl_conf = programs
[programs]
system_default = only
[only]
MinProtocol = TLSv1.3
Ciphersuites = ${CIPHER}
Groups = X25519
`,
  );
  return file;
}

/**
 * `connections` clients over HTTP/1.1, each of which asks again as soon as it is answered. `requests` is a file, `mode`
 * "once" or "close" (see load.lua).
 */
export async function wrk({ url, connections, seconds, requests, mode = '' }, bench) {
  const options = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', '-s', SCRIPT, `${url}/`];
  const printed = await run('wrk', [...options, '--', requests, mode], bench);
  return JSON.parse(/^\{.*\}$/m.exec(printed)[0]);
}

/** `connections` HTTP/2 connections with `streams` requests at a time on each. */
export async function h2load({ url, connections, streams, seconds, token }, bench) {
  const log = `${bench.directory}/h2load.log`;
  rmSync(log, { force: true });
  const options = ['-t1', `-c${connections}`, `-m${streams}`, `-D${seconds}`, `--log-file=${log}`];
  const printed = await run('h2load', [...options, '-H', `Authorization: Bearer ${token}`, `${url}/`], bench);
  const counts = /^requests: (\d+) total.*?(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout/m.exec(printed);
  const [good] = /(\d+)(?= 2xx)/.exec(printed);
  // A request that the end of the run cuts off is neither an answer nor an error.
  const times = readFileSync(log, 'utf8').trim().split('\n').map((line) => line.split('\t'));
  const answered = times.filter(([, status]) => status !== '-1');
  const micros = Float64Array.from(answered, ([, , time]) => Number(time)).sort();
  return {
    amount: Number(good) / 1000,
    seconds: Number(/^finished in ([\d.]+)s/m.exec(printed)[1]),
    p50: micros[Math.floor(micros.length * 0.5)] / 1e6,
    p99: micros[Math.floor(micros.length * 0.99)] / 1e6,
    errors: Number(counts[2]) - Number(good) + Number(counts[3]) + Number(counts[4]) + Number(counts[5]),
  };
}

/** Bodies of `bytes` over one connection, `times` one after the other: downloads, or uploads of `file`. */
export async function curl({ url, version, times, bytes, file, token }, bench) {
  const transfers = Array.from({ length: times }, () => [...(file ? ['--upload-file', file] : []), url]).flat();
  const sinks = Array.from({ length: times }, () => ['--output', file ? '-' : '/dev/null']).flat();
  const said = ['--write-out', '\n%{http_code} %{http_version} %{size_download} %{size_upload} %{time_total}\n'];
  const common = ['--silent', '--show-error', '--cacert', bench.certificate, `--http${version}`];
  const headers = ['--header', `Authorization: Bearer ${token}`, '--header', 'Expect:'];
  const printed = await run('curl', [...common, ...headers, ...said, ...sinks, ...transfers], bench);
  const lines = [...printed.matchAll(/^(\d{3}) ([\d.]+) (\d+) (\d+) ([\d.]+)$/gm)].map((line) => line.slice(1).map(Number));
  const whole = ([status, spoken, down, up]) =>
    status === 200 && spoken === Number(version) && (file ? up : down) === bytes;
  // What the sink has counted says more than what was sent.
  const counted = file ? printed.split('\n').filter((line) => line === String(bytes)).length : times;
  return {
    amount: (lines.length * bytes) / 1e9,
    seconds: lines.reduce((sum, line) => sum + line[4], 0),
    errors: times - Math.min(lines.filter(whole).length, counted),
  };
}

export async function run(command, options, bench) {
  const environment = { ...process.env, OPENSSL_CONF: bench.tls };
  const argv = ['-c', bench.cores.load, command, ...options];
  const child = spawn('taskset', argv, { stdio: ['ignore', 'pipe', 'pipe'], env: environment });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (printed += text));
  // See load.lua.
  child.stderr.on('data', (text) => text.includes('all sent') && child.kill('SIGINT'));
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${printed.trim().slice(-400)}`);
  return printed;
}
