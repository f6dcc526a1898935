import { act } from 'react';
import { afterEach, describe, expect, test } from 'vitest';
import { stage, type Stage } from './stage';

let on: Stage | undefined;
afterEach(async () => {
  expect(on?.errors ?? []).toEqual([]);
  await on?.close();
  on = undefined;
});

const all = (selector: string) => [...document.querySelectorAll<HTMLElement>(selector)];
const row = (name: string) => all('.tree-row').find((one) => one.querySelector('.tree-label')?.textContent === name);
const names = () => all('.tree-row').map((one) => one.querySelector('.tree-label')!.textContent);
const button = (text: string | RegExp) => all('button').find((one) => (typeof text === 'string' ? one.textContent?.trim() === text : text.test(one.getAttribute('aria-label') ?? one.textContent ?? '')));

async function press(key: string, more: KeyboardEventInit = {}): Promise<void> {
  await act(async () => { document.activeElement!.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...more })); });
  await act(async () => { await new Promise((done) => requestAnimationFrame(() => done(undefined))); });
}
const click = (element: HTMLElement | null | undefined) => act(async () => { element!.dispatchEvent(new MouseEvent('click', { bubbles: true })); });

describe('a tree', () => {
  test('opens where the address says, and the address follows', async () => {
    on = await stage('/acme-archive/entries?p.moment=s0002&open=%2Fhome&open=%2Fhome%2Fada');
    await on.until(() => row('notes.txt'));
    expect(row('home')!.getAttribute('aria-expanded')).toBe('true');
    expect(row('notes.txt')!.getAttribute('aria-level')).toBe('3');
    expect(row('notes.txt')!.hasAttribute('aria-expanded')).toBe(false);
    await click(row('home')!.querySelector<HTMLElement>('.tree-twist'));
    await on.until(() => !row('notes.txt'));
    expect(window.location.search).not.toContain('%2Fhome&');
    expect(window.location.search).toContain('p.moment=s0002');
  });

  test('is walked by keys', async () => {
    on = await stage('/acme-archive/entries');
    await on.until(() => row('etc'));
    await act(async () => row('etc')!.focus());
    await press('ArrowRight');
    await on.until(() => row('fstab'));
    await press('f');
    expect(document.activeElement).toBe(row('fstab'));
    await press('ArrowLeft');
    expect(document.activeElement).toBe(row('etc'));
    await press('End');
    expect(document.activeElement).toBe(row('var'));
    await press('Home');
    await press('Enter');
    await on.until(() => !row('fstab'));
    expect(all('[role=row][tabindex="0"]')).toHaveLength(1);
  });

  test('what is selected goes into one command, with the moment and its machine', async () => {
    on = await stage('/acme-archive/entries?p.moment=s1003&open=%2Fetc');
    await on.until(() => row('fstab'));
    await click(row('home')!.querySelector<HTMLElement>('.row-check'));
    await act(async () => row('fstab')!.focus());
    await press(' ');
    expect(row('fstab')!.getAttribute('aria-selected')).toBe('true');
    expect(row('etc')!.querySelector<HTMLInputElement>('.row-check input')!.indeterminate).toBe(true);
    const start = await on.until(() => button('Put back 2 entries'));
    await click(start);
    const submit = await on.until(() => document.querySelector<HTMLElement>('.form-foot [type=submit]'));
    expect(document.querySelector('.form')!.textContent).not.toContain('Paths');
    await click(submit);
    const job = await on.until(() => [...on!.world.jobs.values()].find((one) => one.command === 'acme-archive.put-back'));
    expect(job.input).toEqual({ moment: 's1003', path: ['/home', '/etc/fstab'] });
    expect(job.machine?.id).toBe('m000002');
  });

  test('sliding to another moment keeps what is open and lets go of what was selected', async () => {
    on = await stage('/acme-archive/entries?p.moment=s0002&open=%2Fhome&open=%2Fhome%2Fada');
    await on.until(() => row('notes.txt'));
    expect(names()).toContain('.profile');
    await click(row('etc')!.querySelector<HTMLElement>('.row-check'));
    const slider = document.querySelector<HTMLInputElement>('input[type=range]')!;
    expect([slider.value, slider.max]).toEqual(['9', '11']);
    await click(button(/^Earlier/));
    await on.until(() => window.location.search.includes('s0003'));
    await on.until(() => row('notes.txt') && !document.querySelector('.rows-frame.stale'));
    await click(button(/^Earlier/));
    await click(button(/^Earlier/));
    // On that day one of the files was not there.
    await on.until(() => row('.bashrc') && !row('.profile'));
    expect(row('home')!.getAttribute('aria-expanded')).toBe('true');
    expect(document.querySelector('.bulk')).toBeNull();
  });

  test('says what is wrong with a part, beside the rest', async () => {
    on = await stage('/acme-archive/entries?open=%2Fsrv&open=%2Fsrv%2Frefused&open=%2Fsrv%2Fempty');
    const failed = await on.until(() => document.querySelector('.line-failed'));
    expect(failed.textContent).toContain('cannot be read');
    expect(document.querySelector('.line-empty')!.textContent).toContain('Nothing in here');
    expect(names()).toContain('etc');
    on.errors.length = 0;
  });

  test('a moment leads from its row to its tree', async () => {
    on = await stage('/acme-archive/moments');
    const link = await on.until(() => document.querySelector<HTMLAnchorElement>('.grid-row .link[href*="p.moment"]'));
    expect(link.getAttribute('href')).toMatch(/^\/acme-archive\/entries\?p\.moment=s\d+$/);
  });

  test('a machine of which nothing was kept says so', async () => {
    on = await stage('/acme-archive/entries?p.machine=m000009');
    await on.until(() => document.querySelector('.empty'));
    expect(on.text()).toContain('Nothing was kept yet');
  });

  test('Enter shows what is in a file, as text and nothing else', async () => {
    on = await stage('/acme-archive/entries?open=%2Fhome&open=%2Fhome%2Fada');
    await on.until(() => row('notes.txt'));
    await act(async () => row('notes.txt')!.focus());
    await press('Enter');
    const shown = await on.until(() => document.querySelector('.file-look pre'));
    expect(shown.textContent).toContain('<script>alert(1)</script>');
    expect(shown.querySelector('script')).toBeNull();
    await on.until(() => document.querySelector('[role=dialog] h2')?.textContent === 'notes.txt');
  });

  test('what is saved is asked for at once and given to the browser', async () => {
    const saved: string[] = [];
    const click_ = HTMLAnchorElement.prototype.click;
    HTMLAnchorElement.prototype.click = function save() { saved.push(this.getAttribute('href') ?? ''); };
    try {
      on = await stage('/acme-archive/entries?open=%2Fetc');
      await on.until(() => row('fstab'));
      await click(row('fstab')!.querySelector<HTMLElement>('.row-check'));
      await click(await on.until(() => button('Save')));
      await on.until(() => saved.length > 0);
      const job = [...on.world.jobs.values()].find((one) => one.command === 'acme-archive.save')!;
      expect(saved).toEqual([`/api/v1/jobs/${job.id}/streams/content/file`]);
      expect(job.input).toEqual({ moment: 's0000', path: ['/etc/fstab'] });
      await on.until(() => !document.querySelector('[role=dialog]'));
    } finally {
      HTMLAnchorElement.prototype.click = click_;
    }
  });
});
