// Search, filter, count, columns, density, export, and what the view itself can do.

import { useEffect, useRef, useState } from 'react';
import { exportAddress, type Address } from '../api/http';
import { useConsole } from '../console';
import type { Place } from '../model/place';
import type { Column, FoundCommand, FoundView } from '../model/registry';
import type { Query } from '../model/schema';
import { Button } from '../ui/controls';
import { Icon } from '../ui/icon';
import { PanelButton } from '../ui/panel-button';
import { ActionBar } from './action-bar';
import { FilterButton } from './filters';
import type { Density } from './rows-view';

interface Props {
  found: FoundView;
  at: Address;
  place: Place;
  setPlace: (place: Place) => void;
  all: Column[];
  columns: Column[];
  density: Density;
  setDensity: (density: Density) => void;
  stacked: boolean;
  embedded: boolean;
  query: Query;
  actions: FoundCommand[];
  count: string;
  /** There is nothing to search in. */
  quiet: boolean;
  /** So few rows that they need no tools. */
  short: boolean;
  word: string;
}

export function Toolbar(props: Props) {
  const { found, at, place, setPlace, all, columns, stacked, embedded, query, quiet } = props;
  const { run } = useConsole();
  const searchable = all.filter(({ field }) => field.search).map(({ field }) => field.title);
  const bare = quiet || (embedded && props.short);
  if (bare && props.actions.length === 0) return null;
  return (
    <div className="toolbar">
      {!bare && (
        <>
          {searchable.length > 0 && <Search place={place} setPlace={setPlace} fields={searchable} word={props.word} embedded={embedded} />}
          <FilterButton {...{ found, at, query, place, setPlace }} columns={all} />
          {stacked && <SortMenu {...{ place, setPlace, all }} sort={place.sort ?? found.view.sort ?? []} />}
          <span className="toolbar-count" role="status"><bdi>{props.count}</bdi></span>
        </>
      )}
      <span className="toolbar-space" />
      {!bare && !stacked && <ColumnChoice all={all} shown={columns} place={place} setPlace={setPlace} density={props.density} setDensity={props.setDensity} />}
      {!bare && !stacked && (
        <a className="button quiet square" href={exportAddress(at, { ...query, fields: columns.map((one) => one.name) })} download={`${at.name}-${at.view}.csv`} aria-label="Export as CSV" title="Export as CSV">
          <Icon name="download" size={16} />
        </a>
      )}
      <ActionBar commands={props.actions} run={(found) => run({ found })} title={(one) => one.command.title} most={stacked ? 1 : 2} primary="last" />
    </div>
  );
}

function Search({ place, setPlace, fields, word, embedded }: { place: Place; setPlace: (place: Place) => void; fields: string[]; word: string; embedded: boolean }) {
  const [text, setText] = useState(place.q);
  const sent = useRef(place.q);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (place.q !== sent.current) {
      sent.current = place.q;
      setText(place.q);
    }
  }, [place.q]);
  useEffect(() => {
    if (text === sent.current) return undefined;
    const timer = setTimeout(() => {
      sent.current = text;
      setPlace({ ...place, q: text });
    }, 90);
    return () => clearTimeout(timer);
  }, [text, place, setPlace]);
  const hint = fields.slice(0, 4).map((one, n) => (n === 0 || /^[A-Z]{2}/.test(one) ? one : one.toLowerCase()));
  const placeholder = hint.length > 1 ? `${hint.slice(0, -1).join(', ')} or ${hint.at(-1)!}` : `Search by ${hint[0]!.toLowerCase()}`;
  return (
    <div className="search">
      <Icon name="search" size={15} />
      <input
        ref={input}
        type="search"
        aria-label={`Search ${word}`}
        placeholder={placeholder}
        value={text}
        data-main-search={embedded ? undefined : ''}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === 'Escape') (text === '' ? event.currentTarget.blur() : setText(''));
          if (event.key === 'ArrowDown' || event.key === 'Enter') document.querySelector<HTMLElement>('.grid-row[tabindex="0"]')?.focus();
        }}
      />
      {text === '' && !embedded && <kbd>/</kbd>}
      {text !== '' && <button type="button" className="search-clear" aria-label="Clear search" onClick={() => { setText(''); input.current?.focus(); }}><Icon name="x" size={14} /></button>}
    </div>
  );
}

function ColumnChoice({ all, shown, place, setPlace, density, setDensity }: Pick<Props, 'all' | 'place' | 'setPlace' | 'density' | 'setDensity'> & { shown: Column[] }) {
  const names = shown.map((one) => one.name);
  const toggle = (name: string) => {
    const now = all.map((one) => one.name).filter((one) => (one === name ? !names.includes(one) : names.includes(one)));
    if (now.length > 0) setPlace({ ...place, columns: now });
  };
  return (
    <PanelButton icon="columns" label="Columns and density">
      {() => (
        <>
          <div className="segments" role="radiogroup" aria-label="Density">
            {(['compact', 'comfortable'] as const).map((one) => (
              <label key={one} className={density === one ? 'chosen' : ''}>
                <input type="radio" name="density" className="unseen" checked={density === one} onChange={() => setDensity(one)} />
                {one === 'compact' ? 'Compact' : 'Comfortable'}
              </label>
            ))}
          </div>
          <ul className="column-choice" aria-label="Columns">
            {all.map((one) => (
              <li key={one.name}>
                <label>
                  <input type="checkbox" checked={names.includes(one.name)} onChange={() => toggle(one.name)} />
                  <span>{one.field.title}</span>
                </label>
              </li>
            ))}
          </ul>
          {place.columns && <Button small onPress={() => setPlace({ ...place, columns: undefined })}>As many as fit</Button>}
        </>
      )}
    </PanelButton>
  );
}

function SortMenu({ place, setPlace, all, sort }: { place: Place; setPlace: (place: Place) => void; all: Column[]; sort: string[] }) {
  const current = sort[0] ?? '';
  return (
    <label className="sort-select">
      <span className="unseen">Sort by</span>
      <select value={current} onChange={(event) => setPlace({ ...place, sort: event.target.value ? [event.target.value] : undefined })}>
        <option value="">Sort</option>
        {all.filter((one) => one.sortable).flatMap((one) => [
          <option key={one.name} value={one.name}>{one.field.title} ↑</option>,
          <option key={`-${one.name}`} value={`-${one.name}`}>{one.field.title} ↓</option>,
        ])}
      </select>
    </label>
  );
}
