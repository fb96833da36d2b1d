// The loads: each puts one running system under one kind of load and says what was measured.
//
//   unit     what CPU is counted for: "requests" (CPU seconds for 1,000), "bytes" (for a GB), or neither: "rest",
//            "idle", "first" have figures of their own
//   rounds   how many rounds at most, where a figure does not vary
//   systems  its own systems, where they are not those of the command line; `reference` is then one of them

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { curl, h2load, wrk } from './clients.mjs';
import { FLAT, flatSystems } from './flat.mjs';
import { measured } from './measure.mjs';
import { write } from './requests.mjs';
import { BIG } from './upstream.mjs';

const NEW_TOKENS = 20_000;
const IDLE = 5_000;

const h1 = (name, label, connections, requests, mode) => ({
  name,
  label,
  unit: 'requests',
  run: (running, bench, seconds) =>
    measured(running, bench, () => wrk({ url: running.url, connections, seconds, requests: bench.requests[requests], mode }, bench)),
});

const body = (direction, version) => ({
  name: `${direction}-h${version[0]}`,
  label: `100 MB ${direction}, HTTP/${version}`,
  unit: 'bytes',
  run: (running, bench, seconds) =>
    measured(running, bench, () => {
      const file = direction === 'up' ? `${bench.directory}/big` : undefined;
      const url = `${running.url}/${file ? 'sink' : 'big'}`;
      return curl({ url, version, times: 4 * seconds, bytes: BIG, file, token: bench.token }, bench);
    }),
});

export const ALL = [
  h1('h1-64', 'HTTP/1.1, 64 connections', 64, 'one'),
  h1('h1-256', 'HTTP/1.1, 256 connections', 256, 'one'),
  h1('tokens', '2,000 tokens in turn, HTTP/1.1, 64 connections', 64, 'many'),
  {
    name: 'h2',
    label: 'HTTP/2, 16 connections × 32 streams',
    unit: 'requests',
    run: (running, bench, seconds) =>
      measured(running, bench, () => h2load({ url: running.url, connections: 16, streams: 32, seconds, token: bench.token }, bench)),
  },
  h1('connect', 'a new TLS connection for every request (resumed where the system resumes)', 64, 'one', 'close'),
  body('down', '1.1'),
  body('down', '2'),
  body('up', '1.1'),
  body('up', '2'),
  {
    name: 'first',
    label: `${NEW_TOKENS.toLocaleString('en')} tokens that were never seen before`,
    unit: 'first',
    skips: ({ auth }) => auth !== 'JWT',
    prepare: async (bench) => {
      const again = Array.from({ length: NEW_TOKENS }, () => bench.token);
      bench.requests.again = write(`${bench.directory}/again.requests`, again);
      bench.requests.fresh = write(`${bench.directory}/fresh.requests`, await bench.issuer.tokens(NEW_TOKENS));
    },
    run: first,
  },
  { name: 'idle', label: `${IDLE.toLocaleString('en')} idle TLS connections`, unit: 'idle', rounds: 1, run: idle },
  { name: 'rest', label: 'At rest', unit: 'rest', run: rest },
  {
    name: 'flat',
    label: 'One site, route and token, and 1,000 sites, 10,000 routes, 100,000 tokens',
    unit: 'requests',
    systems: flatSystems,
    reference: FLAT,
    run: (running, bench, seconds) =>
      measured(running, bench, () =>
        wrk({ url: running.url, connections: 64, seconds, requests: running.system.requests(bench) }, bench),
      ),
  },
];

/** What a token costs when it is seen for the first time, more than when it is seen again. */
async function first(running, bench) {
  // Tokens that were there in an earlier round must be forgotten.
  await running.restart();
  const load = { url: running.url, connections: 64, seconds: 60, mode: 'once' };
  await wrk({ ...load, requests: bench.requests.again }, bench);
  const again = await measured(running, bench, () => wrk({ ...load, requests: bench.requests.again }, bench));
  const fresh = await measured(running, bench, () => wrk({ ...load, requests: bench.requests.fresh }, bench));
  return { cpu: fresh.cpu, again: again.cpu, share: fresh.share };
}

/** Memory for each connection that is open, has asked once and says nothing. */
async function idle(running, bench) {
  await running.restart();
  const program = fileURLToPath(new URL('idle.mjs', import.meta.url));
  const hold = async (count) => {
    const argv = [program, running.port, count, bench.certificate, bench.token].map(String);
    const holder = spawn('taskset', ['-c', bench.cores.load, process.execPath, ...argv], { stdio: 'pipe' });
    const [said] = await once(holder.stdout, 'data');
    if (said.toString() !== 'open\n') throw new Error(said.toString().trim());
    // What the handshakes left behind has a moment to go.
    await sleep(1000);
    const memory = running.process.memory();
    holder.stdin.end();
    await once(holder, 'exit');
    return memory;
  };
  // What the first connections bring with them (pools, caches, code) is not the price of one more.
  const few = IDLE / 10;
  const before = await hold(few);
  await running.restart();
  return { bytes: (await hold(IDLE) - before) / (IDLE - few) };
}

async function rest(running, bench) {
  await running.restart();
  await sleep(500);
  const size = running.system.size?.(bench) ?? statSync(running.system.program()).size;
  return { memory: running.process.memory(), start: running.process.readyAfter, size };
}

