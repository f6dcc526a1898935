// The input of a command as a form: which fields there are, what they start with, what is wrong with what was typed,
// and the JSON that is sent. It keeps to the profile of `crates/schema/src/input.rs`.

import { holds } from './predicate';
import type { InputProperty, InputSchema, Json, JsonObject } from './schema';
import { readTyped } from './typed';

export interface FormField {
  /** `subnet`, or `schedule.day` one level down. */
  path: string;
  property: InputProperty;
  required: boolean;
  advanced: boolean;
  /** Title of the object it is part of. */
  group: string | undefined;
}

export type Values = Record<string, Json>;

export function kindOf(property: InputProperty): string {
  const { type } = property;
  if (typeof type === 'string') return type;
  if (Array.isArray(type)) return type.find((one) => one !== 'null') ?? 'null';
  const sample = property.oneOf?.[0]?.const ?? property.enum?.[0] ?? property.const;
  if (typeof sample === 'boolean') return 'boolean';
  if (typeof sample === 'number') return Number.isInteger(sample) ? 'integer' : 'number';
  return 'string';
}

export interface Choice {
  value: Json;
  title: string;
  description?: string;
}

export function choicesOf(property: InputProperty): Choice[] | undefined {
  if (property.oneOf?.length) {
    return property.oneOf.map((one) => ({ value: one.const ?? null, title: one.title ?? String(one.const), ...(one.description ? { description: one.description } : {}) }));
  }
  if (property.enum?.length) return property.enum.filter((one) => one !== null).map((one) => ({ value: one, title: String(one) }));
  return undefined;
}

export function fieldsOf(schema: InputSchema | undefined): FormField[] {
  const fields: FormField[] = [];
  for (const [name, property] of Object.entries(schema?.properties ?? {})) {
    const required = schema?.required?.includes(name) ?? false;
    const advanced = property['x-ui']?.level === 'advanced';
    const inner = Object.entries(property.properties ?? {});
    if (kindOf(property) === 'object' && inner.length > 0) {
      for (const [under, one] of inner) {
        fields.push({
          path: `${name}.${under}`,
          property: one,
          required: required && (property.required?.includes(under) ?? false),
          advanced: advanced || one['x-ui']?.level === 'advanced',
          group: property.title ?? titleOf(name),
        });
      }
    } else fields.push({ path: name, property, required, advanced, group: undefined });
  }
  return fields;
}

