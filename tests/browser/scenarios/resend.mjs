// Somebody fills in a form, the session is over when it is sent, and nothing has to be typed again: twice, with JavaScript and
// without.

import assert from 'node:assert/strict';

import { complaints, SITE, signIn } from '../page.mjs';

/** Fills in what a person fills in; the hidden fields of the form are as the application wrote them. */
async function fill(page) {
  await page.getByLabel('Text').fill('\nfirst line\n\n  "second" & <b>third</b>\t+ 100 % </form></textarea>\n');
  await page.getByLabel('Name').fill("O'Neill 😀 ä€ \u2028 ");
  await page.getByLabel('One').check();
  await page.getByLabel('Two').check();
}

export default async function play({ browser, options }) {
  // The certified server of the tests knows everybody by itself.
  const signsIn = options.certified ? async () => {} : signIn;
  for (const javaScriptEnabled of [true, false]) {
    const context = await browser.newContext({ javaScriptEnabled });
    const page = await context.newPage();
    const found = complaints(page);
    const isKept = () => page.getByText('it is kept on this page').waitFor();
    const arrives = () => page.waitForURL(options.landsOn ?? `${SITE}${options.action}`);
    const form = `${SITE}/form`;

    await page.goto(form);
    await signsIn(page);
    await page.waitForURL(form);
    await fill(page);
    await page.getByRole('button', { name: 'Save' }).click();
    await arrives();

    await page.goto(form);
    await fill(page);
    await context.clearCookies();
    await page.getByRole('button', { name: 'Save' }).click();
    await isKept();
    // Too early, and nothing is lost.
    await Promise.all([page.waitForResponse((response) => response.status() === 401), page.getByRole('button', { name: 'Send again' }).click()]);
    await isKept();

    const [tab] = await Promise.all([context.waitForEvent('page'), page.getByRole('link', { name: 'Sign in' }).click()]);
    const foundThere = complaints(tab);
    await signsIn(tab);
    await tab.getByText('Go back to the tab with your form').waitFor();
    assert.equal(tab.url(), `${SITE}/.usher/go-back`);
    await tab.close();

    await isKept();
    await page.getByRole('button', { name: 'Send again' }).click();
    await arrives();
    assert.deepEqual([...found, ...foundThere], []);
    await context.close();
  }
}
