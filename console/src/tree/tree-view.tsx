// A view of rows below rows: what it is asked with, the tree, and what can be done with what is selected.

import { useCallback, useEffect, useMemo, useState, type ReactNode, type RefObject } from 'react';
import { useLocation } from 'wouter';
import type { Address } from '../api/http';
import { rowAddress, useConsole } from '../console';
import type { Place } from '../model/place';
import { add, NO_PICKS, toggle, type Picks } from '../model/picks';
import { lowerFirst, plural, type Column, type FoundCommand, type FoundView } from '../model/registry';
import type { Predicate, Query, Type } from '../model/schema';
import type { TreeNode } from '../model/tree';
import { MissingParam } from '../params/missing';
import { ParamBar } from '../params/param-bar';
import { useParams } from '../params/use-params';
import { ActionBar } from '../table/action-bar';
import { EmptyView, Skeleton } from '../table/blank';
import { Bulk } from '../table/bulk';
import { ACTIONS_WIDTH, fitting, NARROW, SELECT_WIDTH } from '../table/columns';
import { RowMenu } from '../table/row-menu';
import { nextSort, useStart } from '../table/start';
import '../styles/tree.css';
import { IconButton, ProblemNote } from '../ui/controls';
import { useSize } from '../ui/use-size';
import { TreeGrid } from './tree-grid';
import { useTree } from './use-tree';

interface Props {
  found: FoundView;
  place: Place;
  setPlace: (place: Place) => void;
  page: RefObject<HTMLElement | null>;
  heading: ReactNode;
}

const HEIGHT = 34;
const STACKED_HEIGHT = 56;
/** What guides and pictures take of the column of names. */
const GUIDES = 150;

export default function TreeView(props: Props) {
  const { found, place, setPlace, heading } = props;
  const params = useParams(found, place, setPlace);
  const { missing } = params;
  return (
    <div className="rows-view tree-view">
      {heading}
      {(params.state !== 'ready' || missing) && <ParamBar params={params} />}
      {params.state === 'reading' && <Skeleton label={found.view.title} />}
      {params.state === 'failed' && params.problem && <ProblemNote problem={params.problem} onRetry={params.retry} title={`${found.view.title} could not be read`} />}
      {params.state === 'ready' && missing && <MissingParam found={found} param={missing} />}
      {params.state === 'ready' && !missing && <Rows {...props} params={params} />}
    </div>
  );
}

