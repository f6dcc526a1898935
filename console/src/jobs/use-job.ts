// One job as it goes on. What it tells arrives on a socket of its own; without one it is asked for every second.

import { useEffect, useState } from 'react';
import { fetchJob, problemOf, socketAddress } from '../api/http';
import type { Job, JobEvent, Problem } from '../model/schema';
import { isFinal } from './states';

const LOG_KEPT = 2000;
const ASK_EVERY_MS = 1000;

/** Results with secrets come once, so what came is kept for as long as the page lives. */
const results = new Map<string, Job['result']>();

export interface Followed {
  job: Job | undefined;
  problem: Problem | undefined;
}

export function useJob(id: string | undefined): Followed {
  const [followed, setFollowed] = useState<Followed>({ job: undefined, problem: undefined });
  useEffect(() => {
    setFollowed({ job: undefined, problem: undefined });
    if (id === undefined) return undefined;
    return follow(id, (change) => setFollowed(change));
  }, [id]);
  return followed;
}

function follow(id: string, set: (change: (before: Followed) => Followed) => void): () => void {
  let over = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let last: Job | undefined;
  const update = (job: Job) => {
    last = remember(job);
    const now = last;
    set(() => ({ job: now, problem: undefined }));
  };
  const ask = async () => {
    try {
      const job = await fetchJob(id);
      if (!over) update(last ? { ...last, ...job } : job);
    } catch (error) {
      if (!over) set((before) => ({ ...before, problem: before.job ? undefined : problemOf(error) }));
    }
    if (!over && !(last && isFinal(last.state))) timer = setTimeout(() => void ask(), ASK_EVERY_MS);
  };
  const socket = new WebSocket(socketAddress(`/api/v1/jobs/${encodeURIComponent(id)}/events`));
  socket.onmessage = (event) => {
    const message = parse(event.data);
    if (!message) return;
    if ('event' in message) {
      if (last) update(apply(last, message));
    } else if ('id' in message) update(last ? { ...last, ...message } : message);
  };
  // The socket ends with the job; ending earlier it was cut off.
  socket.onclose = () => { if (!over && !(last && isFinal(last.state))) void ask(); };
  return () => {
    over = true;
    clearTimeout(timer);
    socket.close();
  };
}

function parse(data: unknown): JobEvent | Job | undefined {
  try {
    const read: unknown = JSON.parse(String(data));
    return typeof read === 'object' && read !== null ? (read as JobEvent | Job) : undefined;
  } catch {
    return undefined;
  }
}

function remember(job: Job): Job {
  const known = results.get(job.id);
  // What a running job tells of its result has no secrets in it yet.
  if (known === undefined && isFinal(job.state) && job.result !== null && job.result !== undefined) results.set(job.id, job.result);
  return known === undefined ? job : { ...job, result: known };
}

export function apply(job: Job, event: JobEvent): Job {
  switch (event.event) {
    case 'state':
      return { ...job, state: event.state };
    case 'progress':
      return { ...job, progress: event.progress };
    case 'log':
      return { ...job, log: [...(job.log ?? []).slice(1 - LOG_KEPT), { at: event.at, level: event.level, text: event.text }] };
    case 'partial':
      return { ...job, children: job.children?.map((one) => (one.machine?.id === event.machine || one.id === event.machine ? { ...one, state: event.state } : one)) ?? [] };
    case 'result':
      return { ...job, result: event.result };
    case 'problem':
      return { ...job, problem: event.problem };
    case 'ask':
      return job;
  }
}
