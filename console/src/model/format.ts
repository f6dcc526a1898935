// How a value of each domain type is written as text: in cells, in copies, in screen-reader labels and in tooltips.
// What it looks like beyond text (bars, marks, links) is in `fields/`.

import { neutral } from './neutral';
import type { Field, FieldType, Json } from './schema';

const locale = typeof navigator === 'undefined' ? 'en' : navigator.language || 'en';
const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
const decimal = new Intl.NumberFormat(locale, { maximumFractionDigits: 3 });
const one = new Intl.NumberFormat(locale, { maximumFractionDigits: 1, minimumFractionDigits: 1 });
const exactTime = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'medium' });
const clockTime = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const dayTime = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short', year: 'numeric' });
const ago = new Intl.RelativeTimeFormat(locale, { numeric: 'auto', style: 'short' });

export function count(n: number): string {
  return whole.format(n);
}

/** The text of a value; empty for an absent one. */
export function format(field: Pick<Field, 'type' | 'values' | 'many'>, value: Json | undefined, now = Date.now()): string {
  if (value === null || value === undefined || value === '') return '';
  if (field.many && Array.isArray(value)) {
    return value.map((v) => formatOne(field, v, now)).filter(Boolean).join(', ');
  }
  return formatOne(field, value, now);
}

function formatOne(field: Pick<Field, 'type' | 'values'>, value: Json, now: number): string {
  const asNumber = typeof value === 'number' ? value : undefined;
  switch (field.type) {
    case 'int':
      return asNumber === undefined ? plain(value) : whole.format(asNumber);
    case 'decimal':
      return asNumber === undefined ? plain(value) : decimal.format(asNumber);
    case 'bool':
      return value === true ? 'Yes' : value === false ? 'No' : plain(value);
    case 'bytes':
      return asNumber === undefined ? plain(value) : bytes(asNumber);
    case 'rate':
      return asNumber === undefined ? plain(value) : `${bytes(asNumber)}/s`;
    case 'percent':
      return asNumber === undefined ? plain(value) : `${decimal.format(asNumber >= 10 ? Math.round(asNumber) : Math.round(asNumber * 10) / 10)} %`;
    case 'duration':
      return asNumber === undefined ? plain(value) : duration(asNumber);
    case 'time':
      return relative(value, now);
    case 'period':
      return period(value, now);
    case 'enum':
    case 'status':
      return typeof value === 'string' ? neutral(field.values?.[value]?.title ?? value) : plain(value);
    case 'tags':
    case 'refs':
      return Array.isArray(value) ? value.map(label).join(', ') : plain(value);
    case 'ref':
    case 'user':
    case 'group':
      return label(value);
    case 'series':
      return Array.isArray(value) ? seriesText(value) : plain(value);
    case 'progress':
      return progress(value);
    case 'money':
      return money(value);
    case 'secret':
      return '••••••';
    case 'markdown':
      return plain(value).replace(/!?\[([^\]\n]{1,300})\]\([^)\s]{1,2000}\)/g, '$1').replace(/(^|\s)(#{1,6}|[-*+>]|\d+[.)])\s+/g, '$1').replace(/[*_`]{1,3}/g, '');
    default:
      return plain(value);
  }
}

/** The exact form, for a tooltip, where it says more than [`format`]. */
export function exact(field: Pick<Field, 'type' | 'many'>, value: Json | undefined): string | undefined {
  if (value === null || value === undefined || field.many) return undefined;
  if (field.type === 'time') return timeExact(value);
  if (field.type === 'bytes' && typeof value === 'number') return `${whole.format(value)} bytes`;
  if (field.type === 'rate' && typeof value === 'number') return `${whole.format(value)} bytes per second`;
  if (field.type === 'duration' && typeof value === 'number') return `${decimal.format(value)} seconds`;
  if (field.type === 'period' && isObject(value)) return `${timeExact(value.from)} – ${timeExact(value.to) || 'now'}`;
  return undefined;
}

