// The rows of a view as React sees them.

import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';
import { fetchColumns, problemOf, type Address } from '../api/http';
import { live } from '../api/live';
import { RowWindow, type Snapshot } from '../model/rows';
import type { Query } from '../model/schema';

export interface Rows {
  window: RowWindow;
  snapshot: Snapshot;
  /** The rows shown are those of the query before; the new ones are on their way. */
  stale: boolean;
  /** Changes with every arrival, for the announcement. */
  arrived: { rows: number; at: number } | undefined;
}

export function useRows(at: Address, query: Query): Rows {
  const [arrived, setArrived] = useState<Rows['arrived']>();
  const text = JSON.stringify(query);
  const window = useMemo(() => {
    const asked = JSON.parse(text) as Query;
    const source = {
      read: (query: Query) => fetchColumns(at, query),
      watch: (query: Query, listener: Parameters<typeof live.rows>[3]) => live.rows(at.name, at.view, query, listener),
      problem: problemOf,
    };
    return new RowWindow(source, asked, (rows) => setArrived({ rows, at: Date.now() }));
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [at.name, at.view, text]);
  const now = useSyncExternalStore(window.subscribe, window.snapshot);
  const before = useRef<RowWindow>(undefined);
  useEffect(() => {
    if (now.state === 'ready') before.current = window;
  }, [now.state, window]);
  const stale = now.state === 'reading' && before.current !== undefined && before.current !== window;
  const shown = stale ? before.current! : window;
  return { window: shown, snapshot: stale ? shown.snapshot() : now, stale, arrived };
}
