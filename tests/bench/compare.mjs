// Measures Usher and other proxies side by side. `compare` installs what this needs; `compare --help` says how to ask.

import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release, tmpdir, totalmem } from 'node:os';
import { resolve } from 'node:path';

import { charts } from './chart.mjs';
import { tlsConfiguration } from './clients.mjs';
import { Issuer } from './issuer.mjs';
import { ALL as LOADS } from './loads.mjs';
import { HELP, chosen, options } from './options.mjs';
import { endAll, prefer } from './processes.mjs';
import { ALL as SYSTEMS, REFERENCE, Running } from './systems.mjs';
import { write } from './requests.mjs';
import { output, run } from './systems/installed.mjs';
import { tables } from './table.mjs';
import { Upstream } from './upstream.mjs';
import { mistakes } from './verify.mjs';

const NOT_INSTALLED = 'not installed';

const asked = options();
if (asked.help) {
  process.stdout.write(HELP);
} else if (asked.draw) {
  publish(JSON.parse(readFileSync(asked.draw, 'utf8')));
} else {
  await main().catch((error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
  });
}

async function main() {
  const systems = chosen(SYSTEMS, asked.systems);
  const loads = chosen(LOADS, asked.loads);
  const directory = workplace();
  if (asked.priority > 0) {
    prefer(asked.priority);
    process.on('exit', () => prefer(0));
  }
  const bench = await prepare(directory);
  const leftOut = {};
  const running = await startAll(systems, bench, leftOut);
  if (asked.check) {
    for (const { system } of running) say(`${system.name}: right`);
    for (const [name, reason] of Object.entries(leftOut)) say(`${name}: left out: ${reason}`);
    // A program that is not there is left out; one that answers wrongly, or does not start, is a failure.
    if (Object.values(leftOut).some((reason) => reason !== NOT_INSTALLED)) process.exitCode = 1;
    await end(running, bench);
    return;
  }
  const results = await measure(running, loads, bench, leftOut);
  const found = { ...about(), systems: describe(running), loads: loads.map(describeLoad) };
  const report = { ...found, leftOut, results };
  if (asked.json) writeFileSync(asked.json, `${JSON.stringify(report, null, 1)}\n`);
  publish(report);
  await end(running, bench);
}

/** Tables and charts: of what was measured now, or of what --json wrote then. */
function publish(report) {
  process.stdout.write(tables(report));
  if (asked.markdown) writeFileSync(asked.markdown, tables(report));
  if (!asked.chart) return;
  mkdirSync(asked.chart, { recursive: true });
  for (const [theme, svg] of Object.entries(charts(report))) writeFileSync(`${asked.chart}/compare-${theme}.svg`, svg);
}

/** A directory in memory, so that logs cost what a log costs and no disk is measured. It goes with the program. */
function workplace() {
  const directory = mkdtempSync(`${existsSync('/dev/shm') ? '/dev/shm' : tmpdir()}/usher-bench-`);
  // Apache leaves root's rights behind and still has to write there.
  chmodSync(directory, 0o755);
  process.on('exit', () => {
    endAll();
    rmSync(directory, { recursive: true, force: true });
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));
  return directory;
}

async function prepare(directory) {
  const [certificate, key, pem] = ['site.pem', 'site.key', 'both.pem'].map((name) => `${directory}/${name}`);
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc', '-subj', '/CN=localhost'];
  const names = ['-addext', 'subjectAltName=DNS:localhost', '-days', '2'];
  run('openssl', ['req', '-x509', ...curve, ...names, '-keyout', key, '-out', certificate]);
  writeFileSync(pem, readFileSync(certificate) + readFileSync(key));
  const separate = availableParallelism() > 1;
  const bench = {
    directory,
    certificate,
    key,
    pem,
    ca: readFileSync(certificate),
    tls: tlsConfiguration(directory),
    user: process.getuid() === 0 ? 'user root;' : '',
    binary: resolve(asked.binary),
    cores: { proxy: '0', load: separate ? '1' : '0' },
    issuer: await Issuer.start(directory),
  };
  if (!separate) say('one core only: load and proxy share it, and the figures say little');
  bench.upstream = await Upstream.start({ directory, cores: bench.cores.load, user: bench.user });
  bench.token = await bench.issuer.token();
  bench.requests = { one: write(`${directory}/one.requests`, [bench.token]) };
  if (!asked.check) bench.requests.many = write(`${directory}/many.requests`, await bench.issuer.tokens(2000));
  return bench;
}

