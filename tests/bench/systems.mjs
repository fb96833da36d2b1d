// The systems under test, in the order of the table.

import { existsSync, mkdirSync, truncateSync } from 'node:fs';

import { systems as apache } from './systems/apache.mjs';
import { systems as caddy } from './systems/caddy.mjs';
import { systems as envoy } from './systems/envoy.mjs';
import { systems as haproxy } from './systems/haproxy.mjs';
import { systems as nginx } from './systems/nginx.mjs';
import { systems as usher } from './systems/usher.mjs';

import { Process, freePort } from './processes.mjs';

export const ALL = [...usher, ...nginx, ...haproxy, ...envoy, ...caddy, ...apache];

/** What everything is relative to. */
export const REFERENCE = 'nginx';

/** A system that runs, on a port of its own. */
export class Running {
  constructor(system, bench) {
    this.system = system;
    this.bench = bench;
    this.starts = 0;
  }

  async start(settings = {}) {
    const directory = `${this.bench.directory}/${this.system.name}-${this.starts++}`;
    mkdirSync(directory);
    this.port = await freePort();
    this.log = `${directory}/access.log`;
    const argv = this.system.command({ ...this.bench, ...settings, directory, port: this.port, log: this.log });
    this.process = new Process(argv, {
      cores: this.bench.cores.proxy,
      log: `${directory}/output.log`,
      env: this.system.env?.({ directory }),
    });
    await this.process.ready(this.port);
  }

  /** Logs lie in memory: they are written, as they have to be, and then they have to go. */
  emptyLogs() {
    for (const log of [this.log, this.process.log]) if (existsSync(log)) truncateSync(log);
  }

  get url() {
    return `https://localhost:${this.port}`;
  }

  async restart(settings) {
    await this.process.stop();
    await this.start(settings);
  }
}
