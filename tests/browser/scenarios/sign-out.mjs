// Somebody signs out, and whoever comes next presses Back.

import assert from 'node:assert/strict';

import { complaints, open, SIGN_IN, SITE } from '../page.mjs';

export default async function play({ browser }) {
  const context = await browser.newContext();
  const page = await context.newPage();
  const found = complaints(page);
  await open(page, `${SITE}/account`);
  await page.getByText('Nobody else may read this').waitFor();
  const otherTab = await context.newPage();
  await otherTab.goto(`${SITE}/account`);
  await page.getByRole('link', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Sign out?' }).waitFor();
  await page.getByText('Alice').waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
  assert.deepEqual(await context.cookies(), [], 'every cookie is gone');
  assert.equal(await otherTab.evaluate(async () => (await fetch('/account')).status), 401);

  // However many pages ago that was.
  await page.evaluate(() => {
    const { currentEntry } = navigation;
    const account = navigation.entries().findLast((entry) => entry.url.endsWith('/account'));
    setTimeout(() => history.go(account.index - currentEntry.index));
  });
  await page.waitForURL((url) => !url.pathname.startsWith('/.usher/sign-out'));
  await page.waitForLoadState();
  assert.ok(page.url().startsWith(SIGN_IN), `Back leads to ${page.url()}, which shows ${await page.textContent('body')}`);
  assert.equal(await page.getByText('Nobody else may read this').count(), 0);
  await page.goto(`${SITE}/account`);
  assert.ok(page.url().startsWith(SIGN_IN), page.url());
  assert.deepEqual(found, []);
}
