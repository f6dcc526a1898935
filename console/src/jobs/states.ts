// How each state of a job is told: in the words and marks that the core's manifest gives it, as in every list of jobs.

import { JOB_TYPE, type Registry } from '../model/registry';
import type { Job, JobState, StatusValue } from '../model/schema';
import { fractionOf } from './meter';

export function stateLook(registry: Registry, state: JobState): StatusValue {
  return registry.type(JOB_TYPE)?.type.fields.state?.values?.[state] ?? { title: state, tone: 'neutral' };
}

const FINAL: readonly JobState[] = ['succeeded', 'failed', 'incomplete', 'cancelled', 'expired', 'refused', 'unknown'];

export function isFinal(state: JobState): boolean {
  return FINAL.includes(state);
}

/** Whether there is progress to be drawn: what waits to begin has none. */
export function hasProgress({ state, progress }: Pick<Job, 'state' | 'progress'>): boolean {
  return !isFinal(state) && (state === 'running' || fractionOf(progress) !== undefined);
}
