import { afterEach, beforeEach, expect, test } from 'vitest';
import { manifests as invented } from '../mock/manifests';
import type { Job } from '../src/model/schema';
import { stage, type Stage } from './stage';

/** One that is cut off at once: the job is then asked for. */
class Cut extends EventTarget {
  static readonly OPEN = 1;
  readyState = 3;
  onclose: (() => void) | null = null;
  constructor() {
    super();
    setTimeout(() => this.onclose?.(), 0);
  }
  send(): void {}
  close(): void {}
}

const NoSocket = globalThis.WebSocket;
let on: Stage | undefined;

beforeEach(() => { globalThis.WebSocket = Cut as unknown as typeof WebSocket; });
afterEach(async () => {
  await on?.close();
  on = undefined;
  globalThis.WebSocket = NoSocket;
});

async function open(job: Partial<Job>): Promise<Stage> {
  on = await stage('/fleet/machines');
  on.world.jobs.set('one', { id: 'one', command: 'acme-printers.find', title: 'Find printers', state: 'running', ...job });
  await on.go('/jobs/one');
  return on;
}

const find = (selector: string) => document.querySelector<HTMLElement>(selector);

test('a job that runs has a bar, amounts and a word on what it does', async () => {
  const MIB = 1024 * 1024;
  on = await open({ progress: { text: 'reading a', amount: { done: 25 * MIB, total: 100 * MIB, unit: 'bytes' } } });
  const bar = await on.until(() => find('.job-progress'));
  expect(bar.getAttribute('aria-valuenow')).toBe('25');
  expect(find('.job-amounts')!.textContent).toContain('25 % · 25.0 MiB of 100 MiB');
  expect(bar.textContent).toContain('reading a');
  expect(bar.querySelector<HTMLElement>('.bar b')!.style.inlineSize).toBe('25%');
});

test('what is done in part shows what was left out, and what came of the rest', async () => {
  const causes = [{ code: 'not_found' as const, message: 'there is no b.' }, { code: 'not_found' as const, message: 'there is no c.' }];
  on = await open({ state: 'incomplete', problem: { code: 'not_found', message: '2 things were left out.', causes }, result: { found: 7 } });
  const note = await on.until(() => find('.job .note'));
  expect(note.className).toContain('warning');
  for (const part of ['Not all of it', '2 things were left out.', 'there is no b.', 'there is no c.']) expect(note.textContent).toContain(part);
  expect(find('.job-head')!.textContent).toContain('Partly done');
  expect(find('.job .result')!.textContent).toContain('7');
  expect(find('.job-progress')).toBeNull();
  expect(on.errors).toEqual([]);
});

test('a list of objects is a table, cut until all of it is asked for, and leads to what it refers to', async () => {
  const items = {
    type: 'object', properties: {
      path: { type: 'string', title: 'Path', 'x-type': 'path' as const },
      size: { type: 'integer', title: 'Size', 'x-type': 'bytes' as const },
      at: { type: 'object', title: 'Moment', 'x-type': 'ref' as const, 'x-ref': 'acme-archive.moment' },
    },
  };
  const manifests = structuredClone(invented);
  const command = manifests.find((one) => one.plugin.name === 'acme-archive')!.commands!.find((one) => one.id === 'put-back')!;
  command.output = { type: 'object', properties: { left: { type: 'array', title: 'Left out', items } } };
  const left = Array.from({ length: 120 }, (_, n) => ({ path: `/srv/<b>${n}`, size: n * 1024, at: { id: 's0001', label: 'A moment' } }));
  on = await stage('/fleet/machines', { manifests });
  on.world.jobs.set('many', { id: 'many', command: 'acme-archive.put-back', state: 'incomplete', result: { done: 3, left, nothing: [] } });
  await on.go('/jobs/many');
  const table = await on.until(() => find('.result-rows table'));
  expect([...table.querySelectorAll('th')].map((one) => one.textContent)).toEqual(['Path', 'Size', 'Moment']);
  expect(table.querySelectorAll('tbody tr')).toHaveLength(50);
  expect(table.querySelector('tbody tr')!.textContent).toContain('/srv/<b>0');
  expect(table.querySelector('b')).toBeNull();
  expect(table.querySelector('a')!.getAttribute('href')).toBe('/acme-archive/entries?p.moment=s0001');
  [...document.querySelectorAll('button')].find((one) => one.textContent === 'Show all 120')!.click();
  await on.until(() => table.querySelectorAll('tbody tr').length === 120);
  expect(find('.result')!.textContent).not.toContain('Nothing');
});
