// Plays one scenario in Debian's Chromium, headless: what only a real browser shows.
//
//   node run.mjs SCENARIO '{"port": 40123, …}'
//
// Every https site is found at the gateway on that port. A scenario may say a line, {"step": "…"}, and wait for one on
// standard input: the test arranges what comes next. What it returns is the last line, {"done": …}; what is wrong goes to
// standard error, with exit code 1. Scenarios live in a file each; what they share is in page.mjs.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { connect } from 'node:tls';

import { chromium } from 'playwright-core';

/** Chromium trusts this key and no other: with errors ignored altogether it would cache nothing, as no real browser does. */
async function keyOf(port) {
  const socket = connect({ host: '127.0.0.1', port, servername: 'app.test', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const key = socket.getPeerX509Certificate().publicKey.export({ type: 'spki', format: 'der' });
  socket.destroy();
  return createHash('sha256').update(key).digest('base64');
}

async function launchOptions({ chromium: executablePath, port }) {
  return {
    executablePath,
    // Playwright switches off what Back is made of.
    ignoreDefaultArgs: ['--disable-back-forward-cache'],
    args: [
      // Whoever runs the tests as root has no sandbox.
      '--no-sandbox',
      '--no-proxy-server',
      `--ignore-certificate-errors-spki-list=${await keyOf(port)}`,
      `--host-resolver-rules=MAP *.test:443 127.0.0.1:${port}, MAP *.test:80 ~NOTFOUND`,
    ],
  };
}

const input = createInterface({ input: process.stdin });
const lines = input[Symbol.asyncIterator]();
// Nobody is left to tell: the browser must not outlive the test that started it.
input.on('close', () => process.exit(1));

async function step(name) {
  console.log(JSON.stringify({ step: name }));
  await lines.next();
}

async function run([name, given]) {
  const options = JSON.parse(given);
  const { default: play } = await import(`./scenarios/${name}.mjs`);
  const launch = await launchOptions(options);
  const browser = await chromium.launch(launch);
  try {
    return await play({ browser, launch, options, step });
  } finally {
    await browser.close();
  }
}

try {
  console.log(JSON.stringify({ done: (await run(process.argv.slice(2))) ?? null }));
  process.exit(0);
} catch (error) {
  console.error(error.stack);
  process.exit(1);
}
