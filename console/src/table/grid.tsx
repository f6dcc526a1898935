// The list itself: rows of fixed height, only those in sight in the document, one of them the place of the keyboard.

import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState, type KeyboardEvent, type MouseEvent, type RefObject } from 'react';
import { isAlignedEnd } from '../model/format';
import type { Column } from '../model/registry';
import type { Row, RowWindow, Snapshot } from '../model/rows';
import { Icon } from '../ui/icon';
import { template } from './columns';
import { GridRow, type RowShape } from './row';

export interface GridProps {
  title: string;
  window: RowWindow;
  snapshot: Snapshot;
  columns: Column[];
  shape: RowShape;
  sort: string[];
  onSort: (column: string) => void;
  select: boolean;
  selected: ReadonlySet<string>;
  onSelect: (row: Row, kind: 'toggle' | 'range' | 'all') => void;
  actions: boolean;
  onActions: (row: Row, anchor: Element) => void;
  onOpen: (row: Row) => void;
  total: number | undefined;
  stacked: boolean;
  rowHeight: number;
  /** Element that scrolls; the list itself where absent. */
  scroller?: RefObject<HTMLElement | null> | undefined;
  gridRef: RefObject<HTMLDivElement | null>;
}

const OVERSCAN = 8;
const STEP = 4;

