// Looks into what was backed up, at two moments, and brings some of it back: previewed, restored, and told what was left.

import { basename, join } from 'node:path';
import { ensure, everyLook, scenario, settled, signIn } from './browser.mjs';

await scenario(async ({ page, facts }) => {
  await signIn(page, facts);
  await page.goto(`${facts.url}/backup/snapshots`);
  const list = page.getByRole('grid', { name: 'Snapshots' });
  await list.getByRole('row', { name: new RegExp(facts.machine) }).first().waitFor();
  await list.locator('.grid-row .link').first().click();

  const tree = page.getByRole('treegrid', { name: 'Files' });
  const row = (name) => tree.locator('.tree-row', { has: page.getByText(name, { exact: true }) });
  // Folders that have nothing beside them open by themselves, down to where there is something to choose.
  await row('hello.txt').waitFor();
  await page.getByText('2 of 2').waitFor();
  ensure((await row('gone.txt').count()) === 0, 'a file that was deleted is in the newest snapshot');
  await row('deep').locator('.tree-twist').click();
  await row('er').waitFor();

  const faults = await everyLook(page, 'tree', facts.pictures);
  await page.getByRole('slider').press('ArrowLeft');
  await row('gone.txt').waitFor();
  await page.getByText('1 of 2').waitFor();
  ensure((await row('deep').getAttribute('aria-expanded')) === 'true', 'another moment closed what was open');
  const earlier = page.url();
  await page.reload();
  await row('gone.txt').waitFor();
  await row('er').waitFor();
  ensure(page.url() === earlier, 'the address is not what is shown');

  await keys(page, row);
  await look(page, row, facts, faults);
  await download(page, row, facts);
  await find(page, facts, faults);
  await restore(page, row, facts, faults);
  ensure(faults.length === 0, faults.join('\n'));
});

/** From a row to the next by its name, into a folder and out of it. */
async function keys(page, row) {
  await row('deep').focus();
  await page.keyboard.type('hel');
  const focused = () => page.evaluate(() => document.activeElement?.querySelector('.tree-label')?.textContent);
  await page.waitForFunction(() => document.activeElement?.querySelector('.tree-label')?.textContent === 'hello.txt');
  await page.keyboard.press('ArrowLeft');
  await page.waitForFunction(() => document.activeElement?.querySelector('.tree-label')?.textContent === 'docs');
  await page.keyboard.press('ArrowRight');
  await page.waitForFunction(() => document.activeElement?.querySelector('.tree-label')?.textContent === 'deep');
  ensure((await focused()) === 'deep', 'an arrow goes into a folder');
}

/** What is in a file, without leaving the tree. */
async function look(page, row, facts, faults) {
  await row('gone.txt').focus();
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog', { name: 'gone.txt' });
  await dialog.getByText('still here').waitFor();
  faults.push(...(await everyLook(page, 'file', facts.pictures)));
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  await row('dot.png').dblclick();
  const picture = page.getByRole('dialog', { name: 'dot.png' }).getByRole('img', { name: 'dot.png' });
  await picture.waitFor();
  ensure(await picture.evaluate((image) => image.decode().then(() => image.naturalWidth === 1)), 'the picture is not shown');
  await page.keyboard.press('Escape');
  await picture.waitFor({ state: 'detached' });
}

/** A name in every snapshot of the machine that is looked at. */
async function find(page, facts, faults) {
  await page.getByRole('button', { name: 'Find a file' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('textbox', { name: 'Name' }).fill('GONE*');
  ensure((await dialog.getByRole('combobox').count()) === 0, 'it asks for the machine that is looked at');
  await dialog.getByRole('button', { name: 'Find a file' }).click();
  await dialog.getByRole('cell', { name: /docs\/gone\.txt$/ }).waitFor();
  faults.push(...(await everyLook(page, 'found', facts.pictures)));
  await dialog.getByRole('button', { name: 'Done' }).click();
  await dialog.waitFor({ state: 'detached' });
}

/** A file and a folder are saved by the browser. */
async function download(page, row, facts) {
  const bar = page.getByRole('toolbar', { name: 'Selected rows' });
  for (const [name, button, file] of [['gone.txt', 'Download', facts.saved], ['deep', 'Download', facts.archive]]) {
    await pick(page, row, [name]);
    const [saved] = await Promise.all([page.waitForEvent('download'), bar.getByRole('button', { name: button }).click()]);
    ensure(saved.suggestedFilename() === basename(file), `it is called ${saved.suggestedFilename()}`);
    await saved.saveAs(file);
    await bar.getByRole('button', { name: 'Clear' }).click();
  }
}

async function restore(page, row, facts, faults) {
  await pick(page, row, ['deep', 'gone.txt']);
  const bar = page.getByRole('toolbar', { name: 'Selected rows' });
  await bar.getByRole('button', { name: 'Restore 2 items' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('textbox', { name: 'Folder' }).fill(facts.to);
  await dialog.getByRole('button', { name: 'Preview' }).click();
  await dialog.getByRole('cell', { name: /gone\.txt$/ }).waitFor();
  if (facts.pictures) {
    await settled(page);
    await page.screenshot({ path: join(facts.pictures, 'restore-preview.png') });
  }
  await dialog.getByRole('button', { name: 'Restore 2 items' }).click();
  await ended(page, 'Succeeded');
  await page.keyboard.press('Escape');

  // Again: now something of those names is there, and it is left alone and listed.
  await bar.getByRole('button', { name: 'Restore 2 items' }).click();
  await dialog.getByRole('textbox', { name: 'Folder' }).fill(facts.occupied);
  await dialog.getByRole('button', { name: 'Restore 2 items' }).click();
  const drawer = await ended(page, 'Partly done');
  await drawer.getByRole('cell', { name: /docs\/gone\.txt$/ }).waitFor();
  await drawer.getByRole('cell', { name: /left alone, as asked/ }).first().waitFor();
  faults.push(...(await everyLook(page, 'restored', facts.pictures)));
}

async function pick(page, row, names) {
  for (const name of names) await row(name).locator('.row-check').click();
  await page.getByText(`${names.length} selected`).waitFor();
}

/** Waits until the job that was just started, a restore, ends like this, and opens it. */
async function ended(page, state) {
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.locator('.jobs-button').click();
  const drawer = page.getByRole('dialog');
  const newest = drawer.locator('.job-list li').first();
  await newest.filter({ hasText: 'Restore' }).filter({ hasText: state }).click({ timeout: 30_000 });
  await drawer.locator('.job-head').getByText(state).waitFor();
  return drawer;
}
