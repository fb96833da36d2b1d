// Every page in dark and light, on a desk and on a phone: kept as pictures for people to look at, and measured.

import assert from 'node:assert/strict';
import { join } from 'node:path';

import { complaints, faults, open, SIGN_IN, signIn, SITE } from '../page.mjs';

const DESK = { width: 1280, height: 800 };
const PHONE = { width: 375, height: 667 };
/** The narrowest that must not scroll sideways (WCAG 2.2, 1.4.10). */
const NARROW = { width: 320, height: 568 };

/** How to get each page; a session is there from the sign-in on. */
const PAGES = {
  'sign-in': (page) => page.goto(`${SITE}/account`),
  'wrong-password': (page) => signIn(page, 'alice', 'guess').then(() => page.getByRole('alert').waitFor()),
  'one-time-code': async (page) => {
    await signIn(page, 'dora', 'explorer');
    await page.getByLabel('Code').waitFor();
  },
  'wrong-code': async (page) => {
    await page.getByLabel('Code').fill('1234567');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('alert').waitFor();
  },
  'sign-out': async (page) => {
    await open(page, `${SITE}/account`);
    await page.goto(`${SITE}/.usher/sign-out`);
  },
  forbidden: (page) => page.goto(`${SITE}/admin/`),
  'upstream-away': (page) => page.goto(`${SITE}/away`),
  'go-back': (page) => page.goto(`${SITE}/.usher/go-back`),
  'signed-out': async (page) => {
    await page.goto(`${SITE}/.usher/sign-out`);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
  },
  resend: async (page) => {
    await open(page, `${SITE}/form`);
    await page.context().clearCookies();
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('button', { name: 'Send again' }).waitFor();
  },
  'issuer-away': (page) => page.goto('https://other.test/'),
  loop: async (page) => {
    await page.goto(`${SITE}/asks`);
    for (let again = 0; again < 4 && page.url().startsWith(SIGN_IN); again += 1) {
      const on = (url) => url.pathname !== '/.usher/issuer/signed-in';
      await Promise.all([page.waitForNavigation({ url: on }), signIn(page)]);
    }
    await page.getByText('The likely cause').waitFor();
  },
};

/** What each of them is headed by. */
const HEADINGS = {
  'sign-in': 'Sign in',
  'wrong-password': 'Sign in',
  'one-time-code': 'Enter your code',
  'wrong-code': 'Enter your code',
  'sign-out': 'Sign out?',
  forbidden: 'This is not allowed',
  'upstream-away': 'Something is out of order',
  'go-back': 'You are signed in',
  'signed-out': 'You are signed out',
  resend: 'You are not signed in',
  'issuer-away': 'Not available right now',
  loop: 'Signing in goes in circles',
};

/** The sign-in page and a refusal, for somebody whose browser is set to German: its words are longer. */
async function inGerman(browser, pictures) {
  const context = await browser.newContext({ locale: 'de-AT', viewport: DESK });
  const page = await context.newPage();
  const wrong = [];
  for (const [name, url, heading] of [
    ['sign-in', `${SITE}/account`, 'Anmelden'],
    ['refusal', `${SITE}/.usher/callback?code=x&state=y`, 'Ungültige Anfrage'],
  ]) {
    await page.goto(url);
    assert.equal(await page.locator('html').getAttribute('lang'), 'de');
    assert.equal(await page.getByRole('heading').textContent(), heading);
    for (const [size, viewport] of Object.entries({ desk: DESK, phone: PHONE, narrow: NARROW })) {
      await page.setViewportSize(viewport);
      wrong.push(...(await page.evaluate(faults)).map((fault) => `${name} in German, ${size}: ${fault}`));
      if (viewport !== NARROW) await page.screenshot({ path: join(pictures, `${name}-german-${size}.png`) });
    }
  }
  await context.close();
  return wrong;
}

export default async function play({ browser, options }) {
  const wrong = [];
  for (const colorScheme of ['light', 'dark']) {
    const context = await browser.newContext({ colorScheme, viewport: DESK });
    const page = await context.newPage();
    const found = complaints(page);
    for (const [name, visit] of Object.entries(PAGES)) {
      await visit(page);
      assert.equal(await page.getByRole('heading').textContent(), HEADINGS[name]);
      for (const [size, viewport] of Object.entries({ desk: DESK, phone: PHONE, narrow: NARROW })) {
        await page.setViewportSize(viewport);
        wrong.push(...(await page.evaluate(faults)).map((fault) => `${name}, ${colorScheme}, ${size}: ${fault}`));
        if (viewport === NARROW) continue;
        await page.screenshot({ path: join(options.pictures, `${name}-${colorScheme}-${size}.png`) });
      }
      await page.setViewportSize(DESK);
      wrong.push(...found.splice(0).map((complaint) => `${name}, ${colorScheme}: ${complaint}`));
    }
    await context.close();
  }
  wrong.push(...(await inGerman(browser, options.pictures)));
  assert.ok(wrong.length === 0, wrong.join('\n'));
  return Object.keys(PAGES).length * 4 + 4;
}
