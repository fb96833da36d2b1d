// A page asks the application every second, for longer than several access tokens live, and notices nothing.

import assert from 'node:assert/strict';

import { complaints, open, SITE } from '../page.mjs';

export default async function play({ browser, options }) {
  const context = await browser.newContext();
  const page = await context.newPage();
  const found = complaints(page);
  await open(page, `${SITE}/polls`);
  let documents = 0;
  page.on('request', (request) => { documents += Number(request.isNavigationRequest()); });
  const seen = new Set();
  let polls = [];
  while (seen.size < options.tokens) {
    await page.waitForFunction((before) => window.polls.length > before, polls.length);
    polls = await page.evaluate(() => window.polls);
    assert.deepEqual(polls.filter((poll) => poll !== '200'), [], 'no poll fails, and none is redirected');
    assert.ok(polls.length < options.tokens * 20, `${seen.size} tokens after ${polls.length} polls`);
    const cookies = await context.cookies();
    seen.add(cookies.find(({ name }) => name === '__Host-usher-access').value);
  }
  assert.ok(polls.length > (options.tokens - 1) * 4, `${polls.length} polls`);
  assert.equal(documents, 0, 'the page was never loaded again');
  assert.deepEqual(found, []);
  return polls.length;
}
