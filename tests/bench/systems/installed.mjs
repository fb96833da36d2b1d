// What of this machine can take part.

import { execFileSync, spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync } from 'node:fs';
import { delimiter } from 'node:path';

/** Where a command is, or nothing. */
export function installed(command) {
  const folders = process.env.PATH.split(delimiter);
  return folders.map((folder) => `${folder}/${command}`).find(executable);
}

/** A file of a wheel in target/bench/venv, or nothing. */
export function fromWheel(path) {
  const libraries = 'target/bench/venv/lib';
  if (!existsSync(libraries)) return undefined;
  const found = readdirSync(libraries).map((python) => `${libraries}/${python}/site-packages/${path}`);
  return found.find(executable);
}

/** What a command prints, on either stream. */
export function output(command, options) {
  const { stdout, stderr } = spawnSync(command, options, { encoding: 'utf8' });
  return `${stdout ?? ''}${stderr ?? ''}`;
}

/** Runs a command that has to succeed. */
export function run(command, options) {
  return execFileSync(command, options, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
}

function executable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
