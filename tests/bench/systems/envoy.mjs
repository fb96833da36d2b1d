// Envoy: bare, and with `jwt_authn` (claims to headers), with and without its cache of verified tokens.

import { writeFileSync } from 'node:fs';

import { AUDIENCE } from '../issuer.mjs';
import { fromWheel, installed, output } from './installed.mjs';

const program = () => installed('envoy') ?? fromWheel('envoy/_bin/envoy');
const common = {
  program,
  find: () => program() && { version: output(program(), ['--version']).match(/\/(\d[\d.]*)\//)[1] },
};

export const systems = [
  { ...common, name: 'envoy', label: 'Envoy, bare proxy', auth: 'none', command: (place) => command(place, []) },
  {
    ...common,
    name: 'envoy-jwt-cache',
    label: 'Envoy jwt_authn with its cache',
    auth: 'JWT',
    claims: 'X-User-Id',
    command: (place) => command(place, [authentication(place.issuer, { jwt_cache_config: { jwt_cache_size: 10_000 } })]),
  },
  {
    ...common,
    name: 'envoy-jwt',
    label: 'Envoy jwt_authn',
    auth: 'JWT',
    claims: 'X-User-Id',
    command: (place) => command(place, [authentication(place.issuer, {})]),
  },
];

const type = (name) => ({ '@type': `type.googleapis.com/envoy.extensions.${name}` });

function authentication(issuer, cache) {
  const provider = {
    issuer: issuer.url,
    audiences: [AUDIENCE],
    local_jwks: { inline_string: JSON.stringify(issuer.jwks) },
    claim_to_headers: [
      { header_name: 'x-user-id', claim_name: 'sub' },
      { header_name: 'x-user-name', claim_name: 'preferred_username' },
      { header_name: 'x-user-email', claim_name: 'email' },
    ],
    ...cache,
  };
  const rules = [{ match: { prefix: '/' }, requires: { provider_name: 'bench' } }];
  const config = { ...type('filters.http.jwt_authn.v3.JwtAuthentication'), providers: { bench: provider }, rules };
  return { name: 'envoy.filters.http.jwt_authn', typed_config: config };
}

function command({ directory, port, certificate, key, upstream, log }, filters) {
  const connections = {
    ...type('filters.network.http_connection_manager.v3.HttpConnectionManager'),
    stat_prefix: 'front',
    access_log: [
      { name: 'envoy.access_loggers.file', typed_config: { ...type('access_loggers.file.v3.FileAccessLog'), path: log } },
    ],
    http_filters: [
      ...filters,
      { name: 'envoy.filters.http.router', typed_config: type('filters.http.router.v3.Router') },
    ],
    route_config: {
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          routes: ['/sink', '/'].map((prefix) => ({
            match: { prefix },
            route: { cluster: prefix === '/sink' ? 'sink' : 'app', timeout: '0s' },
          })),
        },
      ],
    },
  };
  const files = { certificate_chain: { filename: certificate }, private_key: { filename: key } };
  const tls = {
    ...type('transport_sockets.tls.v3.DownstreamTlsContext'),
    common_tls_context: { alpn_protocols: ['h2', 'http/1.1'], tls_certificates: [files] },
  };
  const listener = {
    address: address(port),
    tcp_backlog_size: 16384,
    filter_chains: [
      {
        transport_socket: { name: 'envoy.transport_sockets.tls', typed_config: tls },
        filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: connections }],
      },
    ],
  };
  const clusters = [cluster('app', upstream.port), cluster('sink', upstream.sinkPort)];
  const file = `${directory}/envoy.json`;
  writeFileSync(file, JSON.stringify({ static_resources: { listeners: [listener], clusters } }));
  return [program(), '--disable-hot-restart', '--concurrency', '1', '--log-level', 'warn', '--config-path', file];
}

function cluster(name, port) {
  const most = { max_connections: 8192, max_pending_requests: 8192, max_requests: 8192 };
  return {
    name,
    type: 'STATIC',
    circuit_breakers: { thresholds: [most] },
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }] },
  };
}

function address(port) {
  return { socket_address: { address: '127.0.0.1', port_value: port } };
}
