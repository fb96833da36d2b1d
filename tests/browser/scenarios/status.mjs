// The status page of the admin listener: what happens appears without a reload, and a refusal is one click from its
// explanation. Kept as pictures, in dark and light, on a desk and on a phone.

import assert from 'node:assert/strict';
import { join } from 'node:path';

import { complaints, faults } from '../page.mjs';

const SIZES = { desk: { width: 1280, height: 900 }, phone: { width: 375, height: 667 }, narrow: { width: 320, height: 568 } };

/** Measures what is shown in every size and colour, and keeps pictures of it. */
async function look(page, name, pictures) {
  const wrong = [];
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    for (const [size, viewport] of Object.entries(SIZES)) {
      await page.setViewportSize(viewport);
      wrong.push(...(await page.evaluate(faults)).map((fault) => `${name}, ${colorScheme}, ${size}: ${fault}`));
      if (size === 'narrow') continue;
      const clip = { x: 0, y: 0, width: viewport.width, height: Math.min(1600, await page.evaluate(() => document.body.offsetHeight)) };
      await page.screenshot({ path: join(pictures, `${name}-${colorScheme}-${size}.png`), fullPage: true, clip });
    }
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize(SIZES.desk);
  return wrong;
}

export default async function play({ browser, options, step }) {
  const { admin, pictures, reason, condition, held } = options;
  const context = await browser.newContext({ viewport: SIZES.desk });
  const page = await context.newPage();
  const found = complaints(page);
  const asked = [];
  page.on('request', (request) => asked.push(request.url()));
  const shown = [];
  const keep = async () => shown.push(await page.content());
  const wrong = [];

  await page.goto(admin);
  await page.getByText('live', { exact: true }).waitFor();
  for (const site of ['app.test', 'admin.test', 'pub.test']) {
    await page.locator('summary', { hasText: site }).first().waitFor();
  }
  await page.getByRole('heading', { name: 'All is well' }).waitFor();
  // Whatever happens from here on must come without another document.
  await page.evaluate(() => { window.isTheSame = true; });
  await page.locator('summary', { hasText: 'pub.test' }).click();
  const isOpen = () => page.locator('details', { hasText: 'pub.test' }).evaluate((details) => details.open);
  const before = await isOpen();

  await step('refuse');
  const why = page.getByRole('link', { name: reason });
  await why.waitFor();
  assert.ok(await page.evaluate(() => window.isTheSame), 'it appears without a reload');
  assert.equal(await isOpen(), before, 'what somebody has folded stays folded');
  await keep();
  wrong.push(...(await look(page, 'status', pictures)));

  await why.first().click();
  await page.getByRole('heading', { name: 'Step by step' }).waitFor();
  const line = page.getByRole('listitem').filter({ hasText: condition });
  assert.match(await line.textContent(), /✗/);
  assert.ok((await line.textContent()).includes(held), await line.textContent());
  await keep();
  wrong.push(...(await look(page, 'status-refusal', pictures)));
  await page.getByRole('link', { name: 'Back to the status' }).click();
  await page.getByText('live', { exact: true }).waitFor();

  await page.evaluate(() => { window.isTheSame = true; });
  await step('break');
  await page.getByRole('link', { name: 'the last reload failed' }).waitFor();
  await page.getByText('acces is not a key').waitFor();
  assert.ok(await page.evaluate(() => window.isTheSame), 'it appears without a reload');
  await keep();
  wrong.push(...(await look(page, 'status-troubled', pictures)));
  await context.close();

  const plain = await browser.newContext({ javaScriptEnabled: false });
  const still = await plain.newPage();
  await still.goto(admin);
  await still.getByRole('link', { name: 'the last reload failed' }).waitFor();
  await still.getByRole('link', { name: 'Refresh' }).click();
  await still.getByRole('link', { name: reason }).first().waitFor();
  await plain.close();

  const elsewhere = asked.filter((url) => !url.startsWith(admin) && !url.startsWith('data:'));
  assert.deepEqual(elsewhere, [], 'nothing comes from outside');
  wrong.push(...found);
  assert.ok(wrong.length === 0, wrong.join('\n'));
  return shown;
}
