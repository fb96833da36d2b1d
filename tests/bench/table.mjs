// What was measured, as tables in Markdown, padded so that they read well on a terminal too.

import { median } from './measure.mjs';

/** The summary, then a table for each load, then what was left out. */
export function tables(report) {
  const out = [
    `${report.date}, ${report.machine}; Usher ${report.commit}; medians of ${report.rounds} rounds of ${report.seconds} s.`,
    '× is CPU in relation to nginx as a bare proxy in the same round, or in the last table to the first row.',
    '',
    ...summary(report),
  ];
  for (const load of report.loads) {
    const runs = report.results.filter((run) => run.load === load.name);
    if (runs.length > 0) out.push(`### ${load.label}`, '', ...TABLES[load.unit](report, load, runs), '', ...strain(runs));
  }
  const left = Object.entries(report.leftOut).map(([name, reason]) => `- ${name}: ${reason}`);
  if (left.length > 0) out.push('Left out:', '', ...left, '');
  return `${out.join('\n').trimEnd()}\n`;
}

/** One row for each system: CPU in relation to the reference under each load. */
function summary(report) {
  const loads = report.loads.filter(({ name, unit }) => name in SHORT && ['requests', 'bytes', 'idle'].includes(unit));
  const rows = report.systems.map((system) => [
    title(system),
    system.auth,
    ...loads.map((load) => {
      const runs = report.results.filter((run) => run.load === load.name);
      if (!runs.some((run) => run.system === system.name)) return '';
      if (load.unit === 'idle') return kibibytes(runs.find((run) => run.system === system.name).bytes);
      return ratio(load, runs, system.name)?.toFixed(2) ?? '';
    }),
  ]);
  return loads.length > 1 ? [...markdown(['system', 'auth', ...loads.map(({ name }) => SHORT[name])], rows), ''] : [];
}

const SHORT = {
  'h1-64': '64 conns ×',
  'h1-256': '256 conns ×',
  tokens: '2,000 tokens ×',
  h2: 'HTTP/2 ×',
  connect: 'new conn ×',
  'down-h1': 'down h1 ×',
  'down-h2': 'down h2 ×',
  'up-h1': 'up h1 ×',
  'up-h2': 'up h2 ×',
  idle: 'idle conn',
};

const TABLES = {
  requests: (report, load, runs) =>
    table(report, load, runs, {
      'CPU ms per 1,000': (middle) => (1e3 * middle((run) => run.cpu)).toFixed(1),
      '×': (_, name) => ratio(load, runs, name)?.toFixed(2) ?? '',
      'requests/s': (middle) => Math.round(1000 * middle((run) => run.rate)).toLocaleString('en'),
      'p50 ms': (middle) => milliseconds(middle((run) => run.p50)),
      'p99 ms': (middle) => milliseconds(middle((run) => run.p99)),
      ...SHARES,
    }),
  bytes: (report, load, runs) =>
    table(report, load, runs, {
      'CPU s per GB': (middle) => middle((run) => run.cpu).toFixed(2),
      '×': (_, name) => ratio(load, runs, name)?.toFixed(2) ?? '',
      'MB/s': (middle) => Math.round(1000 * middle((run) => run.rate)).toLocaleString('en'),
      ...SHARES,
    }),
  first: (report, load, runs) =>
    table(report, load, runs, {
      'CPU µs when new': (middle) => (1e3 * middle((run) => run.cpu)).toFixed(1),
      'when known': (middle) => (1e3 * middle((run) => run.again)).toFixed(1),
      'more by µs': (middle) => (1e3 * middle((run) => run.cpu - run.again)).toFixed(1),
    }),
  idle: (report, load, runs) =>
    table(report, load, runs, { 'memory per connection': (middle) => kibibytes(middle((run) => run.bytes)) }),
  rest: (report, load, runs) =>
    table(report, load, runs, {
      memory: (middle) => mebibytes(middle((run) => run.memory)),
      'time to start': (middle) => `${Math.round(1000 * middle((run) => run.start))} ms`,
      'size of the binary': (middle) => mebibytes(middle((run) => run.size)),
    }),
};

const SHARES = {
  busy: (middle) => percent(middle((run) => run.share.system)),
  'load + upstream': (middle) =>
    `${percent(middle((run) => run.share.load))} + ${percent(middle((run) => run.share.upstream))}`,
};

/** A table with a row for each system that has runs, and these columns. */
function table(report, load, runs, columns) {
  const systems = load.systems.length > 0 ? load.systems : report.systems;
  const rows = systems.flatMap((system) => {
    const own = runs.filter((run) => run.system === system.name);
    if (own.length === 0) return [];
    const middle = (read) => median(own.map(read));
    return [[title(system), system.auth, ...Object.values(columns).map((cell) => cell(middle, system.name))]];
  });
  return markdown(['system', 'auth', ...Object.keys(columns)], rows);
}

/** The median over the rounds of the CPU of a system in relation to that of the reference in the same round. */
export function ratio({ reference }, runs, name) {
  const pairs = runs
    .filter((run) => run.system === name)
    .map((run) => [run, runs.find((other) => other.system === reference && other.round === run.round)])
    .filter(([, other]) => other !== undefined);
  return pairs.length === 0 ? undefined : median(pairs.map(([run, other]) => run.cpu / other.cpu));
}

function strain(runs) {
  const others = runs.filter(({ share }) => share).map(({ share }) => share.others);
  if (others.length === 0) return [];
  return [`Others kept ${percent(median(others))} of a core busy meanwhile (at most ${percent(Math.max(...others))}).`, ''];
}

function markdown(head, rows) {
  const widths = head.map((cell, at) => Math.max(cell.length, ...rows.map((row) => row[at].length)));
  const left = (at) => at < 2;
  const padded = (cell, at) => (left(at) ? cell.padEnd(widths[at]) : cell.padStart(widths[at]));
  const line = (cells) => `| ${cells.map(padded).join(' | ')} |`;
  const rule = widths.map((width, at) => (left(at) ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`));
  return [line(head), `|${rule.join('|')}|`, ...rows.map(line)];
}

function title({ label, version }) {
  return version ? label.replace(/^\S+?(?=,|$| )/, (name) => `${name} ${version}`) : label;
}

function milliseconds(seconds) {
  return (1000 * seconds).toFixed(2);
}

function kibibytes(bytes) {
  return `${(bytes / 1024).toFixed(1)} KiB`;
}

function mebibytes(bytes) {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

function percent(share) {
  return `${Math.round(100 * share)} %`;
}
