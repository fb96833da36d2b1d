// Usher with everything switched on: verification, claims to headers, stripping, a JSON access log, default limits.

import { existsSync, statSync, writeFileSync } from 'node:fs';

import { AUDIENCE } from '../issuer.mjs';
import { output } from './installed.mjs';

/** What `profile-guided` builds. */
const PROFILE_GUIDED = 'target/pgo/release/usher';

const usher = {
  name: 'usher',
  label: 'Usher',
  auth: 'JWT',
  claims: 'X-User-Id',
  find: ({ binary }) => existsSync(binary) && { version: output(binary, ['--version']).trim().split(' ').pop() },
  size: ({ binary }) => statSync(binary).size,
  command,
};

const profileGuided = {
  ...usher,
  name: 'usher-pgo',
  label: 'Usher, profile-guided',
  find: () => usher.find({ binary: PROFILE_GUIDED }),
  size: () => usher.size({ binary: PROFILE_GUIDED }),
  command: (place) => usher.command({ ...place, binary: PROFILE_GUIDED }),
};

export const systems = [usher, profileGuided];

function command({ directory, port, certificate, key, upstream, issuer, binary, extra = '', algorithms = 'RS256', sites = '' }) {
  const file = `${directory}/usher.yaml`;
  writeFileSync(
    file,
    `
listen: { https: "127.0.0.1:${port}" }
tls: { certificates: [{ certificate: ${certificate}, key: ${key} }] }
log: { format: json }
session: { secret: a secret for one run of the benchmark }
${extra}
issuers:
  bench: { issuer: "${issuer.url}", insecure_http: true, client_id: usher, audiences: [${AUDIENCE}], algorithms: [${algorithms}] }
sites:
  - host: localhost
    issuer: bench
    upstream: "http://127.0.0.1:${upstream.port}"
    identity_headers: { X-User-Id: sub, X-User-Name: preferred_username, X-User-Email: email, X-User-Roles: realm_access.roles }
    routes:
      - path: /
      - { path: /sink, upstream: "http://127.0.0.1:${upstream.sinkPort}", body_limit: none }
${sites}
`,
  );
  return [binary, 'serve', '--config', file];
}
