// Looks at the built console on the invented backend: every kind of screen in both themes and three widths, with axe on
// each and a watch on errors and on the content policy. `node scripts/look.js [scene…] [--out DIR]`

import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { runnerImport } from 'vite';

const require = createRequire(import.meta.url);
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const dist = fileURLToPath(new URL('../dist', import.meta.url));
const args = process.argv.slice(2);
const outAt = args.indexOf('--out');
const out = outAt >= 0 ? args.splice(outAt, 2)[1] : fileURLToPath(new URL('../.look', import.meta.url));
const widthAt = args.indexOf('--width');
const widths = widthAt >= 0 ? [Number(args.splice(widthAt, 2)[1])] : [390, 768, 1440];
const themeAt = args.indexOf('--theme');
const themes = themeAt >= 0 ? [args.splice(themeAt, 2)[1]] : ['light', 'dark'];
mkdirSync(out, { recursive: true });

const table = async (page) => {
  await page.goto('/fleet/machines');
  await page.waitForSelector('.grid-row');
};
const tree = async (page) => {
  await page.goto(`/acme-archive/entries?${['/etc', '/home', '/home/ada', '/home/ada/Documents'].map((one) => `open=${encodeURIComponent(one)}`).join('&')}`);
  await page.waitForSelector('.tree-row[aria-level="4"]');
};
const firstRow = (page) => page.locator('.grid-row').first();

/** Where there is no room for its button it is behind the one for more. */
const findPrinters = async (page) => {
  const button = page.locator('.bulk').getByRole('button', { name: /Find printers/ });
  if (await button.isVisible()) return button.click();
  await page.locator('.bulk').getByRole('button', { name: 'More actions' }).click();
  return page.getByRole('menuitem', { name: /Find printers/ }).click();
};

/** Each brings a page to what is to be seen. */
const scenes = {
  'sign-in': async (page) => { await page.context().clearCookies(); await page.goto('/fleet/machines'); await page.waitForSelector('.sign-in-card'); },
  'link-used': async (page) => { await page.context().clearCookies(); await page.goto('/sign-in/used'); await page.waitForSelector('.note.danger'); },
  'set-up': async (page, { setup }) => { setup(true); await table(page); },
  table,
  selection: async (page) => {
    await table(page);
    for (const n of [0, 1, 2]) await page.locator('.grid-row .row-check').nth(n).click();
    await page.waitForSelector('.bulk');
  },
  'row-menu': async (page) => { await table(page); await firstRow(page).locator('.row-more').click(); await page.waitForSelector('[role=menu]'); },
  filter: async (page) => { await table(page); await page.getByRole('button', { name: 'Filter', exact: true }).click(); await page.waitForSelector('.counted li label'); },
  filtered: async (page) => { await page.goto(`/fleet/machines?q=ber&where=${encodeURIComponent('[{"field":"status","op":"eq","value":"offline"}]')}`); await page.waitForSelector('.grid-row'); },
  'no-match': async (page) => { await page.goto('/fleet/machines?q=zzzzzz'); await page.waitForSelector('.empty'); },
  printers: async (page) => { await page.goto('/acme-printers/printers'); await page.waitForSelector('.grid-row'); },
  types: async (page) => { await page.goto('/acme-printers/samples'); await page.waitForSelector('.grid-row'); },
  empty: async (page) => { await page.goto('/acme-printers/trays'); await page.waitForSelector('.empty'); },
  detail: async (page) => { await page.goto('/fleet/machine/m000003'); await page.waitForSelector('.facts'); await page.waitForTimeout(300); },
  'detail-types': async (page) => { await page.goto('/acme-printers/sample/f_id-0003'); await page.waitForSelector('.facts'); },
  settings: async (page) => { await page.goto('/acme-printers/settings'); await page.waitForSelector('.setting'); },
  jobs: async (page) => { await page.goto('/fleet/jobs'); await page.waitForSelector('.grid-row'); },
  form: async (page) => {
    await table(page);
    for (const n of [0, 1, 2]) await page.locator('.grid-row .row-check').nth(n).click();
    await findPrinters(page);
    await page.waitForSelector('.form .field');
    await page.locator('.more-options summary').click();
  },
  'form-picker': async (page) => { await page.goto('/acme-printers/printers'); await page.waitForSelector('.grid-row'); await page.getByRole('button', { name: 'Find printers' }).click(); await page.waitForSelector('[role=option]'); await page.waitForFunction(() => getComputedStyle(document.querySelector('.overlay')).opacity === '1'); },
  'form-wrong': async (page) => {
    await page.goto('/acme-printers/find-form');
    await page.waitForSelector('.form .field');
    await page.getByLabel('Subnet').fill('10.9');
    await page.locator('.form-foot .primary').click();
    await page.waitForSelector('.field-problem');
  },
  danger: async (page) => {
    await page.goto('/acme-printers/printers');
    await page.waitForSelector('.grid-row');
    await firstRow(page).locator('.row-more').click();
    await page.getByRole('menuitem', { name: 'Forget printer' }).click();
    await page.waitForSelector('.form .note.danger');
  },
  'add-machine': async (page) => {
    await table(page);
    await page.locator('.toolbar .primary').click();
    await page.locator('.form-foot .primary').click();
    await page.waitForSelector('.result .code-block');
  },
  palette: async (page) => { await table(page); await page.keyboard.press('Control+k'); await page.waitForSelector('.palette-list'); await page.keyboard.type('ma'); await page.waitForTimeout(350); },
  keys: async (page) => { await table(page); await page.keyboard.press('?'); await page.waitForSelector('.keys'); },
  drawer: async (page) => { await table(page); await page.locator('.jobs-button').click(); await page.waitForSelector('.job-list li'); },
  job: async (page) => {
    await table(page);
    for (const n of [0, 1, 2]) await page.locator('.grid-row .row-check').nth(n).click();
    await findPrinters(page);
    await page.locator('.form-foot .primary').click();
    await page.locator('.toast').getByRole('button', { name: 'Show' }).click();
    await page.waitForSelector('.job-children');
    await page.waitForTimeout(1500);
  },
  'job-failed': async (page) => { await table(page); await page.locator('.jobs-button').click(); await page.locator('.job-list li', { hasText: 'Failed' }).first().click(); await page.waitForSelector('.job .note'); },
  markdown: async (page) => { await page.goto('/acme-printers/guide'); await page.waitForSelector('.markdown'); },
  unsupported: async (page) => { await page.goto('/acme-printers/kind-terminal'); await page.waitForSelector('.empty'); },
  broken: async (page) => { await page.goto('/northwind-scales'); await page.waitForSelector('.note.danger'); },
  navigation: async (page) => { await table(page); const menu = page.locator('.menu-button'); if (await menu.isVisible()) await menu.click(); await page.waitForTimeout(250); },
  tree,
  'tree-picked': async (page) => {
    await tree(page);
    for (const name of ['etc', 'notes.txt']) await page.getByRole('row', { name: new RegExp(`Select ${name.replace('.', '\\.')} `) }).locator('.row-check').click();
    await page.waitForSelector('.bulk');
  },
  'tree-lines': async (page) => { await page.goto(`/acme-archive/entries?${['/srv', '/srv/empty', '/srv/refused'].map((one) => `open=${encodeURIComponent(one)}`).join('&')}`); await page.waitForSelector('.tree-line.failed'); },
  'tree-many': async (page) => { await page.goto('/acme-archive/entries?open=%2Fsrv&open=%2Fsrv%2Fmany'); await page.waitForSelector('.tree-row[aria-level="3"]'); await page.keyboard.press('ArrowDown'); await page.keyboard.press('End'); await page.waitForTimeout(400); },
  'tree-times': async (page) => { await tree(page); await page.getByRole('button', { name: /2026/ }).first().click(); await page.waitForSelector('.moments'); },
  'tree-text': async (page) => { await tree(page); await page.getByRole('row', { name: /Select notes.txt / }).dblclick(); await page.waitForSelector('.file-look pre'); await page.waitForFunction(() => getComputedStyle(document.querySelector('.overlay')).opacity === '1'); },
  'tree-restore': async (page) => {
    await tree(page);
    await page.getByRole('row', { name: /Select etc / }).locator('.row-check').click();
    await page.getByRole('toolbar', { name: 'Selected rows' }).getByRole('button', { name: 'Put back' }).click();
    await page.waitForSelector('.form-foot');
    await page.waitForFunction(() => getComputedStyle(document.querySelector('.overlay')).opacity === '1');
  },
  'tree-rtl': async (page) => { await tree(page); await page.evaluate(() => { document.documentElement.dir = 'rtl'; }); await page.waitForTimeout(100); },
  'params-table': async (page) => { await page.goto('/acme-archive/recent'); await page.waitForSelector('.grid-row'); },
  rtl: async (page) => { await table(page); await page.evaluate(() => { document.documentElement.dir = 'rtl'; }); await page.waitForTimeout(100); },
};

