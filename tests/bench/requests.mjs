// Files of requests for load.lua.

import { writeFileSync } from 'node:fs';

export function write(file, lines) {
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}
