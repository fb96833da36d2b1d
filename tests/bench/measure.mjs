// What one run under load took: CPU of the system, of the load and the upstream beside it, throughput, latency.

import { busy, endedChildren } from './processes.mjs';

/**
 * Runs `load` and says what it took. The load answers with what it did: `amount` in the unit of its table (thousands of
 * requests, gigabytes), `seconds`, `errors`, and p50 and p99 where it knows them. Shares are of one core.
 */
export async function measured(running, bench, load) {
  const before = counters(running, bench);
  const began = performance.now();
  const result = await load();
  const wall = (performance.now() - began) / 1000;
  const after = counters(running, bench);
  running.emptyLogs();
  const used = Object.fromEntries(Object.keys(before).map((name) => [name, after[name] - before[name]]));
  if (result.errors > 0) throw new Error(`${result.errors} requests failed`);
  if (!(result.amount > 0)) throw new Error('no request was answered');
  return {
    cpu: used.system / result.amount,
    rate: result.amount / result.seconds,
    amount: result.amount,
    p50: result.p50,
    p99: result.p99,
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
