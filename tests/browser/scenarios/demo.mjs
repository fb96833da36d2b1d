// The page of `usher demo` on a desk and on a phone: nothing on it is cut. Kept as pictures.

import assert from 'node:assert/strict';
import { join } from 'node:path';

import { complaints, faults, signIn } from '../page.mjs';

const SIZES = { desk: { width: 1280, height: 900 }, phone: { width: 390, height: 844 }, narrow: { width: 320, height: 568 } };

/** Runs in the page: what is wider than the place that there is for it. The list of renewals scrolls downwards only. */
function cut() {
  return [...document.querySelectorAll('main *')]
    .filter((element) => element.scrollWidth > element.clientWidth && getComputedStyle(element).overflowX !== 'visible')
    .map((element) => `<${element.localName} class="${element.className}"> is cut`);
}

export default async function play({ browser, options }) {
  const { port, pictures } = options;
  const page = await browser.newPage();
  const found = complaints(page);
  await page.goto(`https://localhost:${port}/`);
  await signIn(page);
  await page.getByRole('rowheader', { name: 'x-user-email' }).waitFor();
  const wrong = [];
  for (const [size, viewport] of Object.entries(SIZES)) {
    await page.setViewportSize(viewport);
    wrong.push(...[...(await page.evaluate(faults)), ...(await page.evaluate(cut))].map((fault) => `${size}: ${fault}`));
    await page.getByRole('row').filter({ hasText: 'user-agent' }).waitFor();
    await page.screenshot({ path: join(pictures, `demo-${size}.png`), fullPage: true });
  }
  wrong.push(...found);
  assert.ok(wrong.length === 0, wrong.join('\n'));
}
