// The command line.

import { parseArgs } from 'node:util';

export const HELP = `Compares Usher with other proxies on this machine.

tests/bench/compare [options]
  --systems a,b    only these (default: all that are installed); nginx is what the others are compared with
  --loads a,b      only these (default: all)
  --rounds N       interleaved rounds, of which the medians count (default: 5)
  --seconds N      of each run under load (default: 5)
  --priority N     above everybody else's work on this machine, 1 to 20; needs root (default: 0)
  --binary FILE    of Usher (default: target/release/usher)
  --json FILE      write everything that was measured
  --markdown FILE  write the tables as Markdown
  --chart DIR      draw compare-light.svg and compare-dark.svg
  --draw FILE      measure nothing: print and draw what --json wrote
  --check          measure nothing: start every system that is installed and see that it answers rightly
`;

export function options() {
  const string = { type: 'string' };
  const { values } = parseArgs({
    options: {
      systems: string,
      loads: string,
      rounds: { ...string, default: '5' },
      seconds: { ...string, default: '5' },
      priority: { ...string, default: '0' },
      binary: { ...string, default: 'target/release/usher' },
      json: string,
      markdown: string,
      chart: string,
      draw: string,
      check: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const priority = Number(values.priority);
  return { ...values, priority, rounds: Number(values.rounds), seconds: Number(values.seconds) };
}

/** The entries of `all` whose names `wanted` lists, or all of them. */
export function chosen(all, wanted) {
  if (wanted === undefined) return all;
  const names = wanted.split(',');
  const unknown = names.filter((name) => !all.some((entry) => entry.name === name));
  if (unknown.length > 0) {
    throw new Error(`unknown: ${unknown.join(', ')}; there are ${all.map((entry) => entry.name).join(', ')}`);
  }
  return all.filter((entry) => names.includes(entry.name));
}
