// One row of a tree, in columns or stacked, or a line that says what goes on below a row.

import { memo, type CSSProperties, type MouseEvent } from 'react';
import { Link } from 'wouter';
import { Value } from '../fields/value';
import { count, format, isAbsent, isAlignedEnd } from '../model/format';
import { neutral } from '../model/neutral';
import type { Picked } from '../model/picks';
import type { Column } from '../model/registry';
import type { Cells } from '../model/rows';
import type { TreeLine, TreeNode } from '../model/tree';
import { Button } from '../ui/controls';
import { Icon } from '../ui/icon';

/** What is special about the fields of a row. */
export interface TreeShape {
  label: string;
  status: string | undefined;
  icon: (node: TreeNode, open: boolean) => string;
  address: (node: TreeNode) => string | undefined;
}

interface Props {
  node: TreeNode;
  cells: Cells;
  /** The names of the cells; a new list means that cells moved. */
  version: string[];
  place: number;
  height: number;
  columns: Column[];
  grid: string;
  shape: TreeShape;
  stacked: boolean;
  open: boolean;
  /** How many are beside it; -1 while that is not known. */
  beside: number;
  select: boolean;
  picked: Picked;
  active: boolean;
  onClick: (event: MouseEvent, node: TreeNode) => void;
  onOpen: (node: TreeNode) => void;
  onFocus: (id: string) => void;
}

export const TreeRow = memo(function TreeRow(props: Props) {
  const { node, place, stacked, open, picked, active, select } = props;
  const name = nameOf(props);
  const chosen = picked === 'all' || picked === 'within';
  return (
    <div
      role="row"
      className={`grid-row tree-row ${chosen ? 'selected' : ''} ${picked === 'within' ? 'within' : ''}`}
      data-place={place}
      aria-rowindex={place + 2}
      aria-level={node.level}
      aria-posinset={node.at}
      aria-setsize={props.beside}
      aria-expanded={node.branch ? open : undefined}
      aria-selected={select ? chosen : undefined}
      tabIndex={active ? 0 : -1}
      style={rowStyle(props)}
      onClick={(event) => props.onClick(event, node)}
      onDoubleClick={() => props.onOpen(node)}
      onFocus={() => props.onFocus(node.id)}
    >
      {select && (
        <div role="gridcell" className="cell-check row-check">
          <input type="checkbox" tabIndex={-1} checked={chosen} aria-label={`Select ${name}`} ref={(box) => { if (box) box.indeterminate = picked === 'some'; }} onChange={() => undefined} />
        </div>
      )}
      {stacked ? <Stacked {...props} name={name} /> : props.columns.map((one) => (
        <div key={one.name} role="gridcell" className={`cell ${isAlignedEnd(one.field) ? 'end' : ''} ${one.name === props.shape.label ? 'cell-label tree-cell' : ''}`}>
          {one.name === props.shape.label ? <Label {...props} name={name} /> : <Value field={one.field} value={props.cells.value(node.row, one.name)} reachable={active} />}
        </div>
      ))}
      <div role="gridcell" className="cell-more">
        <button type="button" className="row-more" tabIndex={active ? 0 : -1} aria-haspopup="menu" aria-label={`Actions for ${name}`}>
          <Icon name="more" size={17} />
        </button>
      </div>
    </div>
  );
}, (a, b) => {
  for (const key of Object.keys(a) as (keyof Props)[]) if (a[key] !== b[key]) return false;
  return true;
});

function rowStyle({ node, place, height, stacked, grid }: Pick<Props, 'node' | 'place' | 'height' | 'stacked' | 'grid'>): CSSProperties {
  return { transform: `translateY(${place * height}px)`, blockSize: height, '--level': node.level - 1, ...(stacked ? {} : { gridTemplateColumns: grid }) } as CSSProperties;
}

export function nameOf({ node, cells, shape, columns }: Pick<Props, 'node' | 'cells' | 'shape' | 'columns'>): string {
  const field = columns.find((one) => one.name === shape.label)?.field;
  return format(field ?? { type: 'text' }, cells.value(node.row, shape.label)) || node.id;
}

/** Guides to the rows above, the mark that opens it, its picture and its name. */
function Label({ node, open, shape, active, name }: Props & { name: string }) {
  const to = shape.address(node);
  return (
    <span className="tree-label">
      <span className="tree-guides" aria-hidden="true" />
      <span className="tree-twist" aria-hidden="true">{node.branch && <Icon name="chevron-right" size={14} className={open ? 'turned' : ''} />}</span>
      <Icon name={shape.icon(node, open)} size={16} className={node.branch ? 'tree-branch' : 'tree-leaf'} />
      {to ? <Link className="link" href={to} tabIndex={active ? 0 : -1}><bdi>{name}</bdi></Link> : <bdi className="clip">{name}</bdi>}
    </span>
  );
}

const STACKED_FIELDS = 3;

function Stacked(props: Props & { name: string }) {
  const { columns, shape, node, cells, active } = props;
  const status = columns.find((one) => one.name === shape.status);
  const rest = columns
    .filter((one) => one.name !== shape.label && one !== status && one.field.type !== 'series' && !isAbsent(cells.value(node.row, one.name)))
    .slice(0, STACKED_FIELDS);
  return (
    <div role="gridcell" className="stack tree-stack">
      <Label {...props} />
      <div className="stack-rest">
        {status && !isAbsent(cells.value(node.row, status.name)) && <span className="stack-piece"><Value field={status.field} value={cells.value(node.row, status.name)} /></span>}
        {rest.map((one) => (
          <span key={one.name} className="stack-piece" title={one.field.title}>
            <span className="unseen">{one.field.title}: </span>
            <Value field={one.field} value={cells.value(node.row, one.name)} reachable={active} />
          </span>
        ))}
      </div>
    </div>
  );
}

/** What goes on, or went wrong, below a row. */
export function TreeLineRow({ line, place, height, columns, onMore }: { line: TreeLine; place: number; height: number; columns: number; onMore: (line: TreeLine) => void }) {
  const style = { transform: `translateY(${place * height}px)`, blockSize: height, '--level': line.level - 1 } as CSSProperties;
  return (
    <div role="row" className={`grid-row tree-line line-${line.kind}`} data-place={place} aria-rowindex={place + 2} aria-level={line.level} style={style}>
      <div role="gridcell" className="tree-line-cell" aria-colspan={columns}>
        <span className="tree-guides" aria-hidden="true" />
        <span className="tree-twist" aria-hidden="true" />
        {line.kind === 'reading' && <><Icon name="spinner" size={14} className="turning" /><span role="status">Reading…</span></>}
        {line.kind === 'empty' && <span>Nothing in here</span>}
        {line.kind === 'failed' && <><Icon name="alert" size={14} className="tone-danger" /><span className="clip">{neutral(line.problem?.message ?? '')}</span><Button small icon="refresh" onPress={() => onMore(line)}>Try again</Button></>}
        {line.kind === 'more' && <><span>The first {count(line.shown ?? 0)} are shown</span><Button small onPress={() => onMore(line)}>Show more</Button></>}
      </div>
    </div>
  );
}
