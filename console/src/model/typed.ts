// Values as people type them: `10 GiB`, `1h 30m`, `15 %`. The way back from `format`.

import type { FieldType, Json } from './schema';

export type Typed = { value: Json } | { problem: string };

const SIZES: Record<string, number> = {
  '': 1, b: 1, k: 1024, kb: 1000, kib: 1024, m: 1024 ** 2, mb: 1000 ** 2, mib: 1024 ** 2, g: 1024 ** 3, gb: 1000 ** 3,
  gib: 1024 ** 3, t: 1024 ** 4, tb: 1000 ** 4, tib: 1024 ** 4, p: 1024 ** 5, pb: 1000 ** 5, pib: 1024 ** 5,
};
const SPANS: Record<string, number> = {
  '': 1, s: 1, sec: 1, second: 1, seconds: 1, m: 60, min: 60, minute: 60, minutes: 60, h: 3600, hour: 3600, hours: 3600,
  d: 86400, day: 86400, days: 86400, w: 604800, week: 604800, weeks: 604800,
};

export function readTyped(type: FieldType, text: string): Typed {
  const said = text.trim();
  switch (type) {
    case 'int':
    case 'port':
      return /^[+-]?\d+$/.test(said) ? { value: Number(said) } : { problem: 'Type a whole number.' };
    case 'decimal':
    case 'percent':
      return number(said.replace(/\s*%$/, '')) ?? { problem: 'Type a number.' };
    case 'bytes':
    case 'rate':
      return sum(said.replace(/\/s$/, ''), SIZES) ?? { problem: 'Type a size such as 10 GiB.' };
    case 'duration':
      return sum(said, SPANS) ?? { problem: 'Type a duration such as 1h 30m.' };
    case 'bool':
      return { value: /^(1|true|yes)$/i.test(said) };
    case 'time': {
      const at = Date.parse(said);
      return Number.isNaN(at) ? { problem: 'Type a date and time.' } : { value: new Date(at).toISOString() };
    }
    default:
      return { value: text };
  }
}

/** The text to start with for a value that is to be edited. */
export function typedText(type: FieldType | undefined, value: Json | undefined): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number' && (type === 'bytes' || type === 'rate')) return backwards(value, [['TiB', 1024 ** 4], ['GiB', 1024 ** 3], ['MiB', 1024 ** 2], ['KiB', 1024]]);
  if (typeof value === 'number' && type === 'duration') return backwards(value, [['d', 86400], ['h', 3600], ['min', 60], ['s', 1]]);
  if (typeof value === 'string' && type === 'time') return local(value);
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function backwards(value: number, units: [string, number][]): string {
  const unit = units.find(([, size]) => value >= size && value % size === 0);
  return unit ? `${value / unit[1]} ${unit[0]}` : String(value);
}

/** The form that `<input type="datetime-local">` wants. */
function local(value: string): string {
  const at = new Date(value);
  if (Number.isNaN(at.getTime())) return '';
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

function number(text: string): Typed | undefined {
  return /^[+-]?(\d+([.,]\d+)?|[.,]\d+)$/.test(text) ? { value: Number(text.replace(',', '.')) } : undefined;
}

function sum(text: string, units: Record<string, number>): Typed | undefined {
  const parts = [...text.matchAll(/(\d+(?:[.,]\d+)?)\s*([a-z]*)\s*/gi)];
  if (parts.length === 0 || parts.map((part) => part[0]).join('').length !== text.length) return undefined;
  let total = 0;
  for (const [, amount, unit] of parts) {
    const size = units[unit!.toLowerCase()];
    if (size === undefined) return undefined;
    total += Number(amount!.replace(',', '.')) * size;
  }
  return { value: Math.round(total) };
}
