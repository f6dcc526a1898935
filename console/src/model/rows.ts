// The window of rows a list holds: pages in the order of their cursors, read as they are scrolled to, given back when
// they are far away, and patched while they are near. Nothing on screen moves by itself: while the reader is busy with
// the list, new rows and a new order wait until they are asked for.

import type { Columns, Json, JsonObject, Patch, Problem, Query } from './schema';

export interface Row {
  readonly key: string;
  readonly cells: readonly Json[];
  /** Came by itself; shown for a moment. */
  readonly fresh?: boolean;
  /** No longer in the list; leaves with the next change of order. */
  readonly gone?: boolean;
}

/** The values of rows, by the name of the field. */
export interface Cells {
  value(row: Row, column: string): Json;
  /** The row as an object, for predicates and for values bound to a command. */
  object(row: Row): JsonObject;
}

export interface RowMessage {
  rows?: Columns;
  patches?: Patch[];
  order?: string[];
  problem?: Problem;
}

/** Where rows come from. `watch` may be absent: then rows are as of when they were read. */
export interface RowSource {
  read(query: Query): Promise<Columns>;
  watch?(query: Query, listener: (message: RowMessage) => void): () => void;
  problem(error: unknown): Problem;
}

interface Page {
  after: string | undefined;
  rows: Row[] | undefined;
  length: number;
  state: 'empty' | 'reading' | 'ready' | 'failed';
  unwatch: (() => void) | undefined;
  /** The order the administrator told last, while it is held back. */
  waiting: string[] | undefined;
  arrived: Map<string, Row>;
}

export interface Snapshot {
  version: number;
  columns: string[];
  /** Rows known so far, read or not. */
  length: number;
  state: 'reading' | 'ready' | 'failed';
  problem: Problem | undefined;
  complete: boolean;
  readingMore: boolean;
  /** Rows that wait to be shown. */
  waiting: number;
}

const FIRST_PAGE = 100;
const PAGE = 200;
/** Pages kept on each side of those on screen. */
const NEAR = 4;

export class RowWindow implements Cells {
  readonly #source: RowSource;
  readonly #query: Query;
  #pages: Page[] = [];
  #index = new Map<string, number>();
  #columns: string[] = [];
  #problem: Problem | undefined;
  #next: string | undefined;
  #started = false;
  #closed = false;
  #listeners = new Set<() => void>();
  #snapshot: Snapshot;
  #onArrival: (rows: number) => void;
  #range: [number, number] = [0, 0];
  held = false;

  constructor(source: RowSource, query: Query, onArrival: (rows: number) => void = () => undefined) {
    this.#source = source;
    this.#query = query;
    this.#onArrival = onArrival;
    this.#snapshot = this.#take(0);
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    this.#closed = false;
    if (!this.#started) {
      this.#started = true;
      this.#pages = [page(undefined)];
      void this.#read(this.#pages[0]!);
    } else {
      this.show(...this.#range);
    }
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#close();
    };
  };

  snapshot = (): Snapshot => this.#snapshot;

  /** The row at a place of the list; nothing where it is not read yet. */
  row(at: number): Row | undefined {
    let from = 0;
    for (const one of this.#pages) {
      if (at < from + one.length) return one.rows?.[at - from];
      from += one.length;
    }
    return undefined;
  }

  indexOf(key: string): number {
    let from = 0;
    for (const one of this.#pages) {
      const at = one.rows?.findIndex((row) => row.key === key) ?? -1;
      if (at >= 0) return from + at;
      from += one.length;
    }
    return -1;
  }

  value(row: Row, column: string): Json {
    const at = this.#index.get(column);
    return at === undefined ? null : (row.cells[at] ?? null);
  }

  object(row: Row): JsonObject {
    return Object.fromEntries(this.#columns.map((name, n) => [name, row.cells[n] ?? null]));
  }

