// The one query form over rows in memory.

import { compares } from '../src/model/predicate';
import type { Columns, Field, Filter, Json, JsonObject, Op, Query } from '../src/model/schema';
import { label } from '../src/model/format';

export interface Table {
  fields: Record<string, Field>;
  key: string;
  rows: JsonObject[];
}

function plain(value: Json | undefined): Json {
  if (value === undefined || value === null) return null;
  if (Array.isArray(value)) return value.map(plain);
  return typeof value === 'object' && 'id' in value ? (value.id ?? null) : value;
}

function keyOf(table: Table, row: JsonObject): string {
  return String(row[table.key]);
}

function fits(table: Table, row: JsonObject, filters: Filter[]): boolean {
  return filters.every(({ field, op = 'eq', value = null }) =>
    (field === '$key' ? keyOf(table, row) === value : holds(op, plain(row[field]), value)));
}

/** On a list, `eq` with a single value asks whether the list has it. */
function holds(op: Op, left: Json, right: Json): boolean {
  if (Array.isArray(left) && !Array.isArray(right) && (op === 'eq' || op === 'ne')) return left.some((one) => one === right) === (op === 'eq');
  return compares(op, left, right);
}

function found(table: Table, query: Query): JsonObject[] {
  const parts = (query.q ?? '').toLowerCase().split(/\s+/).filter(Boolean);
  const looked = Object.entries(table.fields).filter(([, field]) => field.search).map(([name]) => name);
  return table.rows.filter((row) => fits(table, row, query.where ?? [])
    && parts.every((part) => looked.some((name) => texts(row[name]).includes(part))));
}

function texts(value: Json | undefined): string {
  return (Array.isArray(value) ? value.map((one) => label(one)).join(' ') : label(value ?? null)).toLowerCase();
}

function rank(field: Field | undefined, value: Json): number | string {
  if (field?.values && typeof value === 'string') return field.values[value]?.rank ?? 0;
  return typeof value === 'number' ? value : typeof value === 'boolean' ? Number(value) : texts(value);
}

export function select(table: Table, query: Query): Columns {
  const rows = found(table, query);
  const sort = query.sort ?? [];
  if (sort.length > 0) {
    rows.sort((a, b) => {
      for (const one of sort) {
        const [name, sign] = one.startsWith('-') ? [one.slice(1), -1] : [one, 1];
        const [x, y] = [rank(table.fields[name], a[name] ?? null), rank(table.fields[name], b[name] ?? null)];
        if (x !== y) return (x < y ? -1 : 1) * sign;
      }
      return keyOf(table, a) < keyOf(table, b) ? -1 : 1;
    });
  }
  const limit = query.page?.limit ?? 100;
  const from = query.page?.after ? rows.findIndex((row) => keyOf(table, row) === query.page!.after) + 1 : 0;
  const shown = rows.slice(from, from + limit);
  const columns = query.fields?.length ? [...new Set([table.key, ...query.fields])] : Object.keys(table.fields);
  const last = shown.at(-1);
  return {
    columns,
    rows: shown.map((row) => columns.map((name) => row[name] ?? null)),
    keys: shown.map((row) => keyOf(table, row)),
    ...(from + limit < rows.length && last ? { next: keyOf(table, last) } : {}),
  };
}

export function count(table: Table, query: Query): number {
  return found(table, query).length;
}

export function facets(table: Table, names: string[], query: Query): Record<string, { value: Json; count: number }[]> {
  return Object.fromEntries(names.map((name) => {
    const counts = new Map<string, { value: Json; count: number }>();
    const others = { ...query, where: (query.where ?? []).filter((one) => one.field !== name) };
    for (const row of found(table, others)) {
      const value = plain(row[name]);
      for (const one of Array.isArray(value) ? value : [value]) {
        const known = counts.get(String(one));
        if (known) known.count += 1;
        else counts.set(String(one), { value: one, count: 1 });
      }
    }
    return [name, [...counts.values()].sort((a, b) => b.count - a.count).slice(0, 50)];
  }));
}
