// The application: nginx with one worker that answers 1 KiB and logs nothing, and a program that swallows uploads.

import { closeSync, ftruncateSync, openSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { Process, freePort } from './processes.mjs';

export const BODY = 1024;
export const BIG = 100_000_000;

export class Upstream {
  static async start({ directory, cores, user }) {
    const upstream = new Upstream();
    const file = openSync(`${directory}/big`, 'w');
    ftruncateSync(file, BIG);
    closeSync(file);
    [upstream.port, upstream.sinkPort] = [await freePort(), await freePort()];
    writeFileSync(`${directory}/upstream.conf`, configuration(directory, upstream.port, user));
    const nginx = ['nginx', '-e', `${directory}/upstream.log`, '-c', `${directory}/upstream.conf`];
    upstream.nginx = new Process(nginx, { cores, log: `${directory}/upstream.log` });
    const sink = [process.execPath, fileURLToPath(new URL('sink.mjs', import.meta.url)), String(upstream.sinkPort)];
    upstream.sink = new Process(sink, { cores, log: `${directory}/sink.log` });
    await Promise.all([upstream.nginx.ready(upstream.port), upstream.sink.ready(upstream.sinkPort)]);
    return upstream;
  }

  cpu() {
    return this.nginx.cpu() + this.sink.cpu();
  }
}

function configuration(directory, port, user) {
  return `
daemon off;
${user}
worker_processes 1;
pid ${directory}/upstream.pid;
events { worker_connections 16384; }
http {
  access_log off;
  keepalive_requests 100000000;
  keepalive_timeout 1h;
  sendfile on;
  tcp_nopush on;
  default_type application/octet-stream;
  client_body_temp_path ${directory}/upstream-body;
  server {
    listen 127.0.0.1:${port} backlog=16384;
    location / { return 200 "${'x'.repeat(BODY)}"; }
    # What the application got to know about the user; one system has a name of its own for it.
    underscores_in_headers on;
    location = /who { return 200 "{\\"X-User-Id\\": \\"$http_x_user_id\\", \\"OIDC_CLAIM_sub\\": \\"$http_oidc_claim_sub\\"}"; }
    location = /ok { return 204; }
    location = /big { root ${directory}; }
  }
}
`;
}
