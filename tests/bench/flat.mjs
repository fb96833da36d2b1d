// Does a request cost more when there is much else? Usher with one site, one route and one token, and with 1,000 sites,
// 10,000 routes and 100,000 tokens that it has verified: asked for the same one thing, and for all of them in turn.

import { wrk } from './clients.mjs';
import { write } from './requests.mjs';
import { systems } from './systems/usher.mjs';

const SITES = 1_000;
const ROUTES = 10;
const TOKENS = 100_000;

/** The one that the others are compared with. */
export const FLAT = 'usher-1';

const [usher] = systems;
const extra = 'limits: { token_cache_bytes: 1GiB }';

export const flatSystems = [
  {
    ...usher,
    name: FLAT,
    label: 'Usher: 1 site, 1 route, 1 token',
    command: (place) => usher.command({ ...place, extra, algorithms: 'RS256, ES256' }),
    requests: (bench) => bench.requests.one,
  },
  ...['one', 'all'].map((asked) => ({
    ...usher,
    name: `usher-many-${asked}`,
    label: `Usher: 1,000 sites, 10,000 routes, 100,000 tokens; ${asked === 'one' ? 'one is asked for' : 'all in turn'}`,
    command: (place) => usher.command({ ...place, extra, algorithms: 'RS256, ES256', sites: sites(place.upstream.port) }),
    requests: (bench) => (asked === 'one' ? bench.requests.one : bench.requests.all),
    // The tokens are verified and remembered before anything is measured.
    warm: async (running, bench) => {
      bench.requests.all ??= write(`${bench.directory}/all.requests`, await everything(bench.issuer));
      await wrk({ url: running.url, connections: 64, seconds: 120, requests: bench.requests.all, mode: 'once' }, bench);
    },
  })),
];

async function everything(issuer) {
  const tokens = await issuer.tokens(TOKENS, issuer.ec);
  // A stride without a common factor: neighbours in the list are neighbours nowhere else.
  return tokens.map((token, n) => {
    const at = (n * 7919) % (SITES * ROUTES);
    return `${token} ${host(at % SITES)} ${path(Math.floor(at / SITES))}x`;
  });
}

function sites(port) {
  return Array.from(
    { length: SITES },
    (_, site) => `
  - host: ${host(site)}
    issuer: bench
    upstream: "http://127.0.0.1:${port}"
    identity_headers: { X-User-Id: sub, X-User-Name: preferred_username, X-User-Email: email, X-User-Roles: realm_access.roles }
    routes:
${Array.from({ length: ROUTES }, (_, route) => `      - { path: ${path(route)} }`).join('\n')}`,
  ).join('');
}

function host(number) {
  return `site-${number}.example`;
}

function path(number) {
  return `/area-${number}/`;
}
