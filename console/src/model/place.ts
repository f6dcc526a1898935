// What a list shows is in its address, so that a filtered list can be kept as a bookmark and sent to a colleague.

import { OPS, type Filter, type Op } from './schema';

export interface Place {
  q: string;
  where: Filter[];
  sort: string[] | undefined;
  columns: string[] | undefined;
  /** Values of the view's params, as text. */
  params?: Record<string, string> | undefined;
  /** What is open in a tree. */
  open?: string[] | undefined;
}

/** Stands before the name of a param, so that none is taken for something else. */
const PARAM = 'p.';
/** What is open beyond this is not kept: an address has a length. */
const MOST_OPEN = 100;

/** Nothing chosen yet. */
export const START: Place = { q: '', where: [], sort: undefined, columns: undefined };

export function readPlace(search: string): Place {
  const parts = new URLSearchParams(search);
  return {
    q: parts.get('q') ?? '',
    where: readFilters(parts.get('where')),
    sort: list(parts.get('sort')),
    columns: list(parts.get('columns')),
    params: Object.fromEntries([...parts].filter(([name]) => name.startsWith(PARAM)).map(([name, value]) => [name.slice(PARAM.length), value])),
    open: parts.getAll('open'),
  };
}

export function writePlace(place: Place): string {
  const parts = new URLSearchParams();
  if (place.q) parts.set('q', place.q);
  if (place.where.length > 0) parts.set('where', JSON.stringify(place.where));
  if (place.sort?.length) parts.set('sort', place.sort.join(','));
  if (place.columns?.length) parts.set('columns', place.columns.join(','));
  for (const [name, value] of Object.entries(place.params ?? {})) if (value) parts.set(PARAM + name, value);
  for (const one of (place.open ?? []).slice(-MOST_OPEN)) parts.append('open', one);
  return parts.toString();
}

function list(text: string | null): string[] | undefined {
  const found = text?.split(',').filter(Boolean);
  return found?.length ? found : undefined;
}

function readFilters(text: string | null): Filter[] {
  if (!text) return [];
  try {
    const read: unknown = JSON.parse(text);
    return Array.isArray(read) ? read.filter(isFilter).slice(0, 20) : [];
  } catch {
    return [];
  }
}

function isFilter(one: unknown): one is Filter {
  return typeof one === 'object' && one !== null && 'field' in one && typeof one.field === 'string'
    && (!('op' in one) || OPS.includes(one.op as Op));
}
