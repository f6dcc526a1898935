// The one tiny predicate of manifests. The administrator's own test vectors run here too, so both sides agree.

import type { Json, JsonObject, Op, Predicate } from './schema';

/** Whether `row` fulfils the predicate. */
export function holds(when: Predicate, row: JsonObject): boolean {
  if ('all' in when) return when.all.every((one) => holds(one, row));
  if ('any' in when) return when.any.some((one) => holds(one, row));
  if ('not' in when) return !holds(when.not, row);
  return compares(when.op, row[when.field] ?? null, when.value ?? null);
}

/** Whether `left op right` holds for two JSON values. */
export function compares(op: Op, left: Json, right: Json): boolean {
  switch (op) {
    case 'eq':
      return equal(left, right);
    case 'ne':
      return !equal(left, right);
    case 'lt':
      return order(left, right) === -1;
    case 'le':
      return [-1, 0].includes(order(left, right) ?? 2);
    case 'gt':
      return order(left, right) === 1;
    case 'ge':
      return [1, 0].includes(order(left, right) ?? 2);
    case 'in':
      return Array.isArray(right) && right.some((one) => elements(left).some((value) => equal(value, one)));
    case 'contains':
      return texts(left, right, (text, part) => text.includes(part));
    case 'prefix':
      return texts(left, right, (text, part) => text.startsWith(part));
    case 'empty':
      return left === null || left === '' || (Array.isArray(left) && left.length === 0);
  }
}

function elements(value: Json): Json[] {
  return Array.isArray(value) ? value : [value];
}

function equal(left: Json, right: Json): boolean {
  if (left === right) return true;
  if (left === null || right === null || typeof left !== 'object' || typeof right !== 'object') return false;
  if (Array.isArray(left) !== Array.isArray(right)) return false;
  const [a, b] = [Object.entries(left), right as JsonObject];
  return a.length === Object.keys(b).length && a.every(([key, value]) => key in b && equal(value, b[key] ?? null));
}

function order(left: Json, right: Json): -1 | 0 | 1 | undefined {
  const numbers = typeof left === 'number' && typeof right === 'number';
  const strings = typeof left === 'string' && typeof right === 'string';
  if (!numbers && !strings) return undefined;
  return left === right ? 0 : left! < right! ? -1 : 1;
}

function texts(left: Json, right: Json, test: (text: string, part: string) => boolean): boolean {
  if (typeof right !== 'string') return false;
  const part = right.toLowerCase();
  if (typeof left === 'string') return test(left.toLowerCase(), part);
  return Array.isArray(left) && left.some((one) => typeof one === 'string' && test(one.toLowerCase(), part));
}
