// Filters: chosen from counted values where the administrator counts them, otherwise a comparison with a value. What is
// chosen is shown as chips above the list.

import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { fetchFacets, type Address } from '../api/http';
import { count, format, isNumber } from '../model/format';
import type { Place } from '../model/place';
import type { Column, FoundView } from '../model/registry';
import type { Field, Filter, Json, Op, Query } from '../model/schema';
import { readTyped } from '../model/typed';
import { Button } from '../ui/controls';
import { Icon } from '../ui/icon';
import { PanelButton } from '../ui/panel-button';

const OP_WORDS: Record<Op, string> = {
  eq: 'is', ne: 'is not', lt: 'less than', le: 'at most', gt: 'more than', ge: 'at least', in: 'is one of',
  contains: 'contains', prefix: 'begins with', empty: 'is empty',
};
const TIME_WORDS: Partial<Record<Op, string>> = { ge: 'since', lt: 'before' };

export function chosenValues(where: Filter[], field: string): string[] {
  const own = where.find((one) => one.field === field && (one.op === 'in' || (one.op ?? 'eq') === 'eq'));
  if (!own) return [];
  return (Array.isArray(own.value) ? own.value : [own.value ?? null]).map(String);
}

/** `where` with `field` narrowed to these values; to nothing where there are none. */
export function withValues(where: Filter[], field: string, values: Json[]): Filter[] {
  const rest = where.filter((one) => !(one.field === field && (one.op === 'in' || (one.op ?? 'eq') === 'eq')));
  if (values.length === 0) return rest;
  return [...rest, values.length === 1 ? { field, op: 'eq', value: values[0]! } : { field, op: 'in', value: values }];
}

export function FilterChips({ place, setPlace, columns }: { place: Place; setPlace: (place: Place) => void; columns: Column[] }) {
  if (place.where.length === 0) return null;
  return (
    <ul className="chips" aria-label="Filters">
      {place.where.map((one, n) => (
        <li key={n} className="chip">
          <span>{say(one, columns)}</span>
          <button type="button" aria-label={`Remove filter ${say(one, columns)}`} onClick={() => setPlace({ ...place, where: place.where.filter((_, m) => m !== n) })}>
            <Icon name="x" size={13} />
          </button>
        </li>
      ))}
      <li><button type="button" className="chip-clear" onClick={() => setPlace({ ...place, where: [] })}>Clear filters</button></li>
    </ul>
  );
}

function say({ field, op = 'eq', value }: Filter, columns: Column[]): string {
  const found = columns.find((one) => one.name === field)?.field ?? { title: field, type: 'text' as const };
  if (op === 'empty') return `${found.title} is empty`;
  const single = { ...found, many: false };
  const text = (Array.isArray(value) ? value : [value ?? null]).map((one) => (one === null ? 'none' : format(single, one) || String(one))).join(' or ');
  const word = op === 'eq' || op === 'in' ? ':' : ` ${(found.type === 'time' && TIME_WORDS[op]) || OP_WORDS[op]}`;
  return `${found.title}${word} ${text}`;
}

interface Props {
  found: FoundView;
  at: Address;
  query: Query;
  place: Place;
  setPlace: (place: Place) => void;
  columns: Column[];
}

const UNFILTERABLE = new Set(['secret', 'series', 'progress', 'json', 'icon', 'period', 'money', 'markdown', 'code']);

export function FilterButton(props: Props) {
  const fields = props.columns.filter(({ field }) => !UNFILTERABLE.has(field.type));
  const [name, setName] = useState<string>();
  const first = fields.find(({ field }) => isCounted(field)) ?? fields[0];
  const column = fields.find((one) => one.name === name) ?? first;
  if (!column) return null;
  return (
    <PanelButton icon="filter" label="Filter" text="Filter">
      {(close) => (
        <>
          <label className="field">
            <span className="field-label">Field</span>
            <select value={column.name} onChange={(event) => setName(event.target.value)}>
              {fields.map((one) => <option key={one.name} value={one.name}>{one.field.title}</option>)}
            </select>
          </label>
          {isCounted(column.field)
            ? <Counted key={column.name} {...props} column={column} />
            : <Compare key={column.name} {...props} column={column} close={close} />}
        </>
      )}
    </PanelButton>
  );
}

