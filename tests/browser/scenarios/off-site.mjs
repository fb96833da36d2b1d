// Somebody signs in at the local issuer and opens a page of the application that leads on to another site.

import assert from 'node:assert/strict';

import { complaints, SIGN_IN, SITE, signIn } from '../page.mjs';

export default async function play({ browser, options }) {
  const page = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
  const found = complaints(page);
  await page.goto(`${SITE}/leaves`);
  assert.ok(page.url().startsWith(SIGN_IN), page.url());
  await signIn(page);
  await page.waitForURL(options.away);
  assert.deepEqual(found, []);
}