const { module } = await runnerImport('./mock/serve.ts');
const mock = await module.serve({ dist });
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const wanted = args.length > 0 ? args : Object.keys(scenes);
let faults = 0;
let seen = 0;
for (const theme of themes) {
  for (const width of widths) {
    const context = await browser.newContext({ baseURL: mock.address, viewport: { width, height: width < 500 ? 844 : 900 }, colorScheme: theme, reducedMotion: 'reduce', hasTouch: width < 500 });
    for (const name of wanted) {
      const operator = { ...mock.world.operator };
      await context.addCookies([{ name: 'bailiwick_session', value: 'mock', url: mock.address }]);
      const page = await context.newPage();
      page.setDefaultTimeout(8000);
      const errors = [];
      page.on('console', (message) => { if (message.type() === 'error' && !/Failed to load resource.*(401|503)/.test(message.text())) errors.push(message.text()); });
      page.on('pageerror', (error) => errors.push(String(error)));
      page.on('dialog', (dialog) => { errors.push(`a dialog: ${dialog.message()}`); void dialog.dismiss(); });
      try {
        await scenes[name](page, { setup: (on) => { mock.world.operator = { ...operator, setup: on }; } });
        await page.waitForTimeout(120);
        await page.screenshot({ path: `${out}/${name}-${theme}-${width}.png` });
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
        for (const one of violations) errors.push(`axe ${one.id}: ${one.nodes.length} × ${one.help}: ${one.nodes.slice(0, 3).map((node) => `${node.target.join(' ')} ${node.failureSummary?.split('\n')[1] ?? ''}`).join(' | ')}`);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        if (wide > 0) errors.push(`the page is ${wide} px too wide`);
      } catch (error) {
        errors.push(String(error).split('\n').slice(0, 3).join(' '));
        await page.screenshot({ path: `${out}/${name}-${theme}-${width}.png` }).catch(() => undefined);
      }
      mock.world.operator = operator;
      seen += 1;
      faults += errors.length;
      for (const error of errors) console.log(`${name} ${theme} ${width}: ${error}`);
      await page.close();
    }
    await context.close();
  }
}
await browser.close();
await mock.close();
console.log(`${seen} screens, ${faults} faults, pictures in ${out}`);
process.exitCode = faults > 0 ? 1 : 0;
