// Another site has a link to the page that a sign-in ends with, for somebody who is signed in.

import assert from 'node:assert/strict';

import { complaints, open, SITE } from '../page.mjs';

export default async function play({ browser, options }) {
  const page = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
  const found = complaints(page);
  await open(page, `${SITE}/strict`);
  await page.goto(options.lure);
  await page.getByRole('link', { name: 'Win' }).click();
  await page.waitForURL(`${SITE}/lured`);
  await page.goto(`${SITE}/typed`);
  assert.deepEqual(found, []);
}
