// How each state of a job is told.

import type { JobState, Tone } from '../model/schema';

const LOOKS: Record<JobState, { title: string; tone: Tone; icon?: string }> = {
  queued: { title: 'Queued', tone: 'neutral', icon: 'clock' },
  assigned: { title: 'Sent', tone: 'neutral', icon: 'clock' },
  accepted: { title: 'Accepted', tone: 'active' },
  running: { title: 'Running', tone: 'active' },
  waiting: { title: 'Waiting', tone: 'warning', icon: 'clock' },
  succeeded: { title: 'Succeeded', tone: 'success' },
  failed: { title: 'Failed', tone: 'danger' },
  incomplete: { title: 'Partly done', tone: 'warning' },
  cancelled: { title: 'Cancelled', tone: 'neutral', icon: 'stop' },
  expired: { title: 'Expired', tone: 'warning', icon: 'clock' },
  refused: { title: 'Refused', tone: 'danger', icon: 'lock' },
  unknown: { title: 'Outcome unknown', tone: 'warning', icon: 'question' },
};

export function stateLook(state: JobState): { title: string; tone: Tone; icon?: string } {
  return LOOKS[state] ?? { title: state, tone: 'neutral' };
}

const FINAL: readonly JobState[] = ['succeeded', 'failed', 'incomplete', 'cancelled', 'expired', 'refused', 'unknown'];

export function isFinal(state: JobState): boolean {
  return FINAL.includes(state);
}
