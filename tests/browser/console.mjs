// Signs in, sees this machine, lets one arrive, runs a command on two, watches, cancels, and looks at every screen.

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ensure, everyLook, scenario, settled, signIn } from './browser.mjs';

await scenario(async ({ page, facts }) => {
  await signIn(page, facts);
  await page.goto(`${facts.url}/fleet/machines`);
  const grid = page.getByRole('grid', { name: 'Machines' });
  for (const name of facts.machines) await grid.getByRole('row', { name: new RegExp(name) }).waitFor();
  const faults = [];

  const agent = await arrive(page, grid, facts);
  try {
    faults.push(...(await everyLook(page, 'machines', facts.pictures)));
    await runOnTwo(page, facts, faults);
    await cancel(page, facts);
    await palette(page, facts);
    for (const [name, path] of [
      ['machine', undefined], ['groups', '/fleet/groups'], ['jobs', '/fleet/jobs'], ['plugins', '/fleet/plugins'],
      ['audit', '/fleet/audit'], ['operators', '/fleet/operators'], ['events', '/fleet/events'], ['values', '/fleet/settings'],
      ['settings', '/inventory/settings'],
    ]) {
      if (path) await page.goto(`${facts.url}${path}`);
      else {
        await page.goto(`${facts.url}/fleet/machines`);
        await grid.getByRole('row', { name: new RegExp(facts.machines[0]) }).getByRole('link').first().click();
      }
      await page.getByRole('heading').first().waitFor();
      await page.waitForFunction(() => document.querySelector('.skeleton') === null);
      faults.push(...(await everyLook(page, name, facts.pictures)));
    }
    if (facts.pictures) await cover(page, grid, facts);
  } finally {
    agent.kill('SIGTERM');
  }
  ensure(faults.length === 0, faults.join('\n'));
});

/** The picture that the README shows: the machines, with everything known about them. */
async function cover(page, grid, facts) {
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
  await page.goto(`${facts.url}/fleet/machines`);
  await grid.getByRole('row', { name: new RegExp(`${facts.arriving}.*Linux`) }).waitFor();
  await settled(page);
  await page.screenshot({ path: join(facts.pictures, 'console-light.png') });
}

/** Asks for a join token on screen, starts an agent with it, and sees its row appear without a reload. */
async function arrive(page, grid, facts) {
  await page.getByRole('button', { name: 'Add a machine' }).first().click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Add a machine' }).click();
  const token = dialog.locator('.result-value', { has: page.getByRole('heading', { name: 'Token', exact: true }) }).locator('pre, code').first();
  await token.waitFor();
  const line = await dialog.locator('.result').innerText();
  ensure(line.includes('curl') && line.includes('--pinnedpubkey'), `no line to paste in: ${line}`);
  const word = (await token.innerText()).trim();
  if (facts.pictures) await page.screenshot({ path: join(facts.pictures, 'add-machine.png') });
  await dialog.getByRole('button', { name: 'Done' }).click();
  const agent = spawn(facts.agent[0], [...facts.agent.slice(1), word], { stdio: 'ignore' });
  const begun = Date.now();
  await grid.getByRole('row', { name: new RegExp(facts.arriving) }).waitFor();
  console.log(`a pasted token brings a machine on screen after ${Date.now() - begun} ms`);
  return agent;
}

/** Runs a command of a plugin on two machines and watches it in the drawer. */
async function runOnTwo(page, facts, faults) {
  await order(page, facts, 3);
  const drawer = await openJob(page);
  await drawer.getByText('1 of 2 done').or(drawer.getByText('0 of 2 done')).waitFor();
  if (facts.pictures) await page.screenshot({ path: join(facts.pictures, 'job-running.png') });
  await drawer.getByText('2 of 2 done').waitFor({ timeout: 30_000 });
  ensure((await drawer.getByText('Succeeded').count()) >= 3, 'the job and both machines have not succeeded');
  faults.push(...(await everyLook(page, 'job', facts.pictures)));
  await page.keyboard.press('Escape');
}

/** Runs it again, longer, and cancels it. */
async function cancel(page, facts) {
  await order(page, facts, 600);
  const drawer = await openJob(page);
  await drawer.getByRole('button', { name: 'Cancel' }).waitFor();
  await drawer.getByText(/Running/).first().waitFor();
  const begun = Date.now();
  await drawer.getByRole('button', { name: 'Cancel' }).click();
  await drawer.getByText('Cancelled').first().waitFor();
  const took = Date.now() - begun;
  console.log(`cancelled on screen after ${took} ms`);
  ensure(took < 2000, `it took ${took} ms to see the cancel`);
  await page.keyboard.press('Escape');
}

/** Walks the palette by keyboard and goes where it leads. */
async function palette(page, facts) {
  await page.goto(`${facts.url}/fleet/machines`);
  await page.getByRole('heading', { name: 'Machines' }).waitFor();
  await page.keyboard.press('Control+K');
  const input = page.getByRole('combobox', { name: 'Search or run a command' });
  await input.waitFor();
  for (let n = 0; n < 5; n += 1) await page.keyboard.press('ArrowDown');
  await input.fill('groups');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Groups', exact: true }).waitFor();
}

/** Fills in the form of the greeting on both machines, by keyboard where a person would. */
async function order(page, facts, seconds) {
  await page.goto(`${facts.url}/hello`);
  await page.getByRole('button', { name: 'Greet someone' }).click();
  const dialog = page.getByRole('dialog');
  const machines = dialog.getByRole('combobox', { name: 'Machines' });
  for (const name of facts.machines) {
    await machines.fill(name);
    await page.getByRole('option', { name }).click();
  }
  await dialog.getByLabel('To', { exact: true }).fill('the fleet');
  const field = dialog.getByLabel('Seconds', { exact: true });
  if (!(await field.isVisible())) await dialog.getByRole('button', { name: 'More options' }).click();
  await field.fill(String(seconds));
  await dialog.getByRole('button', { name: /^Greet/ }).click();
}

/** Opens what was just started. */
async function openJob(page) {
  await page.getByRole('button', { name: 'Show' }).last().click();
  const drawer = page.getByRole('dialog');
  await drawer.getByRole('heading', { name: /^Greet/ }).waitFor();
  return drawer;
}
