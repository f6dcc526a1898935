import { describe, expect, test } from 'vitest';
import { manifests } from '../mock/manifests';
import { fitting, widthOf } from '../src/table/columns';
import { Registry } from '../src/model/registry';

const registry = new Registry(manifests);

describe('all manifests together', () => {
  test('the core comes first, then by order', () => {
    expect(registry.modules.map((one) => one.name)).toEqual(['fleet', 'acme-sensors', 'acme-archive', 'acme-printers', 'northwind-scales']);
  });

  test('what a module adds to machines is a column of machines', () => {
    const names = registry.columnsFor(registry.view('fleet.machines')!).map((one) => one.name);
    expect(names).toContain('acme-sensors:person');
    expect(names.indexOf('acme-sensors:person')).toBeLessThan(names.indexOf('enrolled_at'));
    expect(names[0]).toBe('name');
  });

  test('what is due for machines is found by the columns that its module adds, and stands above machines alone', () => {
    const own = structuredClone(manifests);
    const sensors = own.find((one) => one.plugin.name === 'acme-sensors')!;
    const offer = { where: [{ field: 'person', op: 'eq' as const, value: 'nobody' }, { field: 'status', op: 'eq' as const, value: 'online' }], text: '{name}', text_many: '{n}' };
    sensors.commands = [{ id: 'tag', title: 'Tag', target: { on: 'machine' }, offer }, { id: 'alone', title: 'Alone', modes: ['standalone'], offer }];
    const all = new Registry(own);
    const due = all.offersOn(all.view('fleet.machines')!);
    expect(due.map((one) => one.command.id)).toEqual(['acme-sensors.tag']);
    expect(due[0]!.where.map((one) => one.field)).toEqual(['acme-sensors:person', 'status']);
    expect(all.offersOn(all.view('acme-printers.samples')!)).toEqual([]);
  });

  test('rows of machines have their machine', () => {
    expect(registry.columnsOf('acme-printers.printer')[0]!.name).toBe('machine');
  });

  test('a secret is never a column', () => {
    expect(registry.columnsFor(registry.view('acme-printers.samples')!).map((one) => one.field.type)).not.toContain('secret');
  });

  test('a kind without a renderer shows its fallback, or nothing', () => {
    expect(registry.shownAs(registry.view('acme-printers.kind-topology')!)?.found.view.id).toBe('samples');
    expect(registry.shownAs(registry.view('acme-printers.kind-terminal')!)).toBeUndefined();
    expect(registry.shownAs(registry.view('acme-printers.kind-cards')!)?.as).toBe('rows');
  });

  test('commands on machines are offered on machines', () => {
    const ids = registry.commandsOn(registry.view('fleet.machines')!, 'many').map((one) => one.id);
    expect(ids).toEqual(expect.arrayContaining(['acme-sensors.measure', 'acme-printers.find', 'fleet.add-to-group']));
    expect(ids).not.toContain('acme-printers.import');
  });

  test('columns are there as they fit, those of priority 1 first', () => {
    const all = registry.columnsFor(registry.view('fleet.machines')!);
    const narrow = fitting(all, 'name', 300, undefined);
    expect(narrow.every((one) => one.name === 'name' || one.field.priority === 1)).toBe(true);
    for (const available of [300, 480, 690]) {
      const fits = fitting(all, 'name', available, undefined);
      expect(fits.reduce((sum, one) => sum + widthOf(one, 'name'), 0)).toBeLessThanOrEqual(available);
    }
    expect(fitting(all, 'name', 300, undefined, true).map((one) => one.name)).toContain('addresses');
    expect(fitting(all, 'name', 4000, undefined)).toEqual(all);
    expect(fitting(all, 'name', 300, ['macs', 'gone']).map((one) => one.name)).toEqual(['macs']);
  });

  test('a module that does not run says why', () => {
    expect(registry.module('northwind-scales')!.failure).toMatchObject({ state: 'quarantined', cause: expect.stringContaining('crashed') });
  });
});
