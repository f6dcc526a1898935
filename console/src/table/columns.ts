// Which columns are shown: those the reader chose, or as many as fit by priority.

import { priority, type Column } from '../model/registry';
import type { FieldType } from '../model/schema';

const WIDTHS: Partial<Record<FieldType, number>> = {
  status: 112, bool: 78, int: 84, decimal: 90, bytes: 92, rate: 100, percent: 148, duration: 100, time: 116, period: 170,
  ip: 138, mac: 150, cidr: 140, port: 70, version: 104, hash: 130, id: 130, user: 164, group: 130, ref: 150, refs: 180,
  series: 126, progress: 170, money: 100, icon: 60, url: 190, path: 200, tags: 170, enum: 110, json: 180, code: 180, markdown: 220,
};
const TEXT_WIDTH = 150;
const LABEL_WIDTH = 164;
/** Below this width of the list rows are stacked. */
export const NARROW = 620;
export const SELECT_WIDTH = 40;
export const ACTIONS_WIDTH = 44;

export function widthOf({ field, name }: Column, label: string): number {
  const width = field.width ?? WIDTHS[field.type] ?? TEXT_WIDTH;
  const title = field.title.length * 7.4 + 40;
  const known = Math.max(name === label ? Math.max(LABEL_WIDTH, width) : width, Math.min(title, 160));
  return Math.min(420, Math.max(56, field.many && field.type !== 'ip' ? known + 30 : known));
}

/** The columns that fit, in their own order; priority 1 always. */
export function fitting(columns: Column[], label: string, available: number, chosen: string[] | undefined): Column[] {
  if (chosen) {
    const named = chosen.map((name) => columns.find((one) => one.name === name)).filter((one) => one !== undefined);
    if (named.length > 0) return named;
  }
  const taken = new Set<Column>();
  let used = 0;
  for (const level of [1, 2, 3]) {
    for (const one of columns) {
      const own = one.name === label ? 1 : priority(one.field);
      if (own !== level) continue;
      const width = widthOf(one, label);
      if (level > 1 && used + width > available) continue;
      taken.add(one);
      used += width;
    }
  }
  return columns.filter((one) => taken.has(one));
}

export function template(columns: Column[], label: string, select: boolean, actions: boolean): string {
  const tracks = columns.map((one) => {
    const width = widthOf(one, label);
    return `minmax(${Math.round(width)}px, ${Math.round(width)}fr)`;
  });
  return [select ? `${SELECT_WIDTH}px` : '', ...tracks, actions ? `${ACTIONS_WIDTH}px` : ''].filter(Boolean).join(' ');
}
