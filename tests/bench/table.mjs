// Tables in Markdown, padded so that they read well on a terminal too.

import { median } from './measure.mjs';
import { REFERENCE } from './systems.mjs';

export function tables(report) {
  const out = [`${report.date}, ${report.machine}; medians of ${report.rounds} rounds of ${report.seconds} s.`, ''];
  for (const load of report.loads) {
    const runs = report.results.filter((run) => run.load === load.name);
    out.push(`### ${load.label}`, '', ...requests(report, runs), '', strain(runs), '');
  }
  for (const [name, reason] of Object.entries(report.leftOut)) out.push(`Left out: ${name}: ${reason}`);
  return `${out.join('\n')}\n`;
}

/** The rows of a load that is made of requests. */
function requests(report, runs) {
  const rows = report.systems.flatMap(({ name, label, version, auth }) => {
    const own = runs.filter((run) => run.system === name);
    if (own.length === 0) return [];
    const middle = (read) => median(own.map(read));
    const shares = `${percent(middle((run) => run.share.load))} + ${percent(middle((run) => run.share.upstream))}`;
    return [
      [
        `${label} ${version}`,
        auth,
        (1e3 * middle((run) => run.cpu)).toFixed(1),
        ratio(runs, name, (run) => run.cpu)?.toFixed(2) ?? '',
        Math.round(middle((run) => run.rate)).toString(),
        milliseconds(middle((run) => run.p50)),
        milliseconds(middle((run) => run.p99)),
        percent(middle((run) => run.share.system)),
        shares,
      ],
    ];
  });
  const head = ['system', 'auth', 'CPU ms per 1,000', '×', 'requests/s', 'p50 ms', 'p99 ms', 'busy', 'load + upstream'];
  return markdown(head, rows);
}

/** The median over the rounds of what a system took in relation to the reference in the same round. */
export function ratio(runs, name, read) {
  const pairs = runs
    .filter((run) => run.system === name)
    .map((run) => [run, runs.find((other) => other.system === REFERENCE && other.round === run.round)])
    .filter(([, reference]) => reference !== undefined);
  return pairs.length === 0 ? undefined : median(pairs.map(([run, reference]) => read(run) / read(reference)));
}

function strain(runs) {
  const others = runs.map((run) => run.share.others);
  return `Others kept ${percent(median(others))} of a core busy meanwhile (at most ${percent(Math.max(...others))}).`;
}

export function markdown(head, rows) {
  const widths = head.map((cell, at) => Math.max(cell.length, ...rows.map((row) => row[at].length)));
  const left = (at) => at < 2;
  const line = (cells) => `| ${cells.map((cell, at) => (left(at) ? cell.padEnd(widths[at]) : cell.padStart(widths[at]))).join(' | ')} |`;
  const rule = `|${widths.map((width, at) => (left(at) ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  return [line(head), rule, ...rows.map(line)];
}

export function milliseconds(seconds) {
  return (1000 * seconds).toFixed(2);
}

export function percent(share) {
  return `${Math.round(100 * share)} %`;
}
