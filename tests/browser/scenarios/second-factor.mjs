// Somebody with a second factor signs in with the keyboard alone, in a browser without JavaScript, and mistypes the code at first.

import assert from 'node:assert/strict';

import { assertSessionCookies, code, complaints, FIRST_STEP, ONE_TIME_CODE, SIGN_IN } from '../page.mjs';

export default async function play({ browser, options }) {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  const found = complaints(page);
  const focused = () => page.locator(':focus').getAttribute('id');
  await page.goto(options.deepLink);
  assert.ok(page.url().startsWith(SIGN_IN), page.url());
  assert.equal(await focused(), 'username');
  await page.keyboard.type('dora');
  await page.keyboard.press('Tab');
  await page.keyboard.type('explorer');
  await page.keyboard.press('Enter');

  await page.waitForURL((url) => url.href.startsWith(ONE_TIME_CODE));
  assert.equal(await focused(), 'code');
  const input = page.getByLabel('Code');
  assert.equal(await input.getAttribute('autocomplete'), 'one-time-code');
  assert.equal(await input.getAttribute('inputmode'), 'numeric');
  await page.reload();
  assert.equal(await focused(), 'code', 'the page is there again, and nothing is sent anew');
  await page.keyboard.type('1234567');
  await Promise.all([page.waitForResponse((response) => response.status() === 401), page.keyboard.press('Enter')]);

  const alert = page.getByRole('alert');
  await alert.waitFor();
  assert.match(await alert.textContent(), /code is wrong/);
  assert.deepEqual((await input.getAttribute('aria-describedby')).split(' '), [await alert.getAttribute('id'), 'hint']);
  assert.equal(await input.getAttribute('aria-invalid'), 'true');
  assert.equal(await input.inputValue(), '');
  assert.equal(await focused(), 'code');

  const shown = code();
  await page.keyboard.type(`${shown.slice(0, 3)} ${shown.slice(3)}`);
  await page.keyboard.press('Tab');
  assert.equal(await page.locator(':focus').textContent(), 'Sign in', 'the button comes next');
  await page.keyboard.press('Enter');
  await page.waitForURL(options.deepLink);
  assert.equal(page.url(), options.deepLink, 'byte for byte');
  await assertSessionCookies(context);
  const names = (await context.cookies()).map((cookie) => cookie.name);
  assert.ok(!names.includes(FIRST_STEP), 'what stood between the steps is gone');
  assert.deepEqual(found, []);
}