  /** Tells which rows are on screen: reads what is missing and watches those near. */
  show(from: number, to: number): void {
    this.#range = [from, to];
    const near = this.#near(from, to);
    for (const one of near) if (one.state === 'empty') void this.#read(one);
    const known = this.#pages.reduce((sum, one) => sum + one.length, 0);
    const last = this.#pages.at(-1);
    if (to >= known - 40 && this.#next !== undefined && last?.state === 'ready') {
      const more = page(this.#next);
      this.#next = undefined;
      this.#pages.push(more);
      void this.#read(more);
    }
    this.#drop(near);
    this.#watchNear();
  }

  /** Reads everything on screen again. */
  retry(): void {
    this.#problem = undefined;
    for (const one of this.#pages) if (one.state === 'failed') void this.#read(one);
    this.#changed();
  }

  /** Shows what waited. */
  release(): void {
    for (const one of this.#pages) this.#settle(one);
    this.#changed();
  }

  async #read(one: Page): Promise<void> {
    one.state = 'reading';
    this.#changed();
    try {
      const read = await this.#source.read(this.#queryOf(one));
      if (this.#closed) {
        one.state = 'empty';
        return;
      }
      this.#accept(one, read);
      if (one === this.#pages.at(-1)) this.#next = read.next ?? undefined;
      this.#problem = undefined;
    } catch (error) {
      one.state = 'failed';
      this.#problem = this.#source.problem(error);
    }
    this.#changed();
    this.#watchNear();
  }

  #queryOf(one: Page): Query {
    const limit = one.after === undefined ? FIRST_PAGE : PAGE;
    return { ...this.#query, page: one.after === undefined ? { limit } : { limit, after: one.after } };
  }

  #accept(one: Page, read: Columns): void {
    this.#learn(read.columns);
    const old = new Map(one.rows?.map((row) => [row.key, row]));
    one.rows = read.rows.map((cells, n) => {
      const key = read.keys[n] ?? String(n);
      const before = old.get(key);
      return before && same(before.cells, cells) ? before : { key, cells };
    });
    one.length = one.rows.length;
    one.state = 'ready';
    one.waiting = undefined;
    one.arrived.clear();
  }

  #learn(columns: string[]): void {
    if (columns.length === this.#columns.length && columns.every((name, n) => name === this.#columns[n])) return;
    this.#columns = columns;
    this.#index = new Map(columns.map((name, n) => [name, n]));
  }

  #watchNear(): void {
    if (!this.#source.watch || this.#listeners.size === 0) return;
    const [from, to] = this.#range;
    const shown = new Set(this.#near(from, to, 0));
    for (const one of this.#pages) {
      if (shown.has(one) && one.state === 'ready' && !one.unwatch) {
        one.unwatch = this.#source.watch(this.#queryOf(one), (message) => this.#hear(one, message));
      } else if (!shown.has(one) && one.unwatch) {
        one.unwatch();
        one.unwatch = undefined;
      }
    }
  }

  #hear(one: Page, message: RowMessage): void {
    if (message.problem) return;
    if (message.rows) this.#hearRows(one, message.rows);
    if (message.patches) for (const patch of message.patches) this.#patch(one, patch);
    if (message.order) one.waiting = message.order;
    if (one.waiting || one.arrived.size > 0) this.#maybeSettle(one);
    this.#changed();
  }

  /** The first message of a subscription: the whole page as it is now. */
  #hearRows(one: Page, read: Columns): void {
    if (one.rows?.length === 0 || one.rows === undefined) {
      this.#accept(one, read);
      return;
    }
    this.#learn(read.columns);
    const known = new Set(one.rows.map((row) => row.key));
    const now = new Map(read.keys.map((key, n) => [key, read.rows[n] ?? []]));
    one.rows = one.rows.map((row) => {
      const cells = now.get(row.key);
      return cells && !same(cells, row.cells) ? { ...row, cells } : row;
    });
    for (const [key, cells] of now) if (!known.has(key)) one.arrived.set(key, { key, cells, fresh: true });
    const inOrder = read.keys.length === one.rows.length && read.keys.every((key, n) => key === one.rows?.[n]?.key);
    if (!inOrder) one.waiting = read.keys;
  }

  #patch(one: Page, patch: Patch): void {
    const at = one.rows?.findIndex((row) => row.key === patch.key) ?? -1;
    const row = at < 0 ? undefined : one.rows![at]!;
    if ('gone' in patch) {
      one.arrived.delete(patch.key);
      if (row) one.rows = one.rows!.with(at, { ...row, gone: true });
      one.waiting ??= one.rows?.filter((each) => !each.gone).map((each) => each.key);
      return;
    }
    const before = row ?? one.arrived.get(patch.key);
    const cells = this.#columns.map((name, n) => (name in patch.set ? (patch.set[name] ?? null) : (before?.cells[n] ?? null)));
    if (row) one.rows = one.rows!.with(at, { key: row.key, cells });
    else one.arrived.set(patch.key, { key: patch.key, cells, fresh: true });
  }

