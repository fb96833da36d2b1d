// Somebody who is signed in opens a page that wants another sign-in: at first the server does not give it, then it does.

import assert from 'node:assert/strict';

import { SITE, assertSessionCookies, complaints } from '../page.mjs';

export default async function play({ browser, step }) {
  const context = await browser.newContext();
  const [page, beside] = [await context.newPage(), await context.newPage()];
  const found = complaints(page);
  assert.equal((await page.goto(`${SITE}/x`)).status(), 200);
  const deepLink = `${SITE}/gold/x?a=b%20c`;
  assert.equal((await page.goto(deepLink)).status(), 403);
  assert.match(await page.textContent('main'), /Signing in was not enough/);
  assert.ok(await page.getByRole('link', { name: 'front page' }).isVisible());
  assert.equal((await beside.goto(`${SITE}/x`)).status(), 200, 'the session is what it was');
  await step('gold');
  await page.getByRole('link', { name: 'Try again' }).click();
  await page.waitForURL(deepLink);
  assert.match(await page.textContent('body'), /alice/);
  await assertSessionCookies(context);
  assert.deepEqual(found, []);
}
