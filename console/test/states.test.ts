import { expect, test } from 'vitest';
import { manifests } from '../mock/manifests';
import { hasProgress, stateLook } from '../src/jobs/states';
import { Registry } from '../src/model/registry';
import { JOB_STATES } from '../src/model/schema';
import { isIcon } from '../src/ui/icon';

test('a job is told in the words and marks that the list of jobs has for its state', () => {
  const registry = new Registry(manifests);
  const declared = registry.type('fleet.job')!.type.fields.state!.values!;
  for (const state of JOB_STATES) expect(stateLook(registry, state)).toBe(declared[state]);
  for (const { icon } of Object.values(declared)) expect(icon === undefined || isIcon(icon)).toBe(true);
  expect(stateLook(registry, 'stalled' as never)).toEqual({ title: 'stalled', tone: 'neutral' });
});

test('a job that has not begun shows no progress', () => {
  expect(hasProgress({ state: 'queued', progress: null })).toBe(false);
  expect(hasProgress({ state: 'waiting', progress: { fraction: 0.5 } })).toBe(true);
  expect(hasProgress({ state: 'running' })).toBe(true);
  expect(hasProgress({ state: 'failed', progress: { fraction: 0.5 } })).toBe(false);
});
