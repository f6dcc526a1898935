import { describe, expect, test } from 'vitest';
import { printers } from '../mock/manifests';
import { hoursOf } from '../src/forms/hours';
import { check, fieldsOf, isAsked, pathOf, readControl, startValues, toInput } from '../src/model/input';
import type { InputSchema } from '../src/model/schema';

const schema: InputSchema = {
  type: 'object', required: ['name', 'where'],
  properties: {
    name: { type: 'string', minLength: 2 },
    where: { type: 'string', 'x-type': 'cidr' },
    note: { type: 'string' },
    size: { type: ['integer', 'null'], minimum: 1, maximum: 10, 'x-type': 'bytes' },
    mode: { oneOf: [{ const: 'a', title: 'A' }, { const: 'b', title: 'B' }], default: 'b' },
    only_b: { type: 'string', 'x-when': { field: 'mode', op: 'eq', value: 'b' } },
    inner: { type: 'object', required: ['day'], properties: { day: { type: 'integer' }, on: { type: 'boolean', default: true } } },
  },
};
const fields = fieldsOf(schema);

describe('a form from an input schema', () => {
  test('starts with the defaults', () => {
    expect(startValues(fields, { name: 'xy' })).toEqual({ name: 'xy', mode: 'b', 'inner.on': true });
  });

  test('says what is wrong where it is wrong', () => {
    expect(check(fields, { name: 'x', where: '10.0.0', size: 11 })).toEqual({
      name: 'At least 2 characters.', where: 'Type a network, as in 10.0.0.0/24.', size: 'At most 10.',
    });
    expect(check(fields, { name: 'xy', where: '10.0.0.0/24' })).toEqual({});
    expect(Object.keys(check(fields, {}))).toEqual(['name', 'where']);
  });

  test('hours have two ends, and from midnight to midnight they are the whole day', () => {
    expect(hoursOf('21:00', '05:00')).toBe('21:00-05:00');
    expect(hoursOf('00:00', '00:00')).toBe('00:00-24:00');
    expect(hoursOf('', '')).toBe('');
    expect([hoursOf('21:00', ''), hoursOf('08:00', '08:00')]).toEqual([undefined, undefined]);
    const hours = fieldsOf({ type: 'object', properties: { when: { type: 'string', 'x-type': 'hours' } } });
    expect(check(hours, { when: '21:00-05:00' })).toEqual({});
    expect(check(hours, { when: '9 to 5' })).toEqual({ when: 'Type hours, as in 21:00-05:00.' });
  });

  test('asks only for what applies and sends only that', () => {
    const field = fields.find((one) => one.path === 'only_b')!;
    expect(isAsked(field, { mode: 'a' })).toBe(false);
    expect(toInput(fields, { name: 'xy', where: '10.0.0.0/8', mode: 'a', only_b: 'kept back', note: '', 'inner.day': 3 }))
      .toEqual({ name: 'xy', where: '10.0.0.0/8', mode: 'a', inner: { day: 3 } });
  });

  test('a required text may be emptied on purpose, but not left out', () => {
    const plain = fieldsOf({ type: 'object', required: ['t'], properties: { t: { type: 'string' } } });
    expect(check(plain, {})).toHaveProperty('t');
    expect(check(plain, { t: '' })).toEqual({});
    expect(toInput(plain, { t: '' })).toEqual({ t: '' });
  });

  test('reads what was typed as the kind it is', () => {
    expect(readControl({ type: 'integer', 'x-type': 'bytes' }, '2 KiB')).toEqual({ value: 2048 });
    expect(readControl({ type: 'integer' }, 'x')).toHaveProperty('problem');
    expect(readControl({ type: 'object' }, '{"a":1}')).toEqual({ value: { a: 1 } });
    expect(readControl({ type: 'object' }, '[1]')).toHaveProperty('problem');
  });

  test('finds the field a problem of the administrator speaks of', () => {
    expect(pathOf('input.where', fields)).toBe('where');
    expect(pathOf('inner.day', fields)).toBe('inner.day');
    expect(pathOf('elsewhere', fields)).toBeUndefined();
  });

  test('rare fields are set apart', () => {
    const find = printers.commands!.find((one) => one.id === 'find')!;
    expect(fieldsOf(find.input).filter((one) => one.advanced).map((one) => one.path)).toEqual(['timeout', 'parallel', 'skip']);
  });
});
