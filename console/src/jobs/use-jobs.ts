// The operator's recent jobs, live, for the top bar and the drawer; a notice when one of them ends.

import { useEffect, useMemo, useRef, useState } from 'react';
import { live, type LiveMessage } from '../api/live';
import { neutral } from '../model/neutral';
import { CORE, type Registry } from '../model/registry';
import type { Job, JobState, Json, JsonObject, Query } from '../model/schema';
import { toast } from '../ui/toast';
import { isFinal, stateLook } from './states';

export interface Jobs {
  list: Job[];
  running: number;
}

const RECENT = 50;
const FIELDS = ['id', 'command', 'title', 'state', 'machine', 'target', 'progress', 'created_at', 'ended_at', 'problem'];

export function useJobs(registry: Registry, operator: string, open: (id: string) => void): Jobs {
  const [jobs, setJobs] = useState<ReadonlyMap<string, Job>>(new Map());
  const columns = useRef<string[]>([]);
  useEffect(() => {
    const query: Query = { where: operator === '' ? [] : [{ field: 'operator', op: 'eq', value: operator }], sort: ['-created_at'], page: { limit: RECENT }, fields: FIELDS };
    return live.rows(CORE, 'jobs', query, (message) => setJobs((before) => merged(before, message, columns)));
  }, [operator]);
  useEnded(registry, jobs, open);
  return useMemo(() => {
    const list = [...jobs.values()].sort((a, b) => (b.created_at ?? '').localeCompare(a.created_at ?? ''));
    return { list, running: list.filter((job) => !isFinal(job.state)).length };
  }, [jobs]);
}

function merged(before: ReadonlyMap<string, Job>, message: LiveMessage, columns: { current: string[] }): ReadonlyMap<string, Job> {
  const now = new Map(message.rows ? [] : before);
  if (message.rows) {
    columns.current = message.rows.columns;
    message.rows.rows.forEach((cells, n) => {
      const key = message.rows!.keys?.[n] ?? String(cells[0]);
      now.set(key, asJob(key, Object.fromEntries(columns.current.map((name, m) => [name, cells[m] ?? null]))));
    });
  }
  for (const patch of message.patches ?? []) {
    if ('gone' in patch) now.delete(patch.key);
    else now.set(patch.key, asJob(patch.key, { ...(now.get(patch.key) as unknown as JsonObject | undefined), ...patch.set }));
  }
  return now;
}

function asJob(key: string, row: JsonObject): Job {
  const text = (value: Json | undefined) => (typeof value === 'string' ? value : undefined);
  // In rows the problem is its sentence.
  const problem = typeof row.problem === 'string' && row.problem !== '' ? { code: 'internal' as const, message: row.problem } : null;
  return { ...(row as unknown as Job), problem, id: text(row.id) ?? key, command: text(row.command) ?? '', state: (text(row.state) ?? 'queued') as JobState };
}

/** What it was asked for is in sight already: a file that was sent, or what another command would do. */
function isQuiet(registry: Registry, { command, state }: Job): boolean {
  const found = registry.command(command);
  const { streams = [], id } = found?.command ?? {};
  const previewed = registry.module(found?.module ?? '')?.manifest.commands?.some((one) => one.preview === id) ?? false;
  return state === 'succeeded' && (previewed || streams.some((one) => one.as !== undefined));
}

function useEnded(registry: Registry, jobs: ReadonlyMap<string, Job>, open: (id: string) => void): void {
  const seen = useRef(new Map<string, JobState>());
  useEffect(() => {
    for (const job of jobs.values()) {
      const before = seen.current.get(job.id);
      seen.current.set(job.id, job.state);
      if (before === undefined || isFinal(before) || !isFinal(job.state) || isQuiet(registry, job)) continue;
      const look = stateLook(registry, job.state);
      toast({
        tone: look.tone ?? 'neutral',
        title: `${neutral(job.title || job.command)}: ${neutral(look.title).toLowerCase()}`,
        text: job.problem?.message ? neutral(job.problem.message) : undefined,
        action: { label: 'Show', run: () => open(job.id) },
      });
    }
  }, [registry, jobs, open]);
}
