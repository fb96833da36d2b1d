// The loads: each puts one running system under one kind of load and says what was measured.

import { h2load, wrk } from './clients.mjs';
import { measured } from './measure.mjs';

const keepAlive = (connections) => (running, bench, seconds) =>
  measured(running, bench, () => wrk({ url: running.url, connections, seconds, tokens: bench.tokens.one, bench }));

export const ALL = [
  { name: 'h1-64', label: 'HTTP/1.1, 64 connections', run: keepAlive(64) },
  { name: 'h1-256', label: 'HTTP/1.1, 256 connections', run: keepAlive(256) },
  {
    name: 'tokens',
    label: '2,000 tokens, 64 connections',
    run: (running, bench, seconds) =>
      measured(running, bench, () =>
        wrk({ url: running.url, connections: 64, seconds, tokens: bench.tokens.many, bench }),
      ),
  },
  {
    name: 'h2',
    label: 'HTTP/2, 16 connections × 32 streams',
    run: (running, bench, seconds) =>
      measured(running, bench, () =>
        h2load({ url: running.url, connections: 16, streams: 32, seconds, tokens: bench.tokens.one, bench }),
      ),
  },
];
