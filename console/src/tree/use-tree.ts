// The rows of a tree as React sees them. While they are read with other params, those before stay in sight.

import { useEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import { fetchColumns, problemOf, type Address } from '../api/http';
import { TreeWindow, type TreeSnapshot } from '../model/tree';
import type { Query, Tree } from '../model/schema';

export interface TreeRows {
  window: TreeWindow;
  snapshot: TreeSnapshot;
  /** The rows shown are those of the query before. */
  stale: boolean;
}

export function useTree(at: Address, query: Query, tree: Tree, open: ReadonlySet<string>, onLone: (id: string) => void): TreeRows {
  const text = JSON.stringify([query, tree]);
  const lone = useRef(onLone);
  lone.current = onLone;
  const window = useMemo(() => {
    const [asked, how] = JSON.parse(text) as [Query, Tree];
    return new TreeWindow({ read: (one) => fetchColumns(at, one), problem: problemOf }, asked, how, (id) => lone.current(id));
  }, [at, text]);
  useEffect(() => window.open(open), [window, open]);
  const now = useSyncExternalStore(window.subscribe, window.snapshot);
  const before = useRef<TreeWindow>(undefined);
  useEffect(() => { if (now.settled) before.current = window; }, [now.settled, window]);
  const stale = !now.settled && before.current !== undefined && before.current !== window;
  const shown = stale ? before.current! : window;
  return { window: shown, snapshot: stale ? shown.snapshot() : now, stale };
}
