// What the params of a view are: those the address names, and what follows from them. A param that refers to rows which
// have a time is the newest of them until another is chosen, and what that row refers to is the other params' value.

import { label, refId } from '../model/format';
import { MACHINE_TYPE, timeField, type FoundView, type Registry } from '../model/registry';
import { readTyped } from '../model/typed';
import type { Columns, Field, Filter, Json, JsonObject, Query } from '../model/schema';

/** A row that a param may be. */
export interface Option {
  value: string;
  row: JsonObject;
}

export interface Param {
  name: string;
  field: Field;
  /** The view whose rows are its values. */
  list: FoundView | undefined;
  /** Field of those rows that tells when they were. */
  time: string | undefined;
  value: string | undefined;
  label: string;
  /** Where there is a time: oldest first. */
  options: Option[];
}

export type Given = Record<string, string>;
export type ReadRows = (list: FoundView, query: Query) => Promise<Columns>;

/** Rows to slide through; older ones are found by their key. */
const MOST = 500;

export async function resolve(registry: Registry, found: FoundView, given: Given, read: ReadRows): Promise<Param[]> {
  const params = paramsOf(registry, found, given);
  const rows = (param: Param, query: Query) => read(param.list!, query).then((columns) => optionsOf(registry, param, columns));
  for (const param of params.filter((one) => one.list && one.time)) {
    const where = param.value === undefined ? narrowed(registry, param, params) : [is(registry, param, param.value)];
    const [chosen] = await rows(param, { where, sort: [`-${param.time!}`], page: { limit: 1 } });
    if (!chosen) continue;
    param.value = chosen.value;
    derive(registry, param, chosen, params);
    const listed = await rows(param, { where: narrowed(registry, param, params), sort: [`-${param.time!}`], page: { limit: MOST } });
    const known = listed.some((one) => one.value === chosen.value);
    param.options = sorted(param, known ? listed : [...listed, chosen]);
  }
  for (const param of params.filter((one) => one.list && !one.time && one.value !== undefined && one.label === '')) {
    const [row] = await rows(param, { where: [is(registry, param, param.value!)], page: { limit: 1 } });
    param.label = row ? label(row.row[typeOf(registry, param).type.label]) : param.value!;
  }
  return params;
}

/** The same after another row of a list that is known already was chosen; nothing where more has to be read. */
export function step(params: Param[], given: Given): Param[] | undefined {
  const next = params.map((param): Param | undefined => {
    const asked = given[param.name];
    if (asked === undefined || asked === param.value) return param;
    return param.options.some((one) => one.value === asked) ? { ...param, value: asked } : undefined;
  });
  // A param that is no longer said may be another by itself.
  const unsaid = params.some((one) => one.time !== undefined && given[one.name] === undefined);
  return unsaid || next.includes(undefined) ? undefined : (next as Param[]);
}

/** What the view is asked with. */
export function valuesOf(params: Param[]): JsonObject {
  const values: JsonObject = {};
  for (const { name, field, value } of params) {
    if (value === undefined || value === '') continue;
    const read = readTyped(field.type, value);
    if ('value' in read) values[name] = read.value;
  }
  return values;
}

/** The machine that a param names. */
export function machineOf(registry: Registry, found: FoundView, params: Param[]): string | undefined {
  return params.find((one) => registry.referred(one.field, found.module) === MACHINE_TYPE)?.value;
}

function paramsOf(registry: Registry, found: FoundView, given: Given): Param[] {
  const all = Object.entries(found.view.params ?? {}).filter(([name]) => name !== found.view.tree?.param);
  return all.map(([name, field]) => {
    const list = registry.listOf(registry.referred(field, found.module));
    const type = list && registry.typeOf(list);
    return { name, field, list, time: type && timeField(type.type), value: given[name] || undefined, label: '', options: [] };
  });
}

function typeOf(registry: Registry, param: Param) {
  return registry.typeOf(param.list!)!;
}

/** The one field that rows of a type are referred to by. */
function keyField(registry: Registry, param: Param): string {
  const { key } = typeOf(registry, param).type;
  return key?.length === 1 ? key[0]! : 'id';
}

function is(registry: Registry, param: Param, value: string): Filter {
  return { field: keyField(registry, param), op: 'eq', value };
}

/** Only the rows that belong to what the other params are. */
function narrowed(registry: Registry, param: Param, params: Param[]): Filter[] {
  return params.flatMap((other): Filter[] => {
    const field = other === param || other.value === undefined ? undefined : referring(registry, param, other);
    return field === undefined ? [] : [{ field, op: 'eq', value: other.value! }];
  });
}

/** What a chosen row refers to, where nothing else was said. */
function derive(registry: Registry, param: Param, chosen: Option, params: Param[]): void {
  for (const other of params) {
    const field = other === param || other.value !== undefined ? undefined : referring(registry, param, other);
    const value: Json = field === undefined ? null : (chosen.row[field] ?? null);
    if (refId(value) === '') continue;
    other.value = refId(value);
    other.label = label(value);
  }
}

/** Field by which the rows of a param refer to those of another. */
function referring(registry: Registry, param: Param, other: Param): string | undefined {
  if (!other.list) return undefined;
  const [type, wanted] = [typeOf(registry, param), typeOf(registry, other).id];
  const module = param.list!.module;
  return registry.columnsOf(type.id).find(({ field }) => registry.referred(field, module) === wanted)?.name;
}

function optionsOf(registry: Registry, param: Param, { columns, rows }: Columns): Option[] {
  const key = keyField(registry, param);
  return rows.map((cells) => {
    const row = Object.fromEntries(columns.map((name, n) => [name, cells[n] ?? null]));
    return { value: refId(row[key]), row };
  }).filter((one) => one.value !== '');
}

function sorted(param: Param, options: Option[]): Option[] {
  const at = (one: Option) => Date.parse(String(one.row[param.time!] ?? '')) || 0;
  return options.sort((a, b) => at(a) - at(b));
}
