// Which columns are shown: those the reader chose, or as many as fit by priority.

import { priority, type Column } from '../model/registry';
import type { Field, FieldType } from '../model/schema';

const WIDTHS: Partial<Record<FieldType, number>> = {
  status: 104, bool: 72, int: 78, decimal: 84, bytes: 86, rate: 96, percent: 128, duration: 92, time: 104, period: 160,
  ip: 134, mac: 146, cidr: 134, port: 64, version: 96, hash: 124, id: 124, user: 150, group: 120, ref: 140, refs: 160,
  series: 112, progress: 150, money: 96, icon: 56, url: 180, path: 190, tags: 160, enum: 100, json: 170, code: 170, markdown: 200,
};
const TEXT_WIDTH = 130;
const LABEL_WIDTH = 150;
/** Below this width of the list rows are stacked. */
export const NARROW = 620;
export const SELECT_WIDTH = 40;
export const ACTIONS_WIDTH = 44;

export function widthOf({ field, name }: Column, label: string): number {
  const width = field.width ?? valuesWidth(field) ?? WIDTHS[field.type] ?? TEXT_WIDTH;
  const title = field.title.length * 6.8 + 30;
  const known = Math.max(name === label ? Math.max(LABEL_WIDTH, width) : width, Math.min(title, 160));
  return Math.min(420, Math.max(56, field.many ? known + 16 : known));
}

/** A status is as wide as its longest word beside its mark; an enum as its longest word. */
function valuesWidth({ type, values }: Field): number | undefined {
  const longest = Math.max(0, ...Object.values(values ?? {}).map((one) => one.title.length));
  if (type === 'enum' && longest > 0) return Math.min(180, Math.max(80, longest * 7 + 26));
  return type === 'status' && longest > 0 ? Math.min(180, Math.max(96, longest * 8 + 52)) : undefined;
}

/** The columns that fit, in their own order; what names the row always. Stacked, what matters most. */
export function fitting(columns: Column[], label: string, available: number, chosen: string[] | undefined, stacked = false): Column[] {
  if (chosen) {
    const named = chosen.map((name) => columns.find((one) => one.name === name)).filter((one) => one !== undefined);
    if (named.length > 0) return named;
  }
  if (stacked) return columns.filter((one) => one.name === label || priority(one.field) === 1);
  const naming = columns.filter((one) => one.name === label);
  const taken = new Set(naming);
  let used = naming.reduce((sum, one) => sum + widthOf(one, label), 0);
  for (const level of [1, 2, 3]) {
    for (const one of columns) {
      if (one.name === label || priority(one.field) !== level) continue;
      const width = widthOf(one, label);
      if (used + width > available) continue;
      taken.add(one);
      used += width;
    }
  }
  return columns.filter((one) => taken.has(one));
}

export function template(columns: Column[], label: string, select: boolean, actions: boolean): string {
  const tracks = columns.map((one) => {
    const width = widthOf(one, label);
    return `minmax(${Math.round(width * 0.85)}px, ${Math.round(width)}fr)`;
  });
  return [select ? `${SELECT_WIDTH}px` : '', ...tracks, actions ? `${ACTIONS_WIDTH}px` : ''].filter(Boolean).join(' ');
}