function Rows({ found, place, setPlace, page, params }: Props & { params: ReturnType<typeof useParams> }) {
  const { registry } = useConsole();
  const [, navigate] = useLocation();
  const { view, module } = found;
  const type = registry.typeOf(found)!;
  const { label, status } = type.type;
  const at: Address = useMemo(() => ({ name: module, view: view.id }), [module, view.id]);
  const all = useMemo(() => labelFirst(registry.columnsFor(found), label), [registry, found, label]);
  const open = useMemo(() => new Set(place.open), [place.open]);
  const query: Query = { params: params.values, sort: place.sort ?? view.sort ?? [], fields: fieldsOf(found, type.type, all.map((one) => one.name)) };
  const setOpen = useCallback((ids: string[], on: boolean) => {
    const kept = [...open].filter((one) => !ids.includes(one));
    setPlace({ ...place, open: on ? [...kept, ...ids] : kept });
  }, [open, place, setPlace]);
  const rows = useTree(at, query, view.tree!, open, (id) => setOpen([id], true));

  const [frame, size] = useSize();
  const stacked = size.width > 0 && size.width < NARROW;
  const selectable = view.select === true || (view.bulk?.length ?? 0) > 0;
  const columns = useMemo(
    () => withStatus(all, status, stacked)(fitting(all, label, size.width - (selectable ? SELECT_WIDTH : 0) - ACTIONS_WIDTH - GUIDES, place.columns, stacked)),
    [all, label, status, size.width, selectable, place.columns, stacked],
  );
  const [picks, setPicks] = useState<Picks>(NO_PICKS);
  const [said, setSaid] = useState('');
  useEffect(() => setPicks(NO_PICKS), [rows.window]);
  const onPick = useCallback((nodes: TreeNode[], how: 'toggle' | 'add') => {
    setSaid('');
    setPicks((before) => {
      if (how === 'add') return nodes.length === 0 ? NO_PICKS : add(before, nodes);
      const next = toggle(before, nodes[0]!, (node) => rows.window.below(node));
      if (!next) setSaid('Not everything beside it is shown yet: show more first, or select again from above.');
      return next ?? before;
    });
  }, [rows.window]);
  const shape = useMemo(() => ({
    label,
    status,
    icon: (node: TreeNode, isOpen: boolean) => iconFor(type.type, view.tree!.branch, rows.window.object(node.row)) ?? (node.branch ? (isOpen ? 'folder-open' : 'folder') : (type.type.icon ?? 'file')),
    address: (node: TreeNode) => (view.drill && !node.branch ? rowAddress(registry, type.id, node.row.key, { module, id: view.drill }) : undefined),
  }), [label, status, type, view, registry, module, rows.window]);

  const start = useStart(found, rows.window, params.around);
  const [menu, setMenu] = useState<{ node: TreeNode; anchor: Element }>();
  const commands = useMemo(() => registry.commandsOn(found, 'one'), [registry, found]);
  const looking = commands.find(looksAt);
  const onEnter = useCallback((node: TreeNode) => {
    const to = shape.address(node);
    if (to) navigate(to);
    else if (looking) start(looking, [node.row]);
  }, [shape, navigate, looking, start]);
  const { snapshot } = rows;
  const word = lowerFirst(plural(type.type));

  return (
    <>
      <ParamBar params={params}>
        {open.size > 0 && <IconButton icon="collapse" label="Close all" onPress={() => setPlace({ ...place, open: [] })} />}
        <IconButton icon="refresh" label={`Read the ${word} again`} onPress={() => rows.window.reload()} />
        <ActionBar commands={registry.commands(view.actions, module)} run={(one) => start(one, [])} title={(one) => one.command.title} most={stacked ? 1 : 2} />
      </ParamBar>
      <p className="tree-said" role="status">{said}</p>
      <div className={`rows-frame ${rows.stale ? 'stale' : ''}`} ref={frame}>
        {snapshot.state === 'reading' && <Skeleton label={view.title} />}
        {snapshot.state === 'failed' && snapshot.problem && <ProblemNote problem={snapshot.problem} onRetry={() => rows.window.more(undefined)} title={`${view.title} could not be read`} />}
        {snapshot.state === 'ready' && snapshot.items.length === 0 && <EmptyView found={found} />}
        {snapshot.items.length > 0 && snapshot.state === 'ready' && size.width > 0 && (
          <TreeGrid
            title={view.title}
            window={rows.window}
            snapshot={snapshot}
            columns={columns}
            shape={shape}
            open={open}
            onOpen={setOpen}
            sort={place.sort ?? view.sort ?? []}
            onSort={(name) => setPlace({ ...place, sort: nextSort(place.sort ?? view.sort ?? [], name) })}
            select={selectable}
            picks={picks}
            onPick={onPick}
            onActions={(node, anchor) => setMenu({ node, anchor })}
            onEnter={onEnter}
            stacked={stacked}
            rowHeight={stacked ? STACKED_HEIGHT : HEIGHT}
            scroller={stacked ? page : undefined}
          />
        )}
      </div>
      {picks.size > 0 && (
        <Bulk
          found={found}
          selection={{ keys: picks, rows: () => [...picks.values()].map((one) => one.row), clear: () => setPicks(NO_PICKS) }}
          start={start}
          stacked={stacked}
        />
      )}
      {menu && (
        <RowMenu
          row={menu.node.row}
          anchor={menu.anchor}
          found={found}
          commands={menu.node.branch ? commands.filter((one) => !looksAt(one)) : commands}
          columns={all}
          window={rows.window}
          shape={{ label, status, address: () => shape.address(menu.node) }}
          start={(command, row) => start(command, [row])}
          onClose={() => setMenu(undefined)}
        />
      )}
    </>
  );
}

/** Shows what is in one thing, which a row with others below it is not. */
function looksAt({ command }: FoundCommand): boolean {
  return command.streams?.some((one) => one.as === 'preview') ?? false;
}

function labelFirst(columns: Column[], label: string): Column[] {
  return [...columns.filter((one) => one.name === label), ...columns.filter((one) => one.name !== label)];
}

/** Stacked, what is wrong with a row is never left out. */
function withStatus(all: Column[], status: string | undefined, stacked: boolean): (columns: Column[]) => Column[] {
  const column = stacked ? all.find((one) => one.name === status) : undefined;
  return (columns) => (column && !columns.includes(column) ? [...columns, column] : columns);
}

/** Everything that is shown, and what says who a row is and what is below it. */
function fieldsOf({ view }: FoundView, type: Type, shown: string[]): string[] {
  const tree = view.tree!;
  return [...new Set([...shown, ...(type.key ?? []), type.label, tree.field, ...fieldsIn(tree.branch)])];
}

function fieldsIn(when: Predicate | undefined): string[] {
  if (!when) return [];
  if ('all' in when) return when.all.flatMap(fieldsIn);
  if ('any' in when) return when.any.flatMap(fieldsIn);
  return 'not' in when ? fieldsIn(when.not) : [when.field];
}

/** The picture of a kind of rows, where the field that tells branches apart has one. */
function iconFor(type: Type, branch: Predicate | undefined, row: Record<string, unknown>): string | undefined {
  for (const name of fieldsIn(branch)) {
    const icon = type.fields[name]?.values?.[String(row[name])]?.icon;
    if (icon) return icon;
  }
  return undefined;
}
