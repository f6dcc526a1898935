// The tree itself: rows of fixed height, only those in sight in the document, one of them the place of the keyboard.

import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState, type KeyboardEvent, type MouseEvent, type RefObject } from 'react';
import { above, pickOf, type Picks } from '../model/picks';
import type { Column } from '../model/registry';
import type { TreeLine, TreeNode, TreeSnapshot, TreeWindow } from '../model/tree';
import { ACTIONS_WIDTH, SELECT_WIDTH, widthOf } from '../table/columns';
import { Head, reveal } from '../table/grid';
import { findNamed, keyOf } from './tree-keys';
import { nameOf, TreeLineRow, TreeRow, type TreeShape } from './tree-row';

interface Props {
  title: string;
  window: TreeWindow;
  snapshot: TreeSnapshot;
  columns: Column[];
  shape: TreeShape;
  open: ReadonlySet<string>;
  onOpen: (ids: string[], open: boolean) => void;
  sort: string[];
  onSort: (column: string) => void;
  select: boolean;
  picks: Picks;
  onPick: (nodes: TreeNode[], how: 'toggle' | 'add') => void;
  onActions: (node: TreeNode, anchor: Element) => void;
  /** What Enter does on a row that has nothing below it. */
  onEnter: (node: TreeNode) => void;
  stacked: boolean;
  rowHeight: number;
  scroller?: RefObject<HTMLElement | null> | undefined;
}

const OVERSCAN = 10;
const TYPING_MS = 800;
const HEAD = 38;
/** Room that names need beside the guides. */
const LEAST_LABEL = 240;

