// What one run under load took: CPU of the system, of the load and the upstream beside it, throughput, latency.

import { busy, endedChildren } from './processes.mjs';

/** Runs `load` and says what it took. CPU seconds are per 1,000 requests; shares are of one core. */
export async function measured(running, bench, load) {
  const before = counters(running, bench);
  const began = performance.now();
  const result = await load();
  const wall = (performance.now() - began) / 1000;
  const after = counters(running, bench);
  running.emptyLogs();
  const used = Object.fromEntries(Object.keys(before).map((name) => [name, after[name] - before[name]]));
  if (result.errors > 0) throw new Error(`${result.errors} of ${result.requests} requests failed`);
  if (result.requests === 0) throw new Error('no request was answered');
  return {
    cpu: (1000 * used.system) / result.requests,
    rate: result.requests / result.seconds,
    p50: result.p50,
    p99: result.p99,
    requests: result.requests,
    share: {
      system: used.system / wall,
      load: used.load / wall,
      upstream: used.upstream / wall,
      others: Math.max(0, used.machine - used.system - used.load - used.upstream) / wall,
    },
  };
}

function counters(running, bench) {
  return {
    system: running.process.cpu(),
    load: endedChildren(),
    upstream: bench.upstream.cpu(),
    machine: busy(),
  };
}

export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