export function Grid(props: GridProps) {
  const { window: rows, snapshot, columns, shape, select, selected, stacked, rowHeight, total } = props;
  const own = useRef<HTMLDivElement>(null);
  const body = useRef<HTMLDivElement>(null);
  const [range, setRange] = useState<[number, number]>([0, 40]);
  const [active, setActive] = useState<string>();
  const scroller = props.scroller ?? own;

  const measure = useCallback(() => {
    const [outer, inner] = [scroller.current, body.current];
    if (!outer || !inner) return;
    const top = Math.max(0, outer.getBoundingClientRect().top - inner.getBoundingClientRect().top);
    const first = Math.max(0, Math.floor(top / rowHeight) - OVERSCAN);
    const last = Math.ceil((top + outer.clientHeight) / rowHeight) + OVERSCAN;
    const next: [number, number] = [first - (first % STEP), last + STEP - (last % STEP)];
    setRange((before) => (before[0] === next[0] && before[1] === next[1] ? before : next));
  }, [rowHeight, scroller]);

  useLayoutEffect(measure, [measure, snapshot.length]);
  useEffect(() => {
    const outer = scroller.current;
    if (!outer) return undefined;
    const watcher = new ResizeObserver(measure);
    watcher.observe(outer);
    outer.addEventListener('scroll', measure, { passive: true });
    return () => {
      watcher.disconnect();
      outer.removeEventListener('scroll', measure);
    };
  }, [measure, scroller]);
  useEffect(() => rows.show(range[0], range[1]), [rows, range]);
  useHold(own, scroller, rows, selected.size > 0);

  const grid = useMemo(() => template(columns, shape.label, select, props.actions), [columns, shape.label, select, props.actions]);
  const activeAt = active === undefined ? -1 : rows.indexOf(active);
  const places = shownPlaces(range, snapshot.length, activeAt);

  const moveTo = useCallback((at: number) => {
    const row = rows.row(at);
    if (!row) return;
    setActive(row.key);
    reveal(scroller.current, body.current, at, rowHeight, stacked ? 0 : 38);
    requestAnimationFrame(() => own.current?.querySelector<HTMLElement>(`[data-place="${at}"]`)?.focus({ preventScroll: true }));
  }, [rows, rowHeight, scroller, stacked]);

  const onKeyDown = (event: KeyboardEvent) => {
    if ((event.target as HTMLElement).closest('input, textarea, [role=menu]') && event.key !== 'Escape') return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const move = movement(event.key, activeAt, snapshot.length, Math.floor((scroller.current?.clientHeight ?? 400) / rowHeight) - 2);
    const row = activeAt < 0 ? undefined : rows.row(activeAt);
    if (move !== undefined) moveTo(move);
    else if (!row) return;
    else if (event.key === 'Enter' && event.target === event.currentTarget.querySelector(`[data-place="${activeAt}"]`)) props.onOpen(row);
    else if ((event.key === 'x' || event.key === ' ') && select) props.onSelect(row, event.shiftKey ? 'range' : 'toggle');
    else if (event.key === 'X' && select) props.onSelect(row, 'range');
    else if (event.key === 'e' && props.actions) {
      const element = own.current?.querySelector(`[data-place="${activeAt}"]`);
      if (element) props.onActions(row, element.querySelector('.row-more') ?? element);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };

  const onClick = useCallback((event: MouseEvent, row: Row) => {
    setActive(row.key);
    const target = event.target as HTMLElement;
    if (target.closest('.row-check')) {
      if (event.shiftKey) event.preventDefault();
      props.onSelect(row, event.shiftKey ? 'range' : 'toggle');
    } else if (target.closest('.row-more')) props.onActions(row, target.closest('.row-more')!);
    else if (event.shiftKey && select) props.onSelect(row, 'range');
  }, [props.onSelect, props.onActions, select]);

  const onDoubleClick = useCallback((row: Row) => props.onOpen(row), [props.onOpen]);
  const allRows = total ?? (snapshot.complete ? snapshot.length : -1);

  return (
    <div className={`grid-frame ${stacked ? 'stacked' : ''} ${props.scroller ? 'flowing' : ''}`} ref={own}>
      <div
        ref={props.gridRef}
        className="grid"
        role="grid"
        aria-label={props.title}
        aria-rowcount={allRows < 0 ? -1 : allRows + 1}
        aria-multiselectable={select || undefined}
        onKeyDown={onKeyDown}
      >
        <div role="rowgroup" className="grid-head-group">
          <div role="row" className="grid-head" style={{ gridTemplateColumns: stacked ? undefined : grid }} aria-rowindex={1}>
            {select && (
              <div role="columnheader" className="cell-check">
                <input
                  type="checkbox"
                  aria-label="Select all rows shown"
                  checked={selected.size > 0 && selected.size >= snapshot.length}
                  ref={(box) => { if (box) box.indeterminate = selected.size > 0 && selected.size < snapshot.length; }}
                  onChange={() => { const first = rows.row(0); if (first) props.onSelect(first, 'all'); }}
                />
              </div>
            )}
            {columns.map((one) => <Head key={one.name} column={one} sort={props.sort} onSort={props.onSort} />)}
            {props.actions && <div role="columnheader" className="cell-more"><span className="unseen">Actions</span></div>}
          </div>
        </div>
        <div role="rowgroup" className="grid-body" ref={body} style={{ blockSize: snapshot.length * rowHeight }}>
          {places.map((at) => {
            const row = rows.row(at);
            if (!row) return null;
            return (
              <GridRow
                key={row.key}
                row={row}
                rows={rows}
                version={snapshot.columns}
                at={at}
                height={rowHeight}
                columns={columns}
                grid={grid}
                shape={shape}
                stacked={stacked}
                select={select}
                selected={selected.has(row.key)}
                active={row.key === active || (activeAt < 0 && at === 0)}
                actions={props.actions}
                onClick={onClick}
                onOpen={onDoubleClick}
                onFocus={setActive}
              />
            );
          })}
        </div>
      </div>
    </div>
  );
}

export function Head({ column, sort, onSort }: { column: Column; sort: string[]; onSort: (name: string) => void }) {
  const down = sort.includes(`-${column.name}`);
  const up = sort.includes(column.name);
  const title = column.field.title;
  return (
    <div
      role="columnheader"
      className={isAlignedEnd(column.field) ? 'end' : ''}
      aria-sort={up ? 'ascending' : down ? 'descending' : undefined}
      title={column.field.description || undefined}
    >
      {column.sortable ? (
        <button type="button" onClick={() => onSort(column.name)}>
          <span>{title}</span>
          {(up || down) && <Icon name={up ? 'chevron-up' : 'chevron-down'} size={13} />}
        </button>
      ) : <span className="head-text">{title}</span>}
    </div>
  );
}

function shownPlaces([from, to]: [number, number], length: number, active: number): number[] {
  const places: number[] = [];
  if (active >= 0 && active < from) places.push(active);
  for (let at = from; at < Math.min(to, length); at++) places.push(at);
  if (active >= to && active < length) places.push(active);
  return places;
}

export function movement(key: string, at: number, length: number, page: number): number | undefined {
  const last = length - 1;
  switch (key) {
    case 'ArrowDown':
    case 'j':
      return Math.min(at + 1, last);
    case 'ArrowUp':
    case 'k':
      return Math.max(at - 1, 0);
    case 'PageDown':
      return Math.min(at + page, last);
    case 'PageUp':
      return Math.max(at - page, 0);
    case 'Home':
      return 0;
    case 'End':
      return last;
    default:
      return undefined;
  }
}

export function reveal(outer: HTMLElement | null, inner: HTMLElement | null, at: number, height: number, head: number): void {
  if (!outer || !inner) return;
  const top = inner.getBoundingClientRect().top + at * height - outer.getBoundingClientRect().top;
  if (top < head) outer.scrollTop += top - head;
  else if (top + height > outer.clientHeight) outer.scrollTop += top + height - outer.clientHeight;
}

const BUSY_MS = 2000;

/** Holds new rows back while the reader is in the middle of the list: scrolled, selecting, or just moving over it. */
function useHold(grid: RefObject<HTMLElement | null>, scroller: RefObject<HTMLElement | null>, rows: RowWindow, selecting: boolean): void {
  useEffect(() => {
    const [element, outer] = [grid.current, scroller.current];
    if (!element || !outer) return undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let moved = false;
    const settle = () => {
      const held = selecting || moved || outer.scrollTop > 0;
      const released = rows.held && !held;
      rows.held = held;
      if (released) rows.release();
    };
    const onMove = () => {
      moved = true;
      rows.held = true;
      clearTimeout(timer);
      timer = setTimeout(() => { moved = false; settle(); }, BUSY_MS);
    };
    settle();
    element.addEventListener('pointermove', onMove, { passive: true });
    outer.addEventListener('scroll', settle, { passive: true });
    return () => {
      clearTimeout(timer);
      element.removeEventListener('pointermove', onMove);
      outer.removeEventListener('scroll', settle);
    };
  }, [grid, scroller, rows, selecting]);
}
