// A view of rows: heading, counts by status, tools, the list, and what can be done with what is selected.

import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useCallback, useEffect, useMemo, useRef, useState, type ReactNode, type RefObject } from 'react';
import { useLocation } from 'wouter';
import { fetchCount, type Address } from '../api/http';
import { JOB_TYPE, rowAddress, useConsole, type Around } from '../console';
import { count } from '../model/format';
import { counted, iconOf, lowerFirst, plural, type FoundView } from '../model/registry';
import { neutral } from '../model/neutral';
import type { Place } from '../model/place';
import type { Row } from '../model/rows';
import type { Filter, JsonObject, Query } from '../model/schema';
import { Button, Empty, ProblemNote, Spinner } from '../ui/controls';
import { keep, readKept } from '../ui/theme';
import { useSize } from '../ui/use-size';
import { EmptyView, Skeleton } from './blank';
import { Bulk } from './bulk';
import { ACTIONS_WIDTH, fitting, NARROW, SELECT_WIDTH } from './columns';
import { FilterChips } from './filters';
import { Grid } from './grid';
import { Offers } from './offers';
import { RowMenu } from './row-menu';
import { nextSort, useStart } from './start';
import { Summary } from './summary';
import { Toolbar } from './toolbar';
import { useRows } from './use-rows';

interface Props {
  found: FoundView;
  place: Place;
  setPlace: (place: Place) => void;
  /** What narrows the rows to their surroundings: filters and params. */
  bound?: { where: Filter[]; params: JsonObject };
  /** What stands above, given how many there are where the tools have no room for it. */
  heading?: (count: ReactNode) => ReactNode;
  /** The element that scrolls on a narrow page. */
  page?: RefObject<HTMLElement | null>;
  /** In words, what it is part of; its own page where absent. */
  within?: string;
  /** What its rows have in common. */
  around?: Around | undefined;
}

export type Density = 'compact' | 'comfortable';
const HEIGHTS: Record<Density, number> = { compact: 37, comfortable: 48 };
const STACKED_HEIGHTS: Record<Density, number> = { compact: 66, comfortable: 76 };

export function RowsView({ found, place, setPlace, bound, heading, page, within, around }: Props) {
  const embedded = within !== undefined;
  const console_ = useConsole();
  const { registry, openJob } = console_;
  const { view, module } = found;
  const type = registry.typeOf(found)!;
  const at: Address = useMemo(() => ({ name: module, view: view.id }), [module, view.id]);
  const all = useMemo(() => registry.columnsFor(found), [registry, found]);
  const query = useQueryOf(found, place, bound, all.map((one) => one.name));
  const rows = useRows(at, query);
  const counting: Query = useMemo(() => ({ q: query.q, where: query.where, params: query.params }), [query.q, query.where, query.params]);
  const total = useQuery({ queryKey: ['rows', found.id, 'count', counting], queryFn: () => fetchCount(at, counting), placeholderData: (before) => before });
  useRefreshCounts(found.id, rows.snapshot.length, rows.arrived?.at);

  const [density, setDensity] = useState<Density>(() => (readKept('density') === 'comfortable' ? 'comfortable' : 'compact'));
  const [frame, size] = useSize();
  const stacked = size.width > 0 && size.width < NARROW;
  const selectable = view.select === true || (view.bulk?.length ?? 0) > 0;
  const rowCommands = useMemo(() => registry.commandsOn(found, 'one'), [registry, found]);
  const selection = useSelection(rows.window, selectable, query);
  const columns = useMemo(
    () => fitting(all, type.type.label, size.width - (selectable ? SELECT_WIDTH : 0) - ACTIONS_WIDTH - 2, place.columns, stacked),
    [all, type.type.label, size.width, selectable, place.columns, stacked],
  );
  const shape = useMemo(() => ({
    label: type.type.label,
    status: type.type.status,
    address: (row: Row) => rowAddress(registry, type.id, row.key, view.drill ? { module, id: view.drill } : undefined),
    open: type.id === JOB_TYPE ? (row: Row) => openJob(row.key) : undefined,
  }), [registry, type, view.drill, module, openJob]);

  const [menu, setMenu] = useState<{ row: Row; anchor: Element }>();
  const open = useOpen(type.id, shape.address);
  const start = useStart(found, rows.window, around);
  const onSort = (name: string) => setPlace({ ...place, sort: nextSort(place.sort ?? view.sort ?? [], name) });
  const gridRef = useRef<HTMLDivElement>(null);
  const filtered = place.q !== '' || place.where.length > 0;
  const { snapshot } = rows;
  const isEmpty = snapshot.state === 'ready' && snapshot.length === 0 && !rows.stale;
  const quiet = isEmpty && !filtered;

  return (
    <div className={`rows-view ${embedded ? 'embedded' : ''}`}>
      {heading?.(<span className="head-count faint" aria-hidden="true">{total.data === undefined ? '' : count(total.data)}</span>)}
      {!embedded && <Offers found={found} show={(where) => setPlace({ ...place, q: '', where })} />}
      {view.summary && !quiet && <Summary found={found} at={at} query={counting} place={place} setPlace={setPlace} columns={all} />}
      <Toolbar
        {...{ found, at, place, setPlace, all, columns, density, stacked, embedded, query }}
        actions={registry.commands(view.actions, module)}
        setDensity={(one) => { setDensity(one); keep('density', one); }}
        count={total.data === undefined ? '' : counted(total.data, type.type)}
        quiet={quiet}
        short={!filtered && (total.data ?? 0) <= 10}
        word={lowerFirst(plural(type.type))}
      />
      <FilterChips place={place} setPlace={setPlace} columns={all} />
      <div className={`rows-frame ${rows.stale ? 'stale' : ''}`} ref={frame}>
        {snapshot.problem && <ProblemNote problem={snapshot.problem} onRetry={() => rows.window.retry()} title={`${view.title} could not be read`} />}
        {snapshot.state === 'reading' && <Skeleton label={view.title} />}
        {isEmpty && (filtered
          ? <Empty icon="search" title={`No ${lowerFirst(plural(type.type))} match`} action={<Button onPress={() => setPlace({ ...place, q: '', where: [] })}>Show all</Button>}>{noMatch(place)}</Empty>
          : within !== undefined ? <Empty icon={iconOf(found, registry)} title={`None for this ${within}`} /> : <EmptyView found={found} />)}
        {snapshot.length > 0 && size.width > 0 && (
          <Grid
            title={view.title}
            window={rows.window}
            snapshot={snapshot}
            columns={columns}
            shape={shape}
            sort={place.sort ?? view.sort ?? []}
            onSort={onSort}
            select={selectable}
            selected={selection.keys}
            onSelect={selection.select}
            actions={true}
            onActions={(row, anchor) => setMenu({ row, anchor })}
            onOpen={open}
            total={total.data}
            stacked={stacked}
            rowHeight={(stacked ? STACKED_HEIGHTS : HEIGHTS)[density]}
            scroller={stacked && !embedded ? page : undefined}
            gridRef={gridRef}
          />
        )}
        {snapshot.readingMore && <div className="reading-more"><Spinner label="Reading more" /></div>}
      </div>
      {snapshot.waiting > 0 && (
        <Button className="arrivals" kind="primary" small icon="chevron-up" onPress={() => rows.window.release()}>
          {snapshot.waiting === 1 ? `1 new ${lowerFirst(type.type.title)}` : `${snapshot.waiting} new ${lowerFirst(plural(type.type))}`}
        </Button>
      )}
      <span className="unseen" role="status">{rows.arrived ? `${counted(rows.arrived.rows, type.type)} added` : ''}</span>
      {selection.keys.size > 0 && <Bulk found={found} selection={selection} start={start} stacked={stacked} />}
      {menu && <RowMenu {...menu} found={found} commands={rowCommands} columns={all} window={rows.window} shape={shape} start={(command, row) => start(command, [row])} onClose={() => setMenu(undefined)} />}
    </div>
  );
}

