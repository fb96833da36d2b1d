// The chart of the README, drawn from what was measured: CPU for a request over HTTP/1.1 and HTTP/2, light and dark.

import { median } from './measure.mjs';

const THEMES = {
  light: { text: '#1f2328', quiet: '#656d76', bar: '#c3cad3', usher: '#0a6e5c', line: '#d8dee4' },
  dark: { text: '#e6edf3', quiet: '#8d96a0', bar: '#4a5561', usher: '#3fb99f', line: '#30363d' },
};

const PANELS = [
  { load: 'h1-64', title: 'HTTP/1.1, 64 connections' },
  { load: 'h2', title: 'HTTP/2, 16 × 32 streams' },
];

const WIDTH = 860;
const NAMES = 248;
const GAP = 28;
const ROW = 26;
const TOP = 92;
const PANEL = (WIDTH - NAMES - GAP - 16) / 2;
/** Room at the end of the longest bar for its number. */
const NUMBER = 44;

/** The chart in each theme, by its name. */
export function charts(report) {
  return Object.fromEntries(Object.entries(THEMES).map(([name, theme]) => [name, chart(report, theme)]));
}

function chart(report, theme) {
  const rows = report.systems
    .map((system) => ({ ...system, values: PANELS.map(({ load }) => microseconds(report, load, system.name)) }))
    .filter(({ values }) => values.some((value) => value !== undefined))
    .sort((a, b) => (a.values[0] ?? Infinity) - (b.values[0] ?? Infinity));
  const height = TOP + rows.length * ROW + 44;
  const parts = [
    text(16, 30, 'CPU time of the proxy for one request', { size: 17, weight: 600, fill: theme.text }),
    text(16, 51, 'in microseconds, less is better; TLS 1.3 in front, keep-alive behind, 1 KiB answers', { size: 12.5, fill: theme.quiet }),
    ...PANELS.flatMap((panel, at) => drawPanel(panel, at, rows, theme)),
    ...rows.map((row, at) => name(row, at, theme)),
    text(16, height - 14, footer(report), { size: 11, fill: theme.quiet }),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escaped(description(rows))}" font-family="system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif">
${parts.join('\n')}
</svg>
`;
}

function drawPanel({ title }, at, rows, theme) {
  const left = NAMES + at * (PANEL + GAP);
  const longest = Math.max(...rows.map(({ values }) => values[at] ?? 0));
  const bottom = TOP + rows.length * ROW - 4;
  const bars = rows.flatMap((row, index) => {
    const value = row.values[at];
    if (value === undefined) return [];
    const [width, y, own] = [(value / longest) * (PANEL - NUMBER), TOP + index * ROW, isOwn(row)];
    const number = { size: 12, weight: own ? 600 : 400, fill: own ? theme.usher : theme.text };
    return [
      `<rect x="${left}" y="${y}" width="${width.toFixed(1)}" height="16" rx="2" fill="${own ? theme.usher : theme.bar}"/>`,
      text(left + width + 6, y + 12.5, value.toFixed(value < 99.5 ? 1 : 0), number),
    ];
  });
  return [
    text(left, TOP - 14, title, { size: 12.5, weight: 600, fill: theme.text }),
    ...bars,
    `<line x1="${left}" y1="${TOP - 4}" x2="${left}" y2="${bottom}" stroke="${theme.line}"/>`,
  ];
}

function isOwn({ name }) {
  return name.startsWith('usher');
}

function name(row, at, theme) {
  const { label, version, auth } = row;
  const [program, ...rest] = label.split(/,? /);
  const own = isOwn(row);
  const what = own ? [...rest, 'verifies, names the user'].join(', ') : rest.join(' ');
  // What the version tells apart is said; what it does not is in the table.
  const release = program === 'HAProxy' ? ` ${version.split('.').slice(0, 2).join('.')}` : '';
  const head = `<tspan font-weight="600" fill="${own ? theme.usher : theme.text}">${escaped(program + release)}</tspan>`;
  const tail = `<tspan fill="${auth === 'none' ? theme.quiet : own ? theme.usher : theme.text}" dx="6">${escaped(what)}</tspan>`;
  return `<text x="${NAMES - 12}" y="${TOP + at * ROW + 12.5}" font-size="12" text-anchor="end">${head}${tail}</text>`;
}

function footer({ date, machine, rounds, seconds, commit }) {
  const cores = machine.split(', ')[0];
  return `${date}, ${cores}, one core for the proxy; Usher ${commit}; medians of ${rounds} interleaved rounds of ${seconds} s`;
}

function description(rows) {
  const said = rows.map(({ label, values }) => `${label} ${values.map((value) => value?.toFixed(1) ?? 'not measured').join(' and ')}`);
  return `CPU microseconds for a request over HTTP/1.1 and over HTTP/2: ${said.join('; ')}.`;
}

function microseconds(report, load, system) {
  const runs = report.results.filter((run) => run.load === load && run.system === system);
  return runs.length > 0 ? 1e3 * median(runs.map((run) => run.cpu)) : undefined;
}

function text(x, y, words, { size, weight = 400, fill }) {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" font-size="${size}" font-weight="${weight}" fill="${fill}">${escaped(words)}</text>`;
}

function escaped(words) {
  return words.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/"/g, '&quot;');
}