/** A readable title for a property that has none: `max_size` → `Max size`. */
export function titleOf(name: string): string {
  const words = name.split('.').at(-1)!.replaceAll(/[_-]+/g, ' ').trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export function startValues(fields: FormField[], given: JsonObject = {}): Values {
  const values: Values = {};
  for (const { path, property, required } of fields) {
    const [name, under] = path.split('.') as [string, string | undefined];
    const inner = under === undefined ? given[name] : (given[name] as JsonObject | undefined)?.[under];
    const only = choicesOf(property);
    const start = inner ?? property.default ?? property.const ?? (required && only && only.length > 0 ? only[0]!.value : undefined);
    if (start !== undefined && start !== null) values[path] = start;
    else if (kindOf(property) === 'boolean') values[path] = false;
  }
  return values;
}

/** Whether a field is asked for, given what is typed so far. */
export function isAsked({ property }: FormField, values: Values): boolean {
  return property['x-when'] === undefined || holds(property['x-when'], nested(values));
}

export function nested(values: Values): JsonObject {
  const out: JsonObject = {};
  for (const [path, value] of Object.entries(values)) {
    const [name, under] = path.split('.') as [string, string | undefined];
    if (under === undefined) out[name] = value;
    else out[name] = { ...(out[name] as JsonObject | undefined), [under]: value };
  }
  return out;
}

/** The JSON to send: only what is asked for and filled in. */
export function toInput(fields: FormField[], values: Values): JsonObject {
  const kept: Values = {};
  for (const field of fields) {
    const value = values[field.path];
    if (isAsked(field, values) && value !== undefined && value !== null && !(value === '' && !field.required)) kept[field.path] = value;
  }
  return nested(kept);
}

/** What is wrong with the values, by path. */
export function check(fields: FormField[], values: Values): Record<string, string> {
  const wrong: Record<string, string> = {};
  for (const field of fields) {
    if (!isAsked(field, values)) continue;
    const value = values[field.path];
    // An empty text that was cleared on purpose is a text, unless the schema wants some length.
    const emptied = value === '' && kindOf(field.property) === 'string' && !choicesOf(field.property) && !field.property['x-options'] && field.property.minLength === undefined && field.property.pattern === undefined;
    const missing = value === undefined || value === null || (value === '' && !emptied) || (Array.isArray(value) && value.length === 0);
    if (emptied) continue;
    const problem = missing ? (field.required ? missingText(field) : undefined) : checkValue(field.property, value);
    if (problem) wrong[field.path] = problem;
  }
  return wrong;
}

function missingText({ property, path }: FormField): string {
  const what = property.title ?? titleOf(path);
  return choicesOf(property) || property['x-options'] ? `Choose ${what.toLowerCase()}.` : `Fill in ${what.toLowerCase()}.`;
}

export function checkValue(property: InputProperty, value: Json): string | undefined {
  if (Array.isArray(value)) return checkList(property, value);
  if (typeof value === 'number') return checkNumber(property, value);
  if (typeof value === 'string') return checkText(property, value);
  return undefined;
}

function checkList({ items, minItems, maxItems, uniqueItems }: InputProperty, list: Json[]): string | undefined {
  if (minItems !== undefined && list.length < minItems) return `Give at least ${minItems}.`;
  if (maxItems !== undefined && list.length > maxItems) return `Give at most ${maxItems}.`;
  if (uniqueItems && new Set(list.map((one) => JSON.stringify(one))).size < list.length) return 'Each only once.';
  for (const one of list) {
    const problem = items ? checkValue(items, one) : undefined;
    if (problem) return `${String(one)}: ${problem}`;
  }
  return undefined;
}

function checkNumber({ minimum, maximum, type }: InputProperty, value: number): string | undefined {
  if (!Number.isFinite(value)) return 'Type a number.';
  if ((type === 'integer' || (Array.isArray(type) && type.includes('integer'))) && !Number.isInteger(value)) return 'Type a whole number.';
  if (minimum !== undefined && value < minimum) return `At least ${minimum}.`;
  if (maximum !== undefined && value > maximum) return `At most ${maximum}.`;
  return undefined;
}

const SHAPES: Partial<Record<string, [RegExp, string]>> = {
  ip: [/^(\d{1,3}(\.\d{1,3}){3}|[0-9a-f]*:[0-9a-f:.]+)$/i, 'Type an IP address, as in 10.0.0.7 or fe80::1.'],
  mac: [/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i, 'Type a MAC address, as in 00:1b:44:11:3a:b7.'],
  cidr: [/^(\d{1,3}(\.\d{1,3}){3}|[0-9a-f]*:[0-9a-f:.]+)\/\d{1,3}$/i, 'Type a network, as in 10.0.0.0/24.'],
  hours: [/^(([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00))?$/, 'Type hours, as in 21:00-05:00.'],
  url: [/^[a-z][a-z0-9+.-]*:\/\/\S+$/i, 'Type an address, as in https://example.com/.'],
};

function checkText(property: InputProperty, text: string): string | undefined {
  const length = [...text].length;
  if (property.minLength !== undefined && length < property.minLength) return `At least ${property.minLength} characters.`;
  if (property.maxLength !== undefined && length > property.maxLength) return `At most ${property.maxLength} characters.`;
  const shape = SHAPES[property['x-type'] ?? ''];
  if (shape && !shape[0].test(text)) return shape[1];
  if (property.pattern !== undefined && !matches(property.pattern, text)) return `It must match ${property.pattern}.`;
  return undefined;
}

function matches(pattern: string, text: string): boolean {
  try {
    return new RegExp(pattern, 'u').test(text);
  } catch {
    return true; // A pattern this engine cannot read is the administrator's to check.
  }
}

/** What was typed into a text control, as JSON of the property's kind. */
export function readControl(property: InputProperty, text: string): { value: Json } | { problem: string } {
  const kind = kindOf(property);
  const domain = property['x-type'];
  if (text.trim() === '') return { value: '' };
  if (kind === 'integer' || kind === 'number') {
    const number = readTyped(domain ?? (kind === 'integer' ? 'int' : 'decimal'), text);
    return 'value' in number && typeof number.value !== 'number' ? readTyped(kind === 'integer' ? 'int' : 'decimal', text) : number;
  }
  if (kind === 'object') {
    try {
      const value: unknown = JSON.parse(text);
      return typeof value === 'object' && value !== null && !Array.isArray(value) ? { value: value as Json } : { problem: 'Type a JSON object.' };
    } catch {
      return { problem: 'Type a JSON object.' };
    }
  }
  if (domain === 'time') return readTyped('time', text);
  return { value: text };
}

/** Where in a form a problem of the administrator belongs: `input.subnet` and `subnet` are the same place. */
export function pathOf(field: string | undefined, fields: FormField[]): string | undefined {
  if (field === undefined) return undefined;
  const bare = field.replace(/^(input|\$)\.?/, '').replace(/^\//, '').replaceAll('/', '.').replace(/\[\d+\]$/, '');
  return fields.find((one) => one.path === bare)?.path ?? fields.find((one) => bare.startsWith(`${one.path}.`))?.path;
}
