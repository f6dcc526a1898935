import { expect, test } from 'vitest';
import vectors from '../../crates/schema/vectors/predicates.json' with { type: 'json' };
import { holds } from '../src/model/predicate';
import type { JsonObject, Predicate } from '../src/model/schema';

test.each(vectors as { when: Predicate; row: JsonObject; holds: boolean }[])('$when on $row', (vector) => {
  expect(holds(vector.when, vector.row)).toBe(vector.holds);
});

test('there are enough vectors to mean something', () => {
  expect(vectors.length).toBeGreaterThanOrEqual(20);
});
