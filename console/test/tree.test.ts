import { describe, expect, test } from 'vitest';
import { above, add, NO_PICKS, pickOf, toggle } from '../src/model/picks';
import type { Columns, Query } from '../src/model/schema';
import { TreeWindow, type TreeItem, type TreeNode } from '../src/model/tree';
import { findNamed, keyOf } from '../src/tree/tree-keys';

const TREE = { param: 'under', field: 'path', branch: { field: 'kind', op: 'eq' as const, value: 'd' } };
const DISK: Record<string, string[]> = { '': ['a/', 'b/', 'c'], '/a': ['deep/', 'x'], '/a/deep': ['y'], '/b': [], '/many': [] };

/** Answers when it is told to, so that what happens in between can be seen. */
class Disk {
  asked: Query[] = [];
  broken = new Set<string>();
  page = 100;
  disk = { ...DISK };

  read = async (query: Query): Promise<Columns> => {
    this.asked.push(query);
    const under = String(query.params?.under ?? '');
    await Promise.resolve();
    if (this.broken.has(under)) throw new Error('no such luck');
    const from = Number(query.page?.after ?? 0);
    const names = this.disk[under] ?? [];
    const shown = names.slice(from, from + this.page);
    return {
      columns: ['path', 'kind'],
      rows: shown.map((name) => [`${under}/${name.replace('/', '')}`, name.endsWith('/') ? 'd' : 'f']),
      keys: shown.map((name) => JSON.stringify([`${under}/${name}`])),
      ...(from + this.page < names.length ? { next: String(from + this.page) } : {}),
    };
  };

  problem = (error: unknown) => ({ code: 'internal' as const, message: String((error as Error).message) });
}

const settle = () => new Promise((done) => setTimeout(done, 0));
const ids = (window: TreeWindow) => window.snapshot().items.map((one) => (one.kind === 'node' ? one.id : `(${one.kind})`));
const nodes = (window: TreeWindow) => new Map((window.snapshot().items.filter((one) => one.kind === 'node') as TreeNode[]).map((one) => [one.id, one]));

async function opened(disk: Disk, ...open: string[]): Promise<TreeWindow> {
  const window = new TreeWindow(disk, { params: { at: 's1' } }, TREE);
  window.open(new Set(open));
  window.subscribe(() => undefined);
  for (let n = 0; n < 4; n++) await settle();
  return window;
}

describe('the rows of a tree', () => {
  test('only what is open is read, each directory once', async () => {
    const disk = new Disk();
    const window = await opened(disk, '/a');
    expect(ids(window)).toEqual(['/a', '/a/deep', '/a/x', '/b', '/c']);
    expect(disk.asked.map((one) => one.params)).toEqual([{ at: 's1' }, { at: 's1', under: '/a' }]);
    window.open(new Set());
    expect(ids(window)).toEqual(['/a', '/b', '/c']);
    window.open(new Set(['/a']));
    await settle();
    expect(disk.asked).toHaveLength(2);
    const deep = nodes(window).get('/a/deep')!;
    expect([deep.level, deep.at, deep.branch, deep.parent?.id]).toEqual([2, 1, true, '/a']);
  });

  test('what is open far down is read on the way there', async () => {
    expect(ids(await opened(new Disk(), '/a', '/a/deep', '/gone'))).toEqual(['/a', '/a/deep', '/a/deep/y', '/a/x', '/b', '/c']);
  });

  test('an empty directory, a broken one and a long one say so', async () => {
    const disk = new Disk();
    disk.broken.add('/a');
    disk.page = 2;
    const window = await opened(disk, '/a', '/b');
    expect(ids(window)).toEqual(['/a', '(failed)', '/b', '(empty)', '(more)']);
    const failed = window.snapshot().items[1]!;
    expect(failed.kind === 'failed' && failed.problem?.message).toBe('no such luck');
    disk.broken.clear();
    window.more(nodes(window).get('/a'));
    window.more(undefined);
    await settle();
    expect(ids(window)).toEqual(['/a', '/a/deep', '/a/x', '/b', '(empty)', '/c']);
  });

  test('a page that comes twice brings no row twice', async () => {
    const disk = new Disk();
    disk.page = 2;
    const window = await opened(disk);
    disk.disk[''] = ['a/', 'b/', 'b/', 'c'];
    window.more(undefined);
    await settle();
    expect(ids(window)).toEqual(['/a', '/b', '/c']);
  });

  test('the whole tree may be out of reach', async () => {
    const disk = new Disk();
    disk.broken.add('');
    const window = await opened(disk);
    expect(window.snapshot()).toMatchObject({ state: 'failed', settled: true, problem: { message: 'no such luck' } });
  });

  test('a lone directory is told of, so that it can be opened', async () => {
    const disk = new Disk();
    disk.disk = { '': ['only/'], '/only': ['x', 'y'] };
    const lone: string[] = [];
    const window = new TreeWindow(disk, {}, TREE, (id) => lone.push(id));
    window.subscribe(() => undefined);
    await settle();
    expect(lone).toEqual(['/only']);
    window.open(new Set(['/only']));
    await settle();
    expect(lone).toEqual(['/only']);
  });

  test('it is settled when everything open was read', async () => {
    const window = new TreeWindow(new Disk(), {}, TREE);
    window.open(new Set(['/a']));
    const settled: boolean[] = [];
    window.subscribe(() => settled.push(window.snapshot().settled));
    for (let n = 0; n < 3; n++) await settle();
    expect(settled.at(-1)).toBe(true);
    expect(settled.lastIndexOf(false)).toBeLessThan(settled.indexOf(true));
  });
});