function useQueryOf({ view }: FoundView, place: Place, bound: Props['bound'], fields: string[]): Query {
  const text = JSON.stringify({
    q: place.q || undefined,
    where: [...(bound?.where ?? []), ...place.where],
    sort: place.sort ?? view.sort ?? [],
    fields,
    params: bound?.params,
  });
  return useMemo(() => JSON.parse(text) as Query, [text]);
}

/** Counts and facets follow the rows, at their own pace. */
function useRefreshCounts(id: string, length: number, arrived: number | undefined): void {
  const client = useQueryClient();
  useEffect(() => {
    const timer = setTimeout(() => void client.invalidateQueries({ queryKey: ['rows', id] }), 800);
    return () => clearTimeout(timer);
  }, [client, id, length, arrived]);
  useEffect(() => {
    const timer = setInterval(() => void client.invalidateQueries({ queryKey: ['rows', id] }), 20_000);
    return () => clearInterval(timer);
  }, [client, id]);
}

export interface Selection {
  keys: ReadonlySet<string>;
  rows: () => Row[];
  select: (row: Row, kind: 'toggle' | 'range' | 'all') => void;
  clear: () => void;
}

function useSelection(window: { indexOf(key: string): number; row(at: number): Row | undefined; snapshot(): { length: number } }, on: boolean, query: Query): Selection {
  const [picked, setPicked] = useState<ReadonlyMap<string, Row>>(new Map());
  const anchor = useRef<string>(undefined);
  useEffect(() => setPicked(new Map()), [query]);
  const select = useCallback((row: Row, kind: 'toggle' | 'range' | 'all') => {
    if (!on) return;
    setPicked((before) => {
      const now = new Map(before);
      if (kind === 'all') {
        const { length } = window.snapshot();
        if (now.size >= length) return new Map();
        for (let at = 0; at < length; at++) {
          const one = window.row(at);
          if (one) now.set(one.key, one);
        }
      } else if (kind === 'range' && anchor.current !== undefined) {
        const [a, b] = [window.indexOf(anchor.current), window.indexOf(row.key)].sort((x, y) => x - y) as [number, number];
        for (let at = Math.max(0, a); at <= b; at++) {
          const one = window.row(at);
          if (one) now.set(one.key, one);
        }
      } else if (now.has(row.key)) now.delete(row.key);
      else now.set(row.key, row);
      return now;
    });
    anchor.current = row.key;
  }, [on, window]);
  const keys = useMemo(() => new Set(picked.keys()), [picked]);
  return { keys, rows: () => [...picked.values()], select, clear: () => setPicked(new Map()) };
}

function useOpen(typeId: string, address: (row: Row) => string | undefined): (row: Row) => void {
  const { openJob } = useConsole();
  const [, navigate] = useLocation();
  return useCallback((row: Row) => {
    if (typeId === JOB_TYPE) return openJob(row.key);
    const to = address(row);
    if (to) navigate(to);
    return undefined;
  }, [typeId, address, openJob, navigate]);
}

function noMatch({ q, where }: Place): string {
  const filters = where.length === 1 ? 'this filter' : 'these filters';
  if (q === '') return `Nothing fits ${filters}.`;
  return where.length === 0 ? `Nothing has “${neutral(q)}” in it.` : `Nothing has “${neutral(q)}” in it and fits ${filters}.`;
}
