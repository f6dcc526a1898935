import { describe, expect, test } from 'vitest';
import { fractionOf, Meter } from '../src/jobs/meter';
import type { Progress } from '../src/model/schema';

const MIB = 1024 * 1024;

function bytes(done: number, total: number | null): Progress {
  return { amount: { done, total, unit: 'bytes' } };
}

describe('how far a job is', () => {
  test('bytes have a rate and a time left', () => {
    const meter = new Meter();
    meter.tell(0, bytes(0, 100 * MIB));
    expect(meter.said(0)).toEqual(['0 %', '0 B of 100 MiB']);
    meter.tell(5000, bytes(50 * MIB, 100 * MIB));
    expect(meter.said(5000)).toEqual(['50 %', '50.0 MiB of 100 MiB', '10.0 MiB/s', '5 s left']);
    // Nothing was told since.
    expect(meter.said(10_000)).toEqual(['50 %', '50.0 MiB of 100 MiB', '5.0 MiB/s', '10 s left']);
  });

  test('the rate is that of the last seconds and of what is counted now', () => {
    const meter = new Meter();
    for (let second = 0; second <= 60; second += 1) {
      meter.tell(second * 1000, { amount: { done: second > 40 ? second * 10 : second, unit: 'items' } });
    }
    expect(meter.said(60_000)).toEqual(['600', '10/s']);
    meter.tell(61_000, bytes(7, null));
    expect(meter.said(63_000)).toEqual(['7 B']);
  });

  test('a share alone has a time left, and a text alone says nothing in numbers', () => {
    const meter = new Meter();
    meter.tell(0, { fraction: 0 });
    meter.tell(10_000, { fraction: 0.25 });
    expect(meter.said(10_000)).toEqual(['25 %', '30 s left']);
    meter.tell(11_000, { text: 'waiting' });
    expect(meter.said(11_000)).toEqual([]);
    expect(new Meter().said(0)).toEqual([]);
  });

  test('what is not whole yet is not called a hundred percent', () => {
    const meter = new Meter();
    meter.tell(0, { amount: { done: 999, total: 1000, unit: 'items' } });
    expect(meter.said(0)[0]).toBe('99 %');
    expect(fractionOf({ amount: { done: 0, total: 0, unit: 'items' } })).toBe(1);
    expect(fractionOf({ fraction: 7 })).toBe(1);
    expect(fractionOf(null)).toBeUndefined();
  });
});
