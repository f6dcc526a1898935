// One row, in columns or stacked.

import { memo, type CSSProperties, type MouseEvent } from 'react';
import { Link } from 'wouter';
import { Value } from '../fields/value';
import { format, isAbsent, isAlignedEnd } from '../model/format';
import type { Column } from '../model/registry';
import type { Cells, Row } from '../model/rows';
import { Icon } from '../ui/icon';

/** What is special about the fields of a row. */
export interface RowShape {
  label: string;
  status: string | undefined;
  address: (row: Row) => string | undefined;
  /** Opens a row that is shown beside the list rather than on a page of its own. */
  open?: ((row: Row) => void) | undefined;
}

interface Props {
  row: Row;
  rows: Cells;
  /** The names of the cells; a new list means that cells moved. */
  version: string[];
  at: number;
  height: number;
  columns: Column[];
  grid: string;
  shape: RowShape;
  stacked: boolean;
  select: boolean;
  selected: boolean;
  active: boolean;
  actions: boolean;
  onClick: (event: MouseEvent, row: Row) => void;
  onOpen: (row: Row) => void;
  onFocus: (key: string) => void;
}

export const GridRow = memo(function GridRow(props: Props) {
  const { row, at, height, stacked, active, selected } = props;
  const style: CSSProperties = { transform: `translateY(${at * height}px)`, blockSize: height };
  if (!stacked) style.gridTemplateColumns = props.grid;
  return (
    <div
      role="row"
      className={`grid-row ${selected ? 'selected' : ''} ${row.fresh ? 'fresh' : ''} ${row.gone ? 'gone' : ''}`}
      data-place={at}
      aria-rowindex={at + 2}
      aria-selected={props.select ? selected : undefined}
      tabIndex={active ? 0 : -1}
      style={style}
      onClick={(event) => props.onClick(event, row)}
      onDoubleClick={() => props.onOpen(row)}
      onFocus={() => props.onFocus(row.key)}
    >
      {props.select && (
        <div role="gridcell" className="cell-check row-check">
          <input type="checkbox" tabIndex={-1} checked={selected} aria-label={`Select ${name(props)}`} onChange={() => undefined} />
        </div>
      )}
      {stacked ? <Stacked {...props} /> : props.columns.map((one) => <Cell key={one.name} column={one} {...props} />)}
      {props.actions && (
        <div role="gridcell" className="cell-more">
          <button type="button" className="row-more" tabIndex={active ? 0 : -1} aria-haspopup="menu" aria-label={`Actions for ${name(props)}`}>
            <Icon name="more" size={17} />
          </button>
        </div>
      )}
    </div>
  );
}, (a, b) => {
  for (const key of Object.keys(a) as (keyof Props)[]) if (a[key] !== b[key]) return false;
  return true;
});

function name({ row, rows, shape, columns }: Props): string {
  const field = columns.find((one) => one.name === shape.label)?.field;
  const text = format(field ?? { type: 'text' }, rows.value(row, shape.label));
  return text || row.key;
}

function Cell(props: Props & { column: Column }) {
  const { column, shape } = props;
  return (
    <div role="gridcell" className={`cell ${isAlignedEnd(column.field) ? 'end' : ''} ${column.name === shape.label ? 'cell-label' : ''}`}>
      <Content {...props} />
    </div>
  );
}

/** The value, and where it names the row the way to its own page. */
function Content({ column, row, rows, shape, active }: Props & { column: Column }) {
  const content = <Value field={column.field} value={rows.value(row, column.name)} reachable={active} />;
  const named = column.name === shape.label;
  if (named && shape.open) return <button type="button" className="link link-button" tabIndex={active ? 0 : -1} onClick={() => shape.open!(row)}>{content}</button>;
  const to = named ? shape.address(row) : undefined;
  const linked = column.field.type === 'ref' || column.field.type === 'url';
  return to && !linked ? <Link className="link" href={to} tabIndex={active ? 0 : -1}>{content}</Link> : content;
}

const STACKED_FIELDS = 3;

function Stacked(props: Props) {
  const { columns, shape, row, rows, active } = props;
  const head = columns.find((one) => one.name === shape.label);
  const status = columns.find((one) => one.name === shape.status);
  const rest = columns
    .filter((one) => one !== head && one !== status && one.field.type !== 'series' && !isAbsent(rows.value(row, one.name)))
    .slice(0, STACKED_FIELDS);
  return (
    <div role="gridcell" className="stack">
      <div className="stack-head">
        <span className="stack-name">{head ? <Content {...props} column={head} /> : row.key}</span>
        {status && <Value field={status.field} value={rows.value(row, status.name)} />}
      </div>
      <div className="stack-rest">
        {rest.map((one) => (
          <span key={one.name} className="stack-piece" title={one.field.title}>
            <span className="unseen">{one.field.title}: </span>
            <Value field={one.field} value={rows.value(row, one.name)} reachable={active} />
          </span>
        ))}
      </div>
    </div>
  );
}
