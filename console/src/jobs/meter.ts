// How far a job is, in words: amounts, and the rate and time left that follow from what was told within the last
// seconds. The times are those at which it was told here.

import { useEffect, useRef, useState } from 'react';
import { bytes, count, duration } from '../model/format';
import type { Progress } from '../model/schema';

/** The rate is that of this time. */
const WINDOW_MS = 10_000;
/** No rate is told of a shorter time than this: it would jump. */
const LEAST_MS = 1000;

export class Meter {
  #latest: Progress = {};
  /** When how much was done; the first may be older than the window, so that they span all of it. */
  #told: { at: number; done: number }[] = [];

  /** Takes note of what was told at `at`, in milliseconds of any clock. */
  tell(at: number, progress: Progress): void {
    const done = doneOf(progress);
    const last = this.#told.at(-1);
    const wentBack = last !== undefined && (done === undefined || done < last.done);
    if (wentBack || progress.amount?.unit !== this.#latest.amount?.unit) this.#told = [];
    if (done !== undefined) this.#told.push({ at, done });
    while (this.#told[1] && at - this.#told[1].at >= WINDOW_MS) this.#told.shift();
    this.#latest = progress;
  }

  /** What can be said at `now`, in order of weight. */
  said(now: number): string[] {
    const { amount } = this.#latest;
    const fraction = fractionOf(this.#latest);
    const rate = this.#rate(now);
    const said: string[] = [];
    // What is not whole yet is not called a hundred percent.
    if (fraction !== undefined) said.push(`${Math.floor(fraction * 100)} %`);
    if (amount) {
      const one = amount.unit === 'bytes' ? bytes : count;
      said.push(typeof amount.total === 'number' ? `${one(amount.done)} of ${one(amount.total)}` : one(amount.done));
      if (rate !== undefined) said.push(`${amount.unit === 'bytes' ? bytes(rate) : count(rate)}/s`);
    }
    const left = this.#left(rate);
    if (left !== undefined) said.push(`${duration(Math.ceil(left))} left`);
    return said;
  }

  #rate(now: number): number | undefined {
    const first = this.#told[0];
    const last = this.#told.at(-1);
    if (!first || !last || now - first.at < LEAST_MS) return undefined;
    const rate = ((last.done - first.done) / (now - first.at)) * 1000;
    return rate > 0 ? rate : undefined;
  }

  #left(rate: number | undefined): number | undefined {
    const done = doneOf(this.#latest);
    const total = this.#latest.amount ? this.#latest.amount.total : 1;
    if (rate === undefined || done === undefined || typeof total !== 'number' || total <= done) return undefined;
    return (total - done) / rate;
  }
}

function doneOf({ amount, fraction }: Progress): number | undefined {
  return amount?.done ?? (typeof fraction === 'number' ? fraction : undefined);
}

/** 0 to 1, of the amounts where there are any. */
export function fractionOf(progress: Progress | null | undefined): number | undefined {
  const { amount, fraction } = progress ?? {};
  if (typeof amount?.total === 'number') return amount.total === 0 ? 1 : Math.min(1, amount.done / amount.total);
  return typeof fraction === 'number' ? Math.max(0, Math.min(1, fraction)) : undefined;
}

/** What is said of a job that goes on: drawn again every second, since a rate falls while nothing is told. */
export function useMeter(progress: Progress | null | undefined): string[] {
  const meter = useRef<Meter>(undefined);
  meter.current ??= new Meter();
  const [now, setNow] = useState(() => performance.now());
  useEffect(() => {
    const at = performance.now();
    if (progress) meter.current!.tell(at, progress);
    setNow(at);
  }, [progress]);
  useEffect(() => {
    const timer = setInterval(() => setNow(performance.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return meter.current.said(now);
}