describe('what is selected', () => {
  test('a directory stands for what is below it', async () => {
    const window = await opened(new Disk(), '/a', '/a/deep');
    const at = nodes(window);
    const below = (node: TreeNode) => window.below(node);
    let picks = toggle(NO_PICKS, at.get('/a/deep/y')!, below)!;
    expect(pickOf(picks, above(picks), at.get('/a')!)).toBe('some');
    picks = toggle(picks, at.get('/a')!, below)!;
    expect([...picks.keys()]).toEqual(['/a']);
    expect(pickOf(picks, above(picks), at.get('/a/deep/y')!)).toBe('within');
    expect([...add(picks, [at.get('/a/x')!]).keys()]).toEqual(['/a']);
    // Taken out of it, everything else in there stays.
    picks = toggle(picks, at.get('/a/deep/y')!, below)!;
    expect([...picks.keys()]).toEqual(['/a/x']);
    expect([...toggle(add(picks, [at.get('/c')!]), at.get('/a/x')!, below)!.keys()]).toEqual(['/c']);
  });

  test('nothing is taken out of a directory that is not wholly known', async () => {
    const disk = new Disk();
    disk.page = 1;
    const window = await opened(disk, '/a');
    const at = nodes(window);
    const picks = toggle(NO_PICKS, at.get('/a')!, (node) => window.below(node))!;
    expect(toggle(picks, at.get('/a/deep')!, (node) => window.below(node))).toBeUndefined();
  });
});

describe('keys', () => {
  test('arrows open, close, and go in and out', async () => {
    const open = new Set(['/a']);
    const { items } = (await opened(new Disk(), ...open)).snapshot();
    const key = (name: string, at: number, rtl = false) => keyOf({ key: name, shiftKey: false }, items, at, open, 10, rtl);
    expect(key('ArrowRight', 0)).toEqual({ do: 'move', to: 1 });
    expect(key('ArrowRight', 1)).toEqual({ do: 'open' });
    expect(key('ArrowRight', 2)).toBeUndefined();
    expect(key('ArrowLeft', 0)).toEqual({ do: 'close' });
    expect(key('ArrowLeft', 2)).toEqual({ do: 'move', to: 0 });
    expect(key('ArrowLeft', 1, true)).toEqual({ do: 'open' });
    expect([key('Home', 3), key('End', 0), key('PageDown', 0)]).toEqual([{ do: 'move', to: 0 }, { do: 'move', to: 4 }, { do: 'move', to: 4 }]);
    expect(key('/', 0)).toBeUndefined();
  });

  test('lines that are no rows are passed over', async () => {
    const { items } = (await opened(new Disk(), '/b')).snapshot();
    expect(items.map((one) => one.kind)).toEqual(['node', 'node', 'empty', 'node']);
    const key = (name: string, at: number) => keyOf({ key: name, shiftKey: false }, items, at, new Set(['/b']), 10, false);
    expect([key('ArrowDown', 1), key('ArrowUp', 3)]).toEqual([{ do: 'move', to: 3 }, { do: 'move', to: 1 }]);
    expect(key('ArrowRight', 1)).toEqual({ do: 'move', to: 3 });
  });

  test('what is typed finds a name, and one letter again the next', async () => {
    const { items } = (await opened(new Disk())).snapshot();
    const names = ['apple', 'avocado', 'banana'];
    const name = (node: TreeNode) => names[items.indexOf(node as TreeItem)]!;
    expect(findNamed(items, 0, 'a', name)).toBe(1);
    expect(findNamed(items, 1, 'a', name)).toBe(0);
    expect(findNamed(items, 0, 'ap', name)).toBe(0);
    expect(findNamed(items, 0, 'av', name)).toBe(1);
    expect(findNamed(items, 0, 'B', name)).toBe(2);
    expect(findNamed(items, 0, 'z', name)).toBeUndefined();
  });
});
