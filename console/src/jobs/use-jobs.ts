// The operator's recent jobs, live, for the top bar and the drawer; a notice when one of them ends.

import { useEffect, useMemo, useRef, useState } from 'react';
import { live, type LiveMessage } from '../api/live';
import { neutral } from '../model/neutral';
import type { Job, JobState, Json, JsonObject } from '../model/schema';
import { toast } from '../ui/toast';
import { isFinal, stateLook } from './states';

export interface Jobs {
  list: Job[];
  running: number;
}

export function useJobs(open: (id: string) => void): Jobs {
  const [jobs, setJobs] = useState<ReadonlyMap<string, Job>>(new Map());
  const columns = useRef<string[]>([]);
  useEffect(() => live.jobs((message) => setJobs((before) => merged(before, message, columns))), []);
  useEnded(jobs, open);
  return useMemo(() => {
    const list = [...jobs.values()].filter((job) => !job.parent).sort((a, b) => (b.created_at ?? '').localeCompare(a.created_at ?? ''));
    return { list, running: list.filter((job) => !isFinal(job.state)).length };
  }, [jobs]);
}

/** The list may come as jobs, or as rows and patches of the core's job type. */
function merged(before: ReadonlyMap<string, Job>, message: LiveMessage, columns: { current: string[] }): ReadonlyMap<string, Job> {
  const now = new Map(message.rows ? [] : before);
  for (const job of message.jobs ?? []) now.set(job.id, { ...now.get(job.id), ...job });
  if (message.rows) {
    columns.current = message.rows.columns;
    message.rows.rows.forEach((cells, n) => {
      const key = message.rows!.keys?.[n] ?? String(cells[0]);
      now.set(key, asJob(key, Object.fromEntries(columns.current.map((name, m) => [name, cells[m] ?? null]))));
    });
  }
  for (const patch of message.patches ?? []) {
    if ('gone' in patch) now.delete(patch.key);
    else now.set(patch.key, { ...(now.get(patch.key) ?? asJob(patch.key, {})), ...asJob(patch.key, { ...(now.get(patch.key) as unknown as JsonObject), ...patch.set }) });
  }
  return now;
}

function asJob(key: string, row: JsonObject): Job {
  const text = (value: Json | undefined) => (typeof value === 'string' ? value : undefined);
  return { ...(row as unknown as Job), id: text(row.id) ?? key, command: text(row.command) ?? '', state: (text(row.state) ?? 'queued') as JobState };
}

function useEnded(jobs: ReadonlyMap<string, Job>, open: (id: string) => void): void {
  const seen = useRef(new Map<string, JobState>());
  useEffect(() => {
    for (const job of jobs.values()) {
      const before = seen.current.get(job.id);
      seen.current.set(job.id, job.state);
      if (before === undefined || isFinal(before) || !isFinal(job.state) || job.parent) continue;
      const look = stateLook(job.state);
      toast({
        tone: look.tone,
        title: `${neutral(job.title || job.command)}: ${look.title.toLowerCase()}`,
        text: job.problem?.message ? neutral(job.problem.message) : undefined,
        action: { label: 'Show', run: () => open(job.id) },
      });
    }
  }, [jobs, open]);
}
