// A sign-in that leads back to the sign-in again and again ends with a page that says why.

import assert from 'node:assert/strict';
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { chromium } from 'playwright-core';

import { complaints } from '../page.mjs';

/** A browser whose owner has forbidden the cookies of this site. */
async function withoutCookies(launch, use) {
  const profile = await mkdtemp(join(tmpdir(), 'usher-browser-'));
  try {
    await mkdir(join(profile, 'Default'));
    const cookies = { '[*.]app.test,*': { setting: 2 } };
    const preferences = { profile: { content_settings: { exceptions: { cookies } } } };
    await writeFile(join(profile, 'Default', 'Preferences'), JSON.stringify(preferences));
    const context = await chromium.launchPersistentContext(profile, launch);
    try {
      await use(context);
    } finally {
      await context.close();
    }
  } finally {
    await rm(profile, { recursive: true });
  }
}

export default async function play({ browser, launch, options }) {
  const visit = async (context) => {
    const page = await context.newPage();
    const found = complaints(page);
    let requests = 0;
    page.on('request', () => { requests += 1; });
    const answer = await page.goto(options.url);
    assert.equal(answer.status(), options.status, await page.textContent('body'));
    assert.match(await page.textContent('main'), new RegExp(options.says));
    assert.ok(requests < 40, `after ${requests} requests`);
    assert.ok(await page.getByRole('link', { name: /sign in|again/i }).isVisible(), 'somebody may try again');
    assert.deepEqual(found, []);
  };
  if (options.cookies) await visit(await browser.newContext());
  else await withoutCookies(launch, visit);
}
