import { expect, test } from 'vitest';
import { fuzzed } from '../mock/fuzz';
import core from '../../crates/fleet/src/manifest.json' with { type: 'json' };
import type { Manifest } from '../src/model/schema';
import { Registry } from '../src/model/registry';
import { planOf } from '../src/forms/plan';
import { check, fieldsOf, startValues, toInput } from '../src/model/input';
import { stage } from './stage';

const SEEDS = Number(process.env.FUZZ_SEEDS ?? 12);
const machines = core as unknown as Manifest;

test.each(Array.from({ length: SEEDS }, (_, n) => n + 1))('manifest %i renders without an error', async (seed) => {
  const manifest = fuzzed(seed);
  const on = await stage('/fleet/groups', { machines: 20, manifests: [machines, manifest], seed });
  const { name } = manifest.plugin;
  await on.until(() => document.querySelector('main h1'));
  for (const view of manifest.views ?? []) {
    for (const path of [`/${name}/${view.id}`, `/${name}/${view.id}/id-0003`]) {
      await on.go(path);
      await on.until(() => document.querySelector('main h1, main .empty, main [data-fault]') && !document.querySelector('main .spinner, main .skeleton'));
      expect(document.querySelector('[data-fault]')?.getAttribute('data-fault') ?? null, path).toBeNull();
    }
  }
  await on.go(`/${name}`);
  await on.until(() => document.querySelector('main h1'));
  expect([...new Set(on.errors)].slice(0, 5)).toEqual([]);
  await on.close();
});

test('every command of many manifests has a plan and an input', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const manifest = fuzzed(seed);
    const registry = new Registry([machines, manifest]);
    const from = { type: `${manifest.plugin.name}.t0`, targets: [{ key: 'a', label: 'a' }, { key: 'b', label: 'b' }], values: [{ $key: 'a', id: 'a' }, { $key: 'b', id: 'b' }] };
    for (const command of manifest.commands ?? []) {
      const found = registry.command(command.id, manifest.plugin.name)!;
      for (const rows of [undefined, from]) {
        const plan = planOf({ found, ...(rows ? { rows } : {}) }, registry);
        const fields = fieldsOf(command.input);
        const values = startValues(fields, { ...plan.given, ...plan.bound });
        check(fields, values);
        expect(plan.bodies(toInput(fields, values), undefined).length).toBeGreaterThan(0);
      }
    }
  }
});
