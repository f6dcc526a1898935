import { afterEach, beforeEach, expect, test } from 'vitest';
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
