// nginx: the bare TLS proxy that everything is compared with, and `auth_request` to a trivial 204.

import { writeFileSync } from 'node:fs';

import { installed, output } from './installed.mjs';

const common = {
  program: () => installed('nginx'),
  find: () => installed('nginx') && { version: output('nginx', ['-v']).match(/nginx\/(\S+)/)[1] },
};

export const systems = [
  { ...common, name: 'nginx', label: 'nginx, bare proxy', auth: 'none', command: (place) => command(place, '') },
  {
    ...common,
    name: 'nginx-auth-request',
    label: 'nginx auth_request to a 204',
    auth: 'sub-request',
    command: (place) => command(place, 'auth_request /auth;'),
  },
];

function command({ directory, port, certificate, key, upstream, user, log }, auth) {
  const file = `${directory}/nginx.conf`;
  writeFileSync(
    file,
    `
daemon off;
${user}
worker_processes 1;
pid ${directory}/nginx.pid;
worker_rlimit_nofile 20000;
events { worker_connections 16384; }
http {
  access_log ${log} combined buffer=64k flush=1s;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  keepalive_requests 100000000;
  keepalive_timeout 300s;
  upstream app { server 127.0.0.1:${upstream.port}; keepalive 512; keepalive_requests 100000000; }
  upstream sink { server 127.0.0.1:${upstream.sinkPort}; keepalive 16; }
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $host;
  proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header X-Forwarded-Proto https;
  # Bodies stream through, as in every other system here; the default would write large ones to files.
  proxy_max_temp_file_size 0;
  proxy_request_buffering off;
  client_max_body_size 0;
  server {
    listen 127.0.0.1:${port} ssl http2 backlog=16384;
    server_name localhost;
    ssl_certificate ${certificate};
    ssl_certificate_key ${key};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:tls:20m;
    http2_max_concurrent_streams 256;
    location / { ${auth} proxy_pass http://app; }
    location /sink { ${auth} proxy_pass http://sink; }
    location = /auth {
      internal;
      proxy_pass http://app/ok;
      proxy_pass_request_body off;
      # One header of its own, and those from above count no longer: without the first there is no keep-alive.
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header Content-Length "";
    }
  }
}
`,
  );
  return ['nginx', '-e', `${directory}/error.log`, '-c', file];
}