  #maybeSettle(one: Page): void {
    if (this.held) return;
    this.#settle(one);
  }

  #settle(one: Page): void {
    if (!one.rows || (!one.waiting && one.arrived.size === 0)) return;
    const order = one.waiting ?? [...one.rows.map((row) => row.key), ...one.arrived.keys()];
    const now = new Map(one.rows.map((row) => [row.key, row]));
    const arrived = [...one.arrived.keys()].filter((key) => order.includes(key) && !now.has(key)).length;
    for (const [key, row] of one.arrived) if (!now.has(key)) now.set(key, row);
    const rows = order.map((key) => now.get(key)).filter((row) => row !== undefined && !row.gone) as Row[];
    const kept = new Set(order);
    // Rows pushed over the end of a full page are still in the list; the next page does not have them.
    const more = one !== this.#pages.at(-1) || this.#next !== undefined;
    if (more) rows.push(...one.rows.filter((row) => !row.gone && !kept.has(row.key)), ...pushedOut(one.rows, arrived));
    one.rows = rows;
    one.length = rows.length;
    one.waiting = undefined;
    one.arrived.clear();
    if (arrived > 0) this.#onArrival(arrived);
  }

  #near(from: number, to: number, around = 1): Page[] {
    const found: Page[] = [];
    let at = 0;
    for (const [n, one] of this.#pages.entries()) {
      const end = at + Math.max(one.length, 1);
      if (end > from && at < to) found.push(one);
      else if (around > 0 && (this.#touches(n - 1, from, to) || this.#touches(n + 1, from, to))) found.push(one);
      at = at + one.length;
    }
    return found.length > 0 ? found : this.#pages.slice(0, 1);
  }

  #touches(n: number, from: number, to: number): boolean {
    if (n < 0 || n >= this.#pages.length) return false;
    const start = this.#pages.slice(0, n).reduce((sum, one) => sum + one.length, 0);
    return start + this.#pages[n]!.length > from && start < to;
  }

  #drop(near: Page[]): void {
    const first = this.#pages.indexOf(near[0]!);
    for (const [n, one] of this.#pages.entries()) {
      const far = n < first - NEAR || n > first + near.length + NEAR;
      if (far && one.state === 'ready' && n > 0) {
        one.rows = undefined;
        one.state = 'empty';
      }
    }
  }

  #close(): void {
    this.#closed = true;
    for (const one of this.#pages) {
      one.unwatch?.();
      one.unwatch = undefined;
    }
  }

  #changed(): void {
    this.#snapshot = this.#take(this.#snapshot.version + 1);
    for (const listener of this.#listeners) listener();
  }

  #take(version: number): Snapshot {
    const first = this.#pages[0];
    const waiting = this.#pages.reduce((sum, one) => sum + one.arrived.size, 0);
    return {
      version,
      columns: this.#columns,
      length: this.#pages.reduce((sum, one) => sum + one.length, 0),
      state: first === undefined || (first.state === 'reading' && first.rows === undefined) ? 'reading' : first.state === 'failed' ? 'failed' : 'ready',
      problem: this.#problem,
      complete: this.#next === undefined && this.#pages.every((one) => one.state === 'ready'),
      readingMore: this.#pages.at(-1)?.state === 'reading' && this.#pages.length > 1,
      waiting,
    };
  }
}

/**
 * The last rows of a full page that new rows pushed over its end. The administrator tells them as gone from this page;
 * they are at the beginning of the next, which was read before.
 */
function pushedOut(rows: Row[], arrived: number): Row[] {
  const left = rows.slice(Math.max(rows.findLastIndex((row) => !row.gone) + 1, rows.length - arrived));
  return left.map((row) => ({ key: row.key, cells: row.cells }));
}

function page(after: string | undefined): Page {
  return { after, rows: undefined, length: 0, state: 'empty', unwatch: undefined, waiting: undefined, arrived: new Map() };
}

function same(a: readonly Json[], b: readonly Json[]): boolean {
  return a.length === b.length && JSON.stringify(a) === JSON.stringify(b);
}
