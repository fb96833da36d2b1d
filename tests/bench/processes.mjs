// Child processes: started on a core of their own, asked what they used, and gone when this program is.

import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { once } from 'node:events';
import { setPriority } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

/** Clock ticks of /proc, which Linux fixed at 100 for every user space. */
const TICKS_PER_SECOND = 100;

const running = new Set();

/** A child process with all its descendants. */
export class Process {
  /** Runs `argv` on the cores `cores` ("0", "0-1"); what it prints is appended to the file `log`. */
  constructor(argv, { cores, log, env = {} }) {
    const output = openSync(log, 'a');
    this.log = log;
    this.child = spawn('taskset', ['-c', cores, ...argv], {
      stdio: ['ignore', output, output],
      env: { ...process.env, ...env },
    });
    closeSync(output);
    this.started = performance.now();
    this.failure = null;
    this.child.on('error', (error) => (this.failure = error.message));
    this.child.on('exit', (code, signal) => {
      this.failure ??= `it ended with ${signal ?? code}`;
      running.delete(this);
    });
    running.add(this);
  }

  /** Waits until it accepts connections on `port`. */
  async ready(port, seconds = 15) {
    const deadline = performance.now() + seconds * 1000;
    while (!(await accepts(port))) {
      if (this.failure) throw new Error(`${this.failure}: ${tail(this.log)}`);
      if (performance.now() > deadline) throw new Error(`not ready after ${seconds} s: ${tail(this.log)}`);
      await sleep(2);
    }
    this.readyAfter = (performance.now() - this.started) / 1000;
  }

  /** Its process id and those of its descendants. */
  pids() {
    return this.failure ? [] : family(this.child.pid);
  }

  /** CPU seconds that it and its descendants have used. */
  cpu() {
    return this.pids().reduce((sum, pid) => sum + cpuOf(pid), 0);
  }

  /** Memory in bytes: the proportional share of all its processes, so that shared pages count once. */
  memory() {
    return this.pids().reduce((sum, pid) => sum + pss(pid), 0);
  }

  async stop() {
    if (this.failure) return;
    const gone = once(this.child, 'exit');
    const pids = this.pids();
    this.child.kill('SIGTERM');
    const late = setTimeout(() => pids.reverse().forEach(kill), 3000);
    await gone;
    clearTimeout(late);
  }
}

/** Ends everything that still runs. Synchronous, for the end of the program. */
export function endAll() {
  for (const process of running) process.pids().reverse().forEach(kill);
}

/** Puts this program and all that it starts before the other work of this machine, or (0) beside it again. */
export function prefer(priority) {
  setPriority(0 - priority);
  // Where the kernel shares its time among sessions first, a priority counts only within one.
  const group = '/proc/self/autogroup';
  if (existsSync(group)) writeFileSync(group, String(0 - priority));
}

/** A free port of the loopback interface. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** CPU seconds of the children of this program that have ended. */
export function endedChildren() {
  const fields = statOf(process.pid);
  return (fields[13] + fields[14]) / TICKS_PER_SECOND;
}

/** CPU seconds for which the cores of this machine were busy, whoever kept them so. */
export function busy() {
  const fields = readFileSync('/proc/stat', 'utf8').split('\n')[0].trim().split(/\s+/).slice(1).map(Number);
  const [user, nice, system, , , irq, softirq, steal] = fields;
  return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND;
}

function accepts(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => (socket.destroy(), resolve(true)));
    socket.on('error', () => resolve(false));
  });
}

function kill(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It is gone already.
  }
}

/** A process and its descendants, oldest first. */
function family(root) {
  const children = new Map();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const parent = statOf(name)?.[1];
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const found = [root];
  for (const pid of found) found.push(...(children.get(pid) ?? []));
  return found;
}

/** CPU seconds of a process, with its threads and the children that it has waited for. */
function cpuOf(pid) {
  const fields = statOf(pid);
  return fields ? (fields[11] + fields[12] + fields[13] + fields[14]) / TICKS_PER_SECOND : 0;
}

/** The fields of /proc/PID/stat from the third on (state, ppid, …); the second may hold spaces. */
function statOf(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ').map(Number);
  } catch {
    return undefined;
  }
}

function pss(pid) {
  try {
    return 1024 * Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]);
  } catch {
    return 0;
  }
}

function tail(file) {
  return readFileSync(file, 'utf8').trim().split('\n').slice(-4).join(' | ').slice(-600);
}
