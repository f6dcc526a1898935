// The rows of a tree as they are read: a directory at a time, when it is opened. What is open is known by the value of
// the field that names a row in its tree, so that it stays open when the same tree is read with other params.

import type { Cells, Row } from './rows';
import { holds } from './predicate';
import type { Columns, Json, JsonObject, Problem, Query, Tree } from './schema';

/** A row in its place. */
export interface TreeNode {
  readonly kind: 'node';
  /** What names it in its tree, as text. */
  readonly id: string;
  readonly row: Row;
  readonly parent: TreeNode | undefined;
  /** 1 at the top. */
  readonly level: number;
  /** May have others below it. */
  readonly branch: boolean;
  /** Its place among its siblings, and how many are known. */
  readonly at: number;
}

/** A line that is no row: what goes on, or went wrong, below a row. */
export interface TreeLine {
  readonly kind: 'reading' | 'failed' | 'empty' | 'more';
  readonly id: string;
  readonly parent: TreeNode | undefined;
  readonly level: number;
  readonly problem?: Problem | undefined;
  /** How many are shown above it. */
  readonly shown?: number;
}

export type TreeItem = TreeNode | TreeLine;

interface Level {
  parent: TreeNode | undefined;
  nodes: TreeNode[];
  state: 'reading' | 'ready' | 'failed';
  next: string | undefined;
  problem: Problem | undefined;
}

export interface TreeSnapshot {
  version: number;
  items: TreeItem[];
  state: 'reading' | 'ready' | 'failed';
  problem: Problem | undefined;
  columns: string[];
  /** Nothing that is open is still being read for the first time. */
  settled: boolean;
}

export interface TreeSource {
  read(query: Query): Promise<Columns>;
  problem(error: unknown): Problem;
}

const PAGE = 200;
/** Id of the level at the top. No row has it: ids of rows are never empty. */
const TOP = '';

export class TreeWindow implements Cells {
  readonly #source: TreeSource;
  readonly #query: Query;
  readonly #tree: Tree;
  readonly #levels = new Map<string, Level>();
  readonly #listeners = new Set<() => void>();
  #open: ReadonlySet<string> = new Set();
  #columns: string[] = [];
  #index = new Map<string, number>();
  #snapshot: TreeSnapshot = { version: 0, items: [], state: 'reading', problem: undefined, columns: [], settled: false };

  readonly #onLone: (id: string) => void;

  /** `onLone` is told of a row that has others below it and nobody beside it: there is nothing else to open. */
  constructor(source: TreeSource, query: Query, tree: Tree, onLone: (id: string) => void = () => undefined) {
    this.#source = source;
    this.#query = query;
    this.#tree = tree;
    this.#onLone = onLone;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    if (!this.#levels.has(TOP)) void this.#read(undefined);
    return () => this.#listeners.delete(listener);
  };

  snapshot = (): TreeSnapshot => this.#snapshot;

  value(row: Row, column: string): Json {
    const at = this.#index.get(column);
    return at === undefined ? null : (row.cells[at] ?? null);
  }

  object(row: Row): JsonObject {
    return Object.fromEntries(this.#columns.map((name, n) => [name, row.cells[n] ?? null]));
  }

  /** Which rows are open. Those below them are read when they are seen for the first time. */
  open(ids: ReadonlySet<string>): void {
    this.#open = ids;
    this.#readOpen(TOP);
    this.#changed();
  }

  /** The rows below one, or at the top; nothing while not all of them are known. */
  below(node: TreeNode | undefined): TreeNode[] | undefined {
    const level = this.#levels.get(node?.id ?? TOP);
    return level?.state === 'ready' && level.next === undefined ? level.nodes : undefined;
  }

  /** How many are below a row; nothing while that is not known. */
  count(parent: TreeNode | undefined): number | undefined {
    return this.below(parent)?.length;
  }

  /** Reads what did not come, or what comes after the last row shown. */
  more(parent: TreeNode | undefined): void {
    const level = this.#levels.get(parent?.id ?? TOP);
    if (level && level.state !== 'reading' && (level.state === 'failed' || level.next !== undefined)) void this.#read(parent);
  }

  /** Reads everything anew that is known so far. */
  reload(): void {
    this.#levels.clear();
    void this.#read(undefined);
  }

