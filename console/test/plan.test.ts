import { describe, expect, test } from 'vitest';
import { manifests } from '../mock/manifests';
import type { Around } from '../src/console';
import { planOf } from '../src/forms/plan';
import { Registry } from '../src/model/registry';
import type { JsonObject } from '../src/model/schema';

const registry = new Registry(manifests);

function rows(type: string, ...values: JsonObject[]) {
  return { type, targets: values.map((one) => ({ key: String(one.$key), label: String(one.name ?? one.$key) })), values };
}
const plan = (id: string, from?: ReturnType<typeof rows> & { around?: Around }) => planOf({ found: registry.command(id)!, ...(from ? { rows: from } : {}) }, registry);

describe('whom a command runs on', () => {
  test('machines it was called from', () => {
    const two = plan('acme-sensors.measure', rows('fleet.machine', { $key: 'm1' }, { $key: 'm2' }));
    expect(two.needsTarget).toBe(false);
    expect(two.bodies({}, undefined)).toEqual([{ machines: ['m1', 'm2'] }]);
    expect(plan('acme-sensors.measure', rows('fleet.machine', { $key: 'm1' })).bodies({}, undefined)).toEqual([{ machine: 'm1' }]);
  });

  test('nobody yet: it asks', () => {
    const none = plan('acme-sensors.measure');
    expect(none.needsTarget).toBe(true);
    expect(none.bodies({}, { kind: 'group', group: 'g1' })).toEqual([{ group: 'g1' }]);
  });

  test('the machine that a row of another type belongs to', () => {
    const one = plan('acme-sensors.measure', rows('acme-printers.printer', { $key: '["m1","s1"]', serial: 's1', machine: { id: 'm1', label: 'One' } }));
    expect(one.bodies({}, undefined)).toEqual([{ machine: 'm1' }]);
  });

  test('a row named by its key is known; what it has now can be changed', () => {
    const rename = plan('fleet.rename-machine', rows('fleet.machine', { $key: 'm1', name: 'old' }));
    expect(rename.bound).toEqual({ machine: 'm1' });
    expect(rename.given).toEqual({ name: 'old' });
  });

  test('several rows go into one list, or each into a job of its own', () => {
    const group = plan('fleet.add-to-group', rows('fleet.machine', { $key: 'm1' }, { $key: 'm2' }));
    expect(group.bound).toEqual({ machines: ['m1', 'm2'] });
    const forget = plan('acme-printers.forget', rows('acme-printers.printer', { $key: 'a', serial: 's1' }, { $key: 'b', serial: 's2' }));
    expect(forget.bodies({ serial: 's1' }, undefined)).toEqual([{ serial: 's1' }, { serial: 's2' }]);
  });

  test('called from another type than it was bound for, it takes the row where such rows are offered', () => {
    const fromGroup = plan('fleet.add-to-group', rows('fleet.group', { $key: 'g1', name: 'Front' }));
    expect(fromGroup.bound).toEqual({ group: 'g1' });
  });

  test('what the view was asked with is the same for all rows, and may name the machine', () => {
    const around = { params: { moment: 's1', machine: 'm7' }, machine: 'm7' };
    const two = plan('acme-archive.put-back', { ...rows('acme-archive.entry', { $key: '["/a"]', path: '/a' }, { $key: '["/b"]', path: '/b' }), around });
    expect([two.bound, two.needsTarget]).toEqual([{ moment: 's1', path: ['/a', '/b'] }, false]);
    expect(two.bodies({ to: '/x' }, undefined)).toEqual([{ to: '/x', machine: 'm7' }]);
    const bare = plan('acme-archive.put-back', rows('acme-archive.entry', { $key: '["/a"]', path: '/a' }));
    expect([bare.bound, bare.needsTarget]).toEqual([{ path: ['/a'] }, true]);
  });

  test('a row that a param refers to is the value of that input, without the list around its key', () => {
    const one = plan('acme-archive.put-back', rows('acme-archive.moment', { $key: '["s1"]', id: 's1', machine: { id: 'm1', label: 'One' } }));
    expect([one.bound, one.bodies({}, undefined)]).toEqual([{ moment: 's1' }, [{ machine: 'm1' }]]);
  });
});
