// Somebody signs in at the local issuer with the keyboard alone, in a browser without JavaScript, and mistypes at first.

import assert from 'node:assert/strict';

import { assertSessionCookies, complaints, SIGN_IN } from '../page.mjs';

export default async function play({ browser, options }) {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  const found = complaints(page);
  const focused = () => page.locator(':focus').getAttribute('id');
  await page.goto(options.deepLink);
  assert.ok(page.url().startsWith(SIGN_IN), page.url());
  const before = (await context.cookies()).map((cookie) => cookie.name);
  assert.deepEqual(before, ['__Host-usher-form'], 'nothing is said about somebody who only looks');

  assert.equal(await focused(), 'username');
  await page.keyboard.type('alice');
  await page.keyboard.press('Tab');
  assert.equal(await focused(), 'password');
  await page.keyboard.type('guess-9127');
  await Promise.all([page.waitForResponse((response) => response.status() === 401), page.keyboard.press('Enter')]);

  const alert = page.getByRole('alert');
  await alert.waitFor();
  assert.match(await alert.textContent(), /wrong/);
  const password = page.getByLabel('Password');
  assert.equal(await password.getAttribute('aria-describedby'), await alert.getAttribute('id'));
  assert.equal(await page.getByLabel('User name').inputValue(), 'alice', 'the name is kept');
  assert.equal(await password.inputValue(), '', 'the password is not');
  assert.equal(await focused(), 'password');

  await page.keyboard.type('wonderland');
  await page.keyboard.press('Tab');
  assert.equal(await page.locator(':focus').textContent(), 'Sign in', 'the button comes next');
  await page.keyboard.press('Enter');
  await page.waitForURL(options.deepLink);
  assert.equal(page.url(), options.deepLink, 'byte for byte');
  await assertSessionCookies(context);
  assert.deepEqual(found, []);
}