function isCounted(field: Field): boolean {
  return field.facet === true || field.type === 'status' || field.type === 'bool' || Object.keys(field.values ?? {}).length > 0;
}

function Counted({ found, at, query, place, setPlace, column }: Props & { column: Column }) {
  const [part, setPart] = useState('');
  const asked: Query = { q: query.q, params: query.params, where: (query.where ?? []).filter((one) => one.field !== column.name) };
  const facets = useQuery({ queryKey: ['rows', found.id, 'facet', column.name, asked], queryFn: () => fetchFacets(at, [column.name], asked) });
  const counted = new Map((facets.data?.[column.name] ?? []).map((one) => [String(one.value), one]));
  const declared = Object.keys(column.field.values ?? {});
  const values: Json[] = [...new Map([...declared.map((one) => [one, one] as const), ...[...counted.values()].map((one) => [String(one.value), one.value] as const)]).values()];
  const chosen = chosenValues(place.where, column.name);
  const single = { ...column.field, many: false };
  const text = (value: Json) => (value === null || value === '' ? 'None' : format(single, value) || String(value));
  const shown = values.filter((one) => text(one).toLowerCase().includes(part.toLowerCase())).slice(0, 200);
  const toggle = (value: Json) => {
    const now = values.filter((one) => (String(one) === String(value) ? !chosen.includes(String(one)) : chosen.includes(String(one))));
    setPlace({ ...place, where: withValues(place.where, column.name, now) });
  };
  return (
    <div className="counted">
      {values.length > 8 && <input type="search" aria-label={`Find in ${column.field.title}`} placeholder="Find" value={part} onChange={(event) => setPart(event.target.value)} />}
      {facets.isError && <p className="faint">Counts are not available.</p>}
      <ul>
        {shown.map((value) => (
          <li key={String(value)}>
            <label>
              <input type="checkbox" checked={chosen.includes(String(value))} onChange={() => toggle(value)} />
              <span className="counted-text">{text(value)}</span>
              <span className="faint">{facets.data ? count(counted.get(String(value))?.count ?? 0) : ''}</span>
            </label>
          </li>
        ))}
        {facets.isSuccess && values.length === 0 && <li className="faint">No values yet</li>}
      </ul>
    </div>
  );
}

function opsOf(field: Field): Op[] {
  if (field.type === 'time') return ['ge', 'lt', 'empty'];
  if (isNumber(field.type)) return ['ge', 'le', 'eq', 'ne', 'empty'];
  return field.many || field.type === 'tags' ? ['contains', 'empty'] : ['contains', 'prefix', 'eq', 'ne', 'empty'];
}

function Compare({ place, setPlace, column, close }: Props & { column: Column; close: () => void }) {
  const ops = opsOf(column.field);
  const [op, setOp] = useState<Op>(ops[0]!);
  const [text, setText] = useState('');
  const read = op === 'empty' ? { value: null } : readTyped(column.field.type, text);
  const apply = () => {
    if (!('value' in read)) return;
    setPlace({ ...place, where: [...place.where, { field: column.name, op, ...(op === 'empty' ? {} : { value: read.value }) }] });
    close();
  };
  return (
    <form className="compare" onSubmit={(event) => { event.preventDefault(); apply(); }}>
      <label className="field">
        <span className="field-label">Condition</span>
        <select value={op} onChange={(event) => setOp(event.target.value as Op)}>
          {ops.map((one) => <option key={one} value={one}>{(column.field.type === 'time' && TIME_WORDS[one]) || OP_WORDS[one]}</option>)}
        </select>
      </label>
      {op !== 'empty' && (
        <label className="field">
          <span className="field-label">Value</span>
          <input type={column.field.type === 'time' ? 'datetime-local' : 'text'} value={text} onChange={(event) => setText(event.target.value)} />
          {text !== '' && 'problem' in read && <span className="field-problem">{read.problem}</span>}
        </label>
      )}
      <Button kind="primary" type="submit" isDisabled={op !== 'empty' && (text === '' || !('value' in read))}>Add filter</Button>
    </form>
  );
}
