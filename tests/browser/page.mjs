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

/** Runs in the page: what is wrong with how it looks, as sentences. */
export function faults() {
  const wrong = [];
  const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = (colour) => {
    const [red, green, blue] = numbers(colour).map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const background = (element) => {
    for (let behind = element; behind; behind = behind.parentElement) {
      const colour = getComputedStyle(behind).backgroundColor;
      if (numbers(colour)[3] !== 0) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const hasText = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== '');
  const texts = [...document.body.querySelectorAll('*')].filter((element) => hasText(element) || element.matches('input:not([type=hidden])'));
  for (const element of texts) {
    const [lighter, darker] = [getComputedStyle(element).color, background(element)].map(luminance).sort((a, b) => b - a);
    const contrast = (lighter + 0.05) / (darker + 0.05);
    if (!(contrast >= 4.5)) wrong.push(`contrast ${contrast.toFixed(2)} of <${element.localName}> ${element.textContent.trim()}`);
  }
  for (const input of document.querySelectorAll('input:not([type=hidden])')) {
    if (!input.labels.length) wrong.push(`no label for ${input.name}`);
  }
  for (const target of document.querySelectorAll('input:not([type=hidden]), button, a.button')) {
    if (target.getBoundingClientRect().height < 44) wrong.push(`${target.localName} is too small for a finger`);
  }
  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth > clientWidth) wrong.push(`it scrolls sideways: ${scrollWidth} wide in ${clientWidth}`);
  if (document.querySelectorAll('h1').length !== 1) wrong.push('not one heading');
  if (!document.documentElement.lang || !document.title) wrong.push('no language or no title');
  return wrong;
}
