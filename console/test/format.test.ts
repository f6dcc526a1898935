import { describe, expect, test } from 'vitest';
import { HOSTILE, valueOf } from '../mock/values';
import { seeded } from '../mock/random';
import { bytes, copyText, duration, format, relative } from '../src/model/format';
import { neutral, neutralLines } from '../src/model/neutral';
import { FIELD_TYPES, type FieldType, type Json } from '../src/model/schema';
import { readTyped, typedText } from '../src/model/typed';

const NOW = Date.parse('2026-03-01T12:00:00Z');

describe('values as text', () => {
  test.each<[FieldType, Json, string]>([
    ['bytes', 8 * 2 ** 30, '8.0 GiB'], ['bytes', 512, '512 B'], ['rate', 1536, '1.5 KiB/s'], ['percent', 81.6, '82 %'], ['percent', 3.62, '3.6 %'],
    ['duration', 5400, '1 h 30 min'], ['bool', true, 'Yes'], ['tags', ['a', 'b'], 'a, b'], ['ref', { id: '1', label: 'One' }, 'One'],
    ['progress', { fraction: 0.5, text: 'half' }, '50 % half'], ['secret', 'x', '••••••'], ['port', 8080, '8080'], ['json', { a: 1 }, '{"a":1}'],
    ['markdown', '## Title\n\n- **one**', 'Title one'], ['markdown', 'See [the guide](https://a.example/g_1).', 'See the guide.'], ['text', 'two\nlines', 'two lines'],
  ])('%s %j is %s', (type, value, text) => expect(format({ type }, value, NOW)).toBe(text));

  test('every domain type has a text for every value, and none for nothing', () => {
    const random = seeded(1);
    for (const type of FIELD_TYPES) {
      for (let n = 0; n < 50; n++) expect(typeof format({ type }, valueOf({ title: 'x', type }, random, []))).toBe('string');
      expect(format({ type }, null)).toBe('');
      for (const wrong of [42, 'x', true, [], {}, [1, 'a', null], { id: null }]) expect(typeof format({ type }, wrong as Json)).toBe('string');
    }
  });

  test('times are told from now', () => {
    expect(relative('2026-03-01T11:59:40Z', NOW)).toBe('just now');
    expect(relative('2026-03-01T11:55:00Z', NOW)).toMatch(/5 min/);
    expect(relative('2026-02-25T12:00:00Z', NOW)).toMatch(/4 days/);
    expect(relative('2025-01-01T12:00:00Z', NOW)).toMatch(/2025/);
    expect(relative('soon', NOW)).toBe('soon');
  });

  test('sizes and spans can be typed as they are shown', () => {
    for (const n of [0, 1024, 10 * 2 ** 30, 1500]) expect(readTyped('bytes', typedText('bytes', n))).toEqual({ value: n });
    for (const n of [1, 90, 3600, 86400]) expect(readTyped('duration', typedText('duration', n))).toEqual({ value: n });
    expect(readTyped('duration', '1h 30m')).toEqual({ value: 5400 });
    expect(readTyped('bytes', 'much')).toHaveProperty('problem');
    expect(bytes(1023.99 * 1024)).toBe('1.0 MiB');
    expect(duration(0)).toBe('0 s');
  });

  test('a secret is not copied, a reference by its label', () => {
    expect(copyText({ type: 'secret' }, 'x')).toBe('');
    expect(copyText({ type: 'ref' }, { id: '1', label: 'One' })).toBe('One');
    expect(copyText({ type: 'ip', many: true }, ['10.0.0.1', '10.0.0.2'])).toBe('10.0.0.1\n10.0.0.2');
  });
});

describe('hostile text', () => {
  // eslint-disable-next-line no-control-regex
  const STEERS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/;
  test.each(HOSTILE)('%j steers nothing', (text) => {
    expect(neutral(text)).not.toMatch(STEERS);
    expect(neutralLines(text)).not.toMatch(STEERS);
  });

  test('what hides is shown', () => {
    expect(neutral('a\u202eb')).toBe('a\ufffdb');
    expect(neutralLines('a\nb\tc')).toBe('a\nb\tc');
  });
});