/** Starts each system that is installed, and keeps those that answer rightly. */
async function startAll(systems, bench, leftOut) {
  const started = await Promise.all(
    systems.map(async (system) => {
      const found = system.find(bench);
      if (!found) return (leftOut[system.name] = NOT_INSTALLED) && [];
      const running = new Running({ ...system, ...found }, bench);
      try {
        await running.start();
        const wrong = await mistakes(running, bench);
        if (wrong.length === 0) return [running];
        leftOut[system.name] = `it answers wrongly: ${wrong.join('; ')}`;
        await running.process.stop();
      } catch (error) {
        leftOut[system.name] = error.message;
      }
      return [];
    }),
  );
  return started.flat();
}

/** Every load on every system in turn, round by round, so that whatever else this machine does hits them all alike. */
async function measure(running, loads, bench, leftOut) {
  const results = [];
  for (const load of loads) {
    progress(`${load.name}: preparing`);
    await load.prepare?.(bench);
    const own = load.systems && (await startAll(load.systems, bench, leftOut));
    results.push(...(await rounds(load, own ?? running.filter(({ system }) => !load.skips?.(system)), bench, leftOut)));
    if (own) await Promise.all(own.map(({ process }) => process.stop()));
  }
  progress('');
  return results;
}

async function rounds(load, able, bench, leftOut) {
  const results = [];
  for (const one of able) await warmUp(load, one, bench);
  for (let round = 0; round < Math.min(asked.rounds, load.rounds ?? asked.rounds); round++) {
    // Nobody always comes first.
    const turn = round % able.length;
    for (const one of [...able.slice(turn), ...able.slice(0, turn)]) {
      const { name } = one.system;
      const place = `${name} under ${load.name}`;
      if (leftOut[place]) continue;
      progress(`${load.name}, round ${round + 1}: ${name}`);
      try {
        results.push({ load: load.name, system: name, round, ...(await load.run(one, bench, asked.seconds)) });
      } catch (error) {
        leftOut[place] = error.message;
      }
    }
  }
  // A load that failed in one round counts in none.
  return results.filter(({ system }) => !leftOut[`${system} under ${load.name}`]);
}

/** A first run, of which nothing counts: caches and connection pools fill. What is wrong shows when it counts. */
async function warmUp(load, one, bench) {
  progress(`${load.name}: ${one.system.name} warms up`);
  try {
    await one.system.warm?.(one, bench);
    if (['requests', 'bytes'].includes(load.unit)) await load.run(one, bench, 1);
  } catch {
    // The first round says it.
  }
}

async function end(running, { upstream, issuer }) {
  issuer.server.close();
  await Promise.all([...running.map(({ process }) => process.stop()), upstream.nginx.stop(), upstream.sink.stop()]);
}

function describe(running) {
  return running.map(({ system: { name, label, auth, version, claims = '' }, process }) => {
    return { name, label, auth, claims, version, start: process.readyAfter };
  });
}

function describeLoad({ name, label, unit, reference = REFERENCE, systems = [] }) {
  return { name, label, unit, reference, systems: systems.map(({ name, label }) => ({ name, label, auth: 'JWT' })) };
}

function about() {
  const memory = Math.round(totalmem() / 2 ** 30);
  const machine = `${cpus().length} × ${cpus()[0].model}, ${memory} GiB, Linux ${release()}`;
  const commit = output('git', ['describe', '--always', '--dirty']).trim();
  return { commit, date: new Date().toISOString().slice(0, 10), machine, rounds: asked.rounds, seconds: asked.seconds };
}

function say(text) {
  process.stdout.write(`${text}\n`);
}

function progress(text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
  else if (text) process.stderr.write(`${text}\n`);
}
