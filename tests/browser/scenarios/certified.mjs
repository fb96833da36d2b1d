// Somebody signs in at an authorization server, in a browser that has never been there.

import assert from 'node:assert/strict';

import { assertSessionCookies, complaints } from '../page.mjs';

export default async function play({ browser, options }) {
  const context = await browser.newContext();
  const page = await context.newPage();
  const found = complaints(page);
  const answer = await page.goto(options.deepLink);
  assert.equal(answer.status(), 200);
  // The fragment too, which no server ever sees: redirects hand it on.
  assert.equal(page.url(), options.deepLink, 'byte for byte');
  await assertSessionCookies(context);
  assert.deepEqual(found, []);
}