  async #read(parent: TreeNode | undefined): Promise<void> {
    const id = parent?.id ?? TOP;
    const level = this.#levels.get(id) ?? { parent, nodes: [], state: 'reading', next: undefined, problem: undefined };
    level.state = 'reading';
    level.problem = undefined;
    this.#levels.set(id, level);
    this.#changed();
    try {
      const read = await this.#source.read(this.#queryOf(parent, level.next));
      if (this.#levels.get(id) !== level) return;
      this.#learn(read.columns);
      const known = new Set(level.nodes.map((one) => one.id));
      level.nodes = [...level.nodes, ...this.#nodes(read, parent, level.nodes.length).filter((one) => !known.has(one.id))];
      level.next = read.next ?? undefined;
      level.state = 'ready';
    } catch (error) {
      level.state = 'failed';
      level.problem = this.#source.problem(error);
    }
    this.#readOpen(id);
    this.#changed();
    const [only, other] = level.nodes;
    if (only?.branch && !other && level.state === 'ready' && !this.#open.has(only.id)) this.#onLone(only.id);
  }

  #queryOf(parent: TreeNode | undefined, after: string | undefined): Query {
    const params: JsonObject = { ...this.#query.params };
    if (parent) params[this.#tree.param] = this.value(parent.row, this.#tree.field);
    return { ...this.#query, params, page: after === undefined ? { limit: PAGE } : { limit: PAGE, after } };
  }

  #nodes(read: Columns, parent: TreeNode | undefined, from: number): TreeNode[] {
    return read.rows.map((cells, n): TreeNode => {
      const row: Row = { key: read.keys[n] ?? String(n), cells };
      const named = this.value(row, this.#tree.field);
      return {
        kind: 'node',
        id: named === null || named === '' ? `#${row.key}` : String(named),
        row,
        parent,
        level: (parent?.level ?? 0) + 1,
        branch: named !== null && (this.#tree.branch === undefined || holds(this.#tree.branch, this.object(row))),
        at: from + n + 1,
      };
    });
  }

  #learn(columns: string[]): void {
    if (columns.length === this.#columns.length && columns.every((name, n) => name === this.#columns[n])) return;
    this.#columns = columns;
    this.#index = new Map(columns.map((name, n) => [name, n]));
  }

  /** Reads what is open below a level and was never read. */
  #readOpen(id: string): void {
    for (const node of this.#levels.get(id)?.nodes ?? []) {
      if (!node.branch || !this.#open.has(node.id)) continue;
      if (this.#levels.has(node.id)) this.#readOpen(node.id);
      else void this.#read(node);
    }
  }

  #items(): TreeItem[] {
    const items: TreeItem[] = [];
    const add = (level: Level) => {
      for (const node of level.nodes) {
        items.push(node);
        const below = node.branch && this.#open.has(node.id) ? this.#levels.get(node.id) : undefined;
        if (below) add(below);
      }
      const line = lineOf(level);
      if (line) items.push(line);
    };
    const top = this.#levels.get(TOP);
    if (top) add(top);
    return items;
  }

  #settled(): boolean {
    const isRead = (id: string): boolean => {
      const level = this.#levels.get(id);
      if (!level || (level.state === 'reading' && level.nodes.length === 0)) return false;
      return level.nodes.every((one) => !one.branch || !this.#open.has(one.id) || isRead(one.id));
    };
    return isRead(TOP);
  }

  #changed(): void {
    const top = this.#levels.get(TOP);
    const none = (top?.nodes.length ?? 0) === 0;
    this.#snapshot = {
      version: this.#snapshot.version + 1,
      items: this.#items(),
      state: !top || (none && top.state === 'reading') ? 'reading' : none && top.state === 'failed' ? 'failed' : 'ready',
      problem: top?.problem,
      columns: this.#columns,
      settled: this.#settled(),
    };
    for (const listener of this.#listeners) listener();
  }
}

function lineOf({ parent, state, nodes, next, problem }: Level): TreeLine | undefined {
  const level = (parent?.level ?? 0) + 1;
  const line = (kind: TreeLine['kind'], more: Partial<TreeLine> = {}): TreeLine => ({ kind, id: `${parent?.id ?? TOP}\u0000${kind}`, parent, level, ...more });
  if (state === 'failed') return line('failed', { problem });
  if (state === 'reading') return line('reading');
  if (next !== undefined) return line('more', { shown: nodes.length });
  return nodes.length === 0 && parent ? line('empty') : undefined;
}
