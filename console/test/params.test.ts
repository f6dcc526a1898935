import { describe, expect, test } from 'vitest';
import { World } from '../mock/world';
import { Registry, referenceOf, timeField, type FoundView } from '../src/model/registry';
import { rowAddress } from '../src/console';
import { readPlace, writePlace, START } from '../src/model/place';
import type { Columns, Query } from '../src/model/schema';
import { machineOf, resolve, step, valuesOf } from '../src/params/resolve';

const world = new World({ machines: 5 });
const { registry } = world;
const entries = registry.view('acme-archive.entries')!;

function reader() {
  const asked: [string, Query][] = [];
  const read = (list: FoundView, query: Query): Promise<Columns> => {
    asked.push([list.id, query]);
    return Promise.resolve(world.rows(list.module, list.view.id, query) as Columns);
  };
  return { asked, read };
}
const said = (params: Awaited<ReturnType<typeof resolve>>) => Object.fromEntries(params.map((one) => [one.name, one.value]));

describe('the params of a view', () => {
  test('nothing said: the newest moment of all, and the machine it is of', async () => {
    const params = await resolve(registry, entries, {}, reader().read);
    expect(said(params)).toEqual({ machine: 'm000001', moment: 's0000' });
    expect(params[0]!.label).toBe(world.tables.get('fleet.machine')!.rows[0]!.name);
    const times = params[1]!.options.map((one) => String(one.row.time));
    expect(times).toHaveLength(12);
    expect([...times].sort()).toEqual(times);
    expect(params[1]!.options.every((one) => one.value.startsWith('s0'))).toBe(true);
    expect([valuesOf(params), machineOf(registry, entries, params)]).toEqual([{ machine: 'm000001', moment: 's0000' }, 'm000001']);
  });

  test('a machine said: its newest moment', async () => {
    expect(said(await resolve(registry, entries, { machine: 'm000003' }, reader().read))).toEqual({ machine: 'm000003', moment: 's2000' });
  });

  test('a moment said: the machine follows from it', async () => {
    expect(said(await resolve(registry, entries, { moment: 's1004' }, reader().read))).toEqual({ machine: 'm000002', moment: 's1004' });
  });

  test('a machine without any moment has none', async () => {
    const params = await resolve(registry, entries, { machine: 'm000005' }, reader().read);
    expect(said(params)).toEqual({ machine: 'm000005', moment: undefined });
  });

  test('sliding to a moment that is known reads nothing; anything else does', async () => {
    const params = await resolve(registry, entries, {}, reader().read);
    expect(said(step(params, { moment: 's0007' })!)).toEqual({ machine: 'm000001', moment: 's0007' });
    expect(step(params, { moment: 's1007' })).toBeUndefined();
    expect(step(params, { machine: 'm000002' })).toBeUndefined();
    expect(step(params, {})).toBeUndefined();
  });
});

describe('where rows lead to', () => {
  test('a row opens the view that takes it as a param', () => {
    expect(rowAddress(registry, 'acme-archive.moment', '["s1002"]', { module: 'acme-archive', id: 'entries' })).toBe('/acme-archive/entries?p.moment=s1002');
    expect(rowAddress(registry, 'acme-printers.printer', 'x 1', { module: 'acme-printers', id: 'printer' })).toBe('/acme-printers/printer/x%201');
  });

  test('keys in a list of one are what references hold', () => {
    expect([referenceOf('["a b"]'), referenceOf('m1'), referenceOf('["a","b"]'), referenceOf('[oops')]).toEqual(['a b', 'm1', '["a","b"]', '[oops']);
  });

  test('only rows that are known by their time are moments', () => {
    expect(timeField(registry.type('acme-archive.moment')!.type)).toBe('time');
    expect(timeField(registry.type('fleet.machine')!.type)).toBeUndefined();
  });

  test('a view is in the navigation where its params can be chosen', () => {
    const ids = new Registry(world.manifests).module('acme-archive')!.shown.map((one) => one.view.id);
    expect(ids).toEqual(['moments', 'entries', 'recent']);
  });

  test('params and what is open are in the address', () => {
    const place = { ...START, params: { q: 'x', moment: 's1' }, open: ['/a b', '/a b/ü&c'] };
    expect(readPlace(writePlace(place))).toEqual({ ...place });
  });
});
