// A browser that opens eight tabs at once.

import assert from 'node:assert/strict';

import { assertSessionCookies, open, SITE } from '../page.mjs';

const TABS = 8;

export default async function play({ browser, options, step }) {
  const context = await browser.newContext();
  const pages = await Promise.all(Array.from({ length: TABS }, () => context.newPage()));
  const openAll = async (round) => {
    const visits = pages.map(async (page, tab) => {
      const url = `${SITE}/tab?round=${round}&tab=${tab}`;
      const answer = await page.goto(url);
      assert.deepEqual([page.url(), answer.status()], [url, 200]);
    });
    await Promise.all(visits);
    await assertSessionCookies(context);
  };
  if (options.signIn) await open(pages[0], `${SITE}/tab`);
  for (let round = 1; round <= options.rounds; round += 1) {
    await step('expire');
    await openAll(round);
  }
}
