// What a value is taken for where nothing declares it.

import type { FieldType, Json } from '../model/schema';

export function typeByValue(value: Json): FieldType {
  if (typeof value === 'number') return 'decimal';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'string') return /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value) ? 'time' : 'text';
  return 'json';
}