/** What is put on the clipboard: exact, not rounded. */
export function copyText(field: Pick<Field, 'type' | 'values' | 'many'>, value: Json | undefined): string {
  if (value === null || value === undefined || field.type === 'secret') return '';
  if (Array.isArray(value)) return value.map((v) => copyText({ ...field, many: false }, v)).join(field.many ? '\n' : ', ');
  if (isObject(value) && 'label' in value) return String(value.label ?? value.id ?? '');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** Text of a reference `{id, label}`, or of anything that may stand for one. */
export function label(value: Json | undefined): string {
  if (isObject(value)) return plain(value.label ?? value.name ?? value.id ?? null);
  return plain(value ?? null);
}

export function refId(value: Json | undefined): string {
  if (isObject(value)) return String(value.id ?? '');
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

export function bytes(n: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
  let at = 0;
  let rest = Math.abs(n);
  while (rest >= 1023.95 && at < units.length - 1) {
    rest /= 1024;
    at += 1;
  }
  const text = at === 0 || rest >= 99.95 ? whole.format(rest) : one.format(rest);
  return `${n < 0 ? '−' : ''}${text} ${units[at]}`;
}

export function duration(seconds: number): string {
  if (seconds < 1) return seconds === 0 ? '0 s' : `${whole.format(seconds * 1000)} ms`;
  const parts: [number, string][] = [
    [86400, 'd'],
    [3600, 'h'],
    [60, 'min'],
    [1, 's'],
  ];
  const first = parts.findIndex(([size]) => seconds >= size);
  let rest = Math.round(seconds);
  const said: string[] = [];
  for (const [size, unit] of parts.slice(first, first + 2)) {
    const n = Math.floor(rest / size);
    rest -= n * size;
    if (n > 0) said.push(`${whole.format(n)} ${unit}`);
  }
  return said.join(' ') || '0 s';
}

/** `5 min ago`; the day itself once that says more. */
export function relative(value: Json | undefined, now = Date.now()): string {
  const at = typeof value === 'string' ? Date.parse(value) : NaN;
  if (Number.isNaN(at)) return plain(value ?? null);
  const seconds = (at - now) / 1000;
  const size = Math.abs(seconds);
  if (size < 45) return seconds <= 5 ? 'just now' : ago.format(Math.round(seconds), 'second');
  if (size < 45 * 60) return ago.format(Math.round(seconds / 60), 'minute');
  if (size < 36 * 3600) return ago.format(Math.round(seconds / 3600), 'hour');
  if (size < 30 * 86400) return ago.format(Math.round(seconds / 86400), 'day');
  return dayTime.format(at);
}

/** The time of day, for lines that follow each other. */
export function clock(value: string): string {
  const at = Date.parse(value);
  return Number.isNaN(at) ? neutral(value) : clockTime.format(at);
}

export function timeExact(value: Json | undefined): string {
  const at = typeof value === 'string' ? Date.parse(value) : NaN;
  return Number.isNaN(at) ? '' : exactTime.format(at);
}

function period(value: Json, now: number): string {
  if (!isObject(value)) return plain(value);
  const [from, to] = [Date.parse(String(value.from ?? '')), value.to ? Date.parse(String(value.to)) : now];
  if (Number.isNaN(from) || Number.isNaN(to)) return plain(value);
  return `${relative(value.from, now)}, ${value.to ? '' : 'for '}${duration(Math.max(0, to - from) / 1000)}`;
}

function seriesText(list: Json[]): string {
  const numbers = list.filter((n): n is number => typeof n === 'number');
  const last = numbers.at(-1);
  if (last === undefined) return '';
  return `now ${decimal.format(last)}, from ${decimal.format(Math.min(...numbers))} to ${decimal.format(Math.max(...numbers))}`;
}

function progress(value: Json): string {
  if (!isObject(value)) return plain(value);
  const fraction = typeof value.fraction === 'number' ? `${Math.round(value.fraction * 100)} %` : '';
  return [fraction, value.text ? neutral(String(value.text)) : ''].filter(Boolean).join(' ');
}

function money(value: Json): string {
  if (!isObject(value)) return plain(value);
  const amount = Number(value.amount);
  const currency = String(value.currency ?? '');
  try {
    return new Intl.NumberFormat(locale, { style: 'currency', currency }).format(amount);
  } catch {
    return neutral(`${String(value.amount ?? '')} ${currency}`.trim());
  }
}

function plain(value: Json): string {
  if (value === null) return '';
  return neutral(typeof value === 'object' ? JSON.stringify(value) : String(value));
}

/** Whether there is nothing to show of a value. */
export function isAbsent(value: Json | undefined): boolean {
  return value === null || value === undefined || value === '' || (Array.isArray(value) && value.length === 0);
}

export function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const MONO: readonly FieldType[] = ['id', 'ip', 'mac', 'cidr', 'path', 'hash', 'code', 'json'];
const END: readonly FieldType[] = ['int', 'decimal', 'bytes', 'rate', 'duration', 'port', 'money'];

export function isMono(type: FieldType): boolean {
  return MONO.includes(type);
}

export function isAlignedEnd(field: Pick<Field, 'type' | 'many'>): boolean {
  return !field.many && END.includes(field.type);
}

export function isNumber(type: FieldType): boolean {
  return ['int', 'decimal', 'bytes', 'rate', 'percent', 'duration', 'port'].includes(type);
}

const STRUCTURED: readonly FieldType[] = ['period', 'tags', 'refs', 'series', 'progress', 'money', 'json', 'secret', 'icon'];

export function isSortable(field: Field): boolean {
  return !field.many && !STRUCTURED.includes(field.type);
}
