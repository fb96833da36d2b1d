// What the scenarios share.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';

export const SITE = 'https://app.test';
export const SIGN_IN = `${SITE}/.usher/issuer/sign-in`;
export const ONE_TIME_CODE = `${SITE}/.usher/issuer/one-time-code`;
export const FIRST_STEP = '__Host-usher-first-step';

/** Signs in on the page of the local issuer, which this page shows. */
export async function signIn(page, username = 'alice', password = 'wonderland') {
  await page.getByLabel('User name').fill(username);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** What the authenticator app of dora shows now (RFC 6238): her secret is that of its appendix B. */
export function code() {
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)));
  const tag = createHmac('sha1', '12345678901234567890').update(step).digest();
  const number = tag.readUInt32BE(tag[19] & 0xf) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, '0');
}

/** Opens an address without a session, and signs in. */
export async function open(page, url) {
  await page.goto(url);
  assert.ok(page.url().startsWith(SIGN_IN), `to sign in, not ${page.url()}`);
  await signIn(page);
  await page.waitForURL(url);
}

/** The session as the browser keeps it: nothing but sealed cookies for this host alone, which no script can read. */
export async function assertSessionCookies(context) {
  const cookies = (await context.cookies()).filter(({ domain }) => domain.endsWith('app.test'));
  assert.ok(cookies.some(({ name }) => name === '__Host-usher-access'), JSON.stringify(cookies));
  assert.ok(cookies.some(({ name }) => name === '__Host-usher-refresh'), JSON.stringify(cookies));
  for (const { name, domain, path, secure, httpOnly, sameSite, expires } of cookies) {
    assert.match(name, /^__Host-usher-/);
    // A domain that was asked for begins with a dot.
    assert.deepEqual({ domain, path, secure, httpOnly, sameSite }, { domain: 'app.test', path: '/', secure: true, httpOnly: true, sameSite: 'Lax' }, name);
    assert.ok(expires < Date.now() / 1000 + 400 * 86_400, `${name} is kept for ever`);
  }
}

/** Collects what the browser complains of, a breach of the content security policy above all. */
export function complaints(page) {
  const found = [];
  page.on('pageerror', (error) => found.push(String(error)));
  page.on('console', (message) => {
    // A refusal is not a fault of its page.
    const isStatus = message.text().startsWith('Failed to load resource: the server responded with a status of');
    if (['error', 'warning'].includes(message.type()) && !isStatus) found.push(message.text());
  });
  return found;
}
