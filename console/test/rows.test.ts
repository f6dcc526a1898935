import { describe, expect, test } from 'vitest';
import { RowWindow, type RowMessage } from '../src/model/rows';
import type { Columns, Query } from '../src/model/schema';

/** Rows `1..n` in pages, with the listeners of those who watch. */
function source(n: number) {
  const watchers = new Map<string, (message: RowMessage) => void>();
  const asked: Query[] = [];
  const read = (query: Query): Promise<Columns> => {
    asked.push(query);
    const from = Number(query.page?.after ?? 0);
    const keys = Array.from({ length: Math.min(query.page!.limit!, n - from) }, (_, at) => String(from + at + 1));
    const last = from + keys.length;
    return Promise.resolve({ columns: ['id', 'v'], rows: keys.map((key) => [key, 0]), keys, ...(last < n ? { next: String(last) } : {}) });
  };
  const watch = (query: Query, listener: (message: RowMessage) => void) => {
    const key = query.page?.after ?? '0';
    watchers.set(key, listener);
    return () => watchers.delete(key);
  };
  return { read, watch, problem: () => ({ code: 'internal' as const, message: 'no' }), watchers, asked };
}

const settled = () => new Promise((done) => setTimeout(done));
const keys = (rows: RowWindow, n: number) => Array.from({ length: n }, (_, at) => rows.row(at)?.key);

async function opened(n: number, onArrival?: (rows: number) => void) {
  const from = source(n);
  const rows = new RowWindow(from, {}, onArrival);
  const stop = rows.subscribe(() => undefined);
  await settled();
  rows.show(0, 20);
  await settled();
  return { rows, from, stop };
}

describe('the window of rows', () => {
  test('reads page after page as they come into sight', async () => {
    const { rows, from } = await opened(1000);
    expect(rows.snapshot().length).toBe(100);
    rows.show(70, 100);
    await settled();
    expect(rows.snapshot().length).toBe(300);
    expect(from.asked.map((one) => one.page?.after)).toEqual([undefined, '100']);
    expect(rows.row(250)?.key).toBe('251');
    expect(rows.snapshot().complete).toBe(false);
  });

  test('gives far pages back and reads them again', async () => {
    const { rows, from } = await opened(5000);
    for (let at = 80; at < 3000; at += 150) {
      rows.show(at, at + 30);
      await settled();
    }
    expect(rows.row(150)).toBeUndefined();
    expect(rows.row(0)?.key).toBe('1');
    const before = from.asked.length;
    rows.show(120, 150);
    await settled();
    expect(rows.row(150)?.key).toBe('151');
    expect(from.asked.length).toBeGreaterThan(before);
  });

  test('only pages in sight are watched', async () => {
    const { rows, from, stop } = await opened(1000);
    expect([...from.watchers.keys()]).toEqual(['0']);
    rows.show(70, 100);
    await settled();
    rows.show(200, 230);
    await settled();
    expect([...from.watchers.keys()]).toEqual(['100']);
    stop();
    expect(from.watchers.size).toBe(0);
  });

  test('a changed value is there at once; the other rows stay the same objects', async () => {
    const { rows, from } = await opened(5);
    const second = rows.row(1);
    from.watchers.get('0')!({ patches: [{ key: '1', set: { v: 7 } }] });
    expect(rows.value(rows.row(0)!, 'v')).toBe(7);
    expect(rows.row(1)).toBe(second);
  });

  test('a new row comes where it belongs, and is announced', async () => {
    let arrived = 0;
    const { rows, from } = await opened(3, (n) => { arrived += n; });
    from.watchers.get('0')!({ patches: [{ key: 'new', set: { id: 'new', v: 1 } }], order: ['1', 'new', '2', '3'] });
    expect(keys(rows, 4)).toEqual(['1', 'new', '2', '3']);
    expect(rows.row(1)?.fresh).toBe(true);
    expect(arrived).toBe(1);
  });

  test('while it is held nothing moves', async () => {
    const { rows, from } = await opened(3);
    rows.held = true;
    from.watchers.get('0')!({ patches: [{ key: 'new', set: { id: 'new' } }, { key: '2', gone: true }], order: ['new', '1', '3'] });
    expect(keys(rows, 3)).toEqual(['1', '2', '3']);
    expect(rows.row(1)?.gone).toBe(true);
    expect(rows.snapshot().waiting).toBe(1);
    rows.release();
    expect(keys(rows, 3)).toEqual(['new', '1', '3']);
    expect(rows.snapshot().waiting).toBe(0);
  });

  test('a row pushed over the end of a full page is not lost', async () => {
    const { rows, from } = await opened(150);
    rows.show(70, 100);
    await settled();
    const order = ['new', ...Array.from({ length: 99 }, (_, at) => String(at + 1))];
    from.watchers.get('0')!({ patches: [{ key: 'new', set: { id: 'new' } }, { key: '100', gone: true }], order });
    expect(rows.row(0)?.key).toBe('new');
    expect(keys(rows, 102).slice(99)).toEqual(['99', '100', '101']);
  });

  test('a failure is told and can be tried again', async () => {
    const from = source(3);
    let fails = true;
    const rows = new RowWindow({ ...from, read: (query) => (fails ? Promise.reject(new Error('no')) : from.read(query)) }, {});
    rows.subscribe(() => undefined);
    await settled();
    expect(rows.snapshot()).toMatchObject({ state: 'failed', problem: { message: 'no' } });
    fails = false;
    rows.retry();
    await settled();
    expect(rows.snapshot()).toMatchObject({ state: 'ready', length: 3, problem: undefined });
  });
});