export function TreeGrid(props: Props) {
  const { window: tree, snapshot, columns, shape, open, select, picks, stacked, rowHeight } = props;
  const { items } = snapshot;
  const own = useRef<HTMLDivElement>(null);
  const body = useRef<HTMLDivElement>(null);
  const anchor = useRef<string>(undefined);
  const typed = useRef({ text: '', at: 0 });
  const [range, setRange] = useState<[number, number]>([0, 40]);
  const [active, setActive] = useState<string>();
  const scroller = props.scroller ?? own;
  const partly = useMemo(() => above(picks), [picks]);
  const grid = useMemo(() => template(columns, shape.label, select), [columns, shape.label, select]);
  const name = useCallback((node: TreeNode) => nameOf({ node, cells: tree, shape, columns }), [tree, shape, columns]);

  const measure = useCallback(() => {
    const [outer, inner] = [scroller.current, body.current];
    if (!outer || !inner) return;
    const top = Math.max(0, outer.getBoundingClientRect().top - inner.getBoundingClientRect().top);
    const next: [number, number] = [Math.max(0, Math.floor(top / rowHeight) - OVERSCAN), Math.ceil((top + outer.clientHeight) / rowHeight) + OVERSCAN];
    setRange((before) => (before[0] === next[0] && before[1] === next[1] ? before : next));
  }, [rowHeight, scroller]);
  useLayoutEffect(measure, [measure, items.length]);
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

  const places = useMemo(() => new Map(items.map((one, n) => [one.id, n])), [items]);
  const activeAt = (active === undefined ? undefined : places.get(active)) ?? -1;
  const first = items.findIndex((one) => one.kind === 'node');
  const home = activeAt < 0 ? first : activeAt;
  const shown = useMemo(() => inSight(range, items.length, activeAt), [range, items.length, activeAt]);
  // What follows is read when its line comes into sight.
  useEffect(() => {
    for (const at of shown) {
      const item = items[at];
      if (item?.kind === 'more' && at >= range[0] && at < range[1]) tree.more(item.parent);
    }
  }, [shown, items, tree, range]);

  const focusOn = useCallback((at: number) => {
    const item = items[at];
    if (!item) return;
    setActive(item.id);
    reveal(scroller.current, body.current, at, rowHeight, stacked ? 0 : HEAD);
    requestAnimationFrame(() => own.current?.querySelector<HTMLElement>(`[data-place="${at}"]`)?.focus({ preventScroll: true }));
  }, [items, rowHeight, scroller, stacked]);

  const enter = useCallback((node: TreeNode) => (node.branch ? props.onOpen([node.id], !open.has(node.id)) : props.onEnter(node)), [props.onOpen, props.onEnter, open]);
  const pick = useCallback((node: TreeNode, toHere: boolean) => {
    if (!select) return;
    const from = toHere && anchor.current !== undefined ? places.get(anchor.current) : undefined;
    const to = places.get(node.id);
    anchor.current = node.id;
    if (from === undefined || to === undefined) return props.onPick([node], 'toggle');
    return props.onPick(items.slice(Math.min(from, to), Math.max(from, to) + 1).filter((one) => one.kind === 'node'), 'add');
  }, [select, places, items, props.onPick]);

  const onKeyDown = (event: KeyboardEvent) => {
    if ((event.target as HTMLElement).closest('input, [role=menu]') || event.ctrlKey || event.metaKey || event.altKey) return;
    const onRow = (event.target as HTMLElement).getAttribute('role') === 'row';
    if (!onRow && ['Enter', ' '].includes(event.key)) return;
    const page = Math.max(1, Math.floor((scroller.current?.clientHeight ?? 400) / rowHeight) - 2);
    const rtl = getComputedStyle(event.currentTarget).direction === 'rtl';
    const meant = keyOf(event, items, home, open, page, rtl);
    const node = items[home];
    if (!meant) return;
    event.preventDefault();
    event.stopPropagation();
    if (meant.do === 'move') return focusOn(meant.to);
    if (meant.do === 'find') return find(meant.letter);
    if (node?.kind !== 'node') return;
    if (meant.do === 'open' || meant.do === 'close') props.onOpen([node.id], meant.do === 'open');
    else if (meant.do === 'enter') enter(node);
    else if (meant.do === 'select') pick(node, meant.range);
    else if (meant.do === 'level') props.onOpen(items.filter((one) => one.kind === 'node' && one.parent === node.parent && one.branch).map((one) => one.id), true);
    else {
      const row = own.current?.querySelector(`[data-place="${home}"]`);
      if (row) props.onActions(node, row.querySelector('.row-more') ?? row);
    }
  };
  const find = (letter: string) => {
    const now = performance.now();
    const before = now - typed.current.at < TYPING_MS ? typed.current.text : '';
    typed.current = { text: before + letter, at: now };
    const to = findNamed(items, home, typed.current.text, name);
    if (to !== undefined) focusOn(to);
  };

  const onClick = useCallback((event: MouseEvent, node: TreeNode) => {
    setActive(node.id);
    const target = event.target as HTMLElement;
    if (target.closest('.row-check')) {
      if (event.shiftKey) event.preventDefault();
      pick(node, event.shiftKey);
    } else if (target.closest('.row-more')) props.onActions(node, target.closest('.row-more')!);
    else if (target.closest('.tree-twist') && node.branch) props.onOpen([node.id], !open.has(node.id));
    else if (event.shiftKey) pick(node, true);
  }, [pick, props.onActions, props.onOpen, open]);
  const onMore = useCallback((line: TreeLine) => tree.more(line.parent), [tree]);
  const tops = items.filter((one) => one.kind === 'node' && one.level === 1) as TreeNode[];
  const allPicked = tops.length > 0 && tops.every((one) => picks.has(one.id));

  return (
    <div className={`grid-frame tree-frame ${stacked ? 'stacked' : ''} ${props.scroller ? 'flowing' : ''}`} ref={own}>
      <div
        className="grid tree"
        role="treegrid"
        aria-label={props.title}
        aria-rowcount={items.some((one) => one.kind === 'more') ? -1 : items.length + 1}
        aria-multiselectable={select || undefined}
        onKeyDown={onKeyDown}
      >
        <div role="rowgroup" className="grid-head-group">
          <div role="row" className="grid-head" style={{ gridTemplateColumns: stacked ? undefined : grid }} aria-rowindex={1}>
            {select && (
              <div role="columnheader" className="cell-check">
                <input
                  type="checkbox"
                  aria-label="Select everything"
                  checked={allPicked}
                  ref={(box) => { if (box) box.indeterminate = picks.size > 0 && !allPicked; }}
                  onChange={() => props.onPick(allPicked ? [] : tops, 'add')}
                />
              </div>
            )}
            {columns.map((one) => <Head key={one.name} column={one} sort={props.sort} onSort={props.onSort} />)}
            <div role="columnheader" className="cell-more"><span className="unseen">Actions</span></div>
          </div>
        </div>
        <div role="rowgroup" className="grid-body" ref={body} style={{ blockSize: items.length * rowHeight }}>
          {shown.map((at) => {
            const item = items[at]!;
            if (item.kind !== 'node') return <TreeLineRow key={item.id} line={item} place={at} height={rowHeight} columns={columns.length + (select ? 2 : 1)} onMore={onMore} />;
            return (
              <TreeRow
                key={item.id}
                node={item}
                cells={tree}
                version={snapshot.columns}
                place={at}
                height={rowHeight}
                columns={columns}
                grid={grid}
                shape={shape}
                stacked={stacked}
                open={item.branch && open.has(item.id)}
                beside={tree.count(item.parent) ?? -1}
                select={select}
                picked={pickOf(picks, partly, item)}
                active={at === home}
                onClick={onClick}
                onOpen={enter}
                onFocus={setActive}
              />
            );
          })}
        </div>
      </div>
    </div>
  );
}

function inSight([from, to]: [number, number], length: number, active: number): number[] {
  const places: number[] = [];
  if (active >= 0 && active < from) places.push(active);
  for (let at = from; at < Math.min(to, length); at++) places.push(at);
  if (active >= to && active < length) places.push(active);
  return places;
}

/** Names take what the other columns leave. */
function template(columns: Column[], label: string, select: boolean): string {
  const tracks = columns.map((one) => (one.name === label ? `minmax(${LEAST_LABEL}px, 1fr)` : `${widthOf(one, label)}px`));
  return [select ? `${SELECT_WIDTH}px` : '', ...tracks, `${ACTIONS_WIDTH}px`].filter(Boolean).join(' ');
}
