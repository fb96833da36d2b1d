// Caddy as a bare TLS proxy.

import { writeFileSync } from 'node:fs';

import { installed, output } from './installed.mjs';

export const systems = [
  {
    name: 'caddy',
    label: 'Caddy, bare proxy',
    auth: 'none',
    program: () => installed('caddy'),
    find: () => installed('caddy') && { version: output('caddy', ['version']).match(/v?(\d[\d.]*)/)[1] },
    env: ({ directory }) => ({ HOME: directory, XDG_DATA_HOME: directory, XDG_CONFIG_HOME: directory }),
    command,
  },
];

function command({ directory, port, certificate, key, upstream }) {
  const file = `${directory}/Caddyfile`;
  writeFileSync(
    file,
    `
{
  admin off
  auto_https off
  servers {
    protocols h1 h2
  }
}
https://localhost:${port} {
  bind 127.0.0.1
  tls ${certificate} ${key}
  log {
    output stdout
  }
  handle /sink* {
    reverse_proxy 127.0.0.1:${upstream.sinkPort}
  }
  handle {
    reverse_proxy 127.0.0.1:${upstream.port} {
      transport http {
        keepalive_idle_conns_per_host 512
      }
    }
  }
}
`,
  );
  return ['caddy', 'run', '--config', file, '--adapter', 'caddyfile'];
}
