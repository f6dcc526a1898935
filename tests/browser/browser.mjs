// A real Chromium for the scenarios beside this file, and what every scenario needs of it.

import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const require = createRequire(import.meta.url);
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const program = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);

const switches = [
  '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
  '--disable-sync', '--disable-dev-shm-usage', ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
];

/** Runs one scenario with what it was told, and fails with everything the page complained about. */
export async function scenario(run) {
  const facts = JSON.parse(process.argv[2] ?? '{}');
  const browser = await chromium.launch({ executablePath: program, args: switches });
  const complaints = [];
  try {
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, reducedMotion: 'reduce' });
    const page = await context.newPage();
    page.setDefaultTimeout(15_000);
    page.on('pageerror', (error) => complaints.push(`uncaught: ${error.message}`));
    page.on('console', (message) => {
      // A refused request is the console's to show; a broken policy or a crashed component is a fault.
      if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) complaints.push(message.text());
    });
    try {
      await run({ page, context, browser, facts });
    } catch (error) {
      if (facts.pictures) await page.screenshot({ path: join(facts.pictures, 'failed.png') }).catch(() => undefined);
      throw error;
    }
    if (complaints.length > 0) throw new Error(`the page complained:\n${complaints.join('\n')}`);
  } finally {
    await browser.close();
  }
}

/** Clicks the printed link, and answers the card that asks for a name and password. */
export async function signIn(page, facts) {
  await page.goto(facts.signIn);
  const card = page.getByRole('region', { name: 'Set your name and password' });
  await card.waitFor();
  await card.getByLabel('Name').fill('Ada');
  await card.getByLabel('Password').fill('a long enough password 1');
  await card.getByRole('button', { name: 'Set up' }).click();
  await card.waitFor({ state: 'detached' });
}

/** Every rule of accessibility that the page breaks. */
export async function broken(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  return violations.map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(' ')}`);
}

/** Pictures of the page in both themes and three widths, each checked for accessibility and for a sideways scroll. */
export async function everyLook(page, name, pictures) {
  const faults = [];
  for (const theme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
    for (const width of [1440, 768, 390]) {
      await page.setViewportSize({ width, height: width === 1440 ? 900 : 844 });
      await settled(page);
      if (pictures) await page.screenshot({ path: join(pictures, `${name}-${theme}-${width}.png`) });
      for (const fault of await broken(page)) faults.push(`${name} ${theme} ${width}: ${fault}`);
      const sideways = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (sideways > 0) faults.push(`${name} ${theme} ${width}: the page is ${sideways} px too wide`);
    }
  }
  await page.setViewportSize({ width: 1440, height: 900 });
  return faults;
}

/** Waits until the page has painted what it has. */
export async function settled(page) {
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  await page.waitForFunction(() => document.getAnimations().every((one) => one.playState !== 'running' || one.effect?.getTiming().iterations === Infinity));
}

export function ensure(holds, what) {
  if (!holds) throw new Error(what);
}
