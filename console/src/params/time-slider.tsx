// Rows that have a time as a line to slide along: one back, one forth, any of them.

import { useEffect, useId, useRef, useState, type KeyboardEvent } from 'react';
import { useConsole } from '../console';
import { Value } from '../fields/value';
import { count, timeExact } from '../model/format';
import { neutral } from '../model/neutral';
import { IconButton } from '../ui/controls';
import { PanelButton } from '../ui/panel-button';
import type { Param } from './resolve';

/** A line that is dragged over many rows reads only those it rests on. */
const REST_MS = 140;

export function TimeSlider({ param, onChoose }: { param: Param; onChoose: (value: string) => void }) {
  const { options, time, field } = param;
  const chosen = options.findIndex((one) => one.value === param.value);
  const [at, setAt] = useState(chosen);
  const rest = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => setAt(chosen), [chosen]);
  useEffect(() => () => clearTimeout(rest.current), []);
  const said = (n: number) => timeExact(options[n]?.row[time!]);
  const go = (n: number, after = 0) => {
    const one = options[n];
    if (!one) return;
    setAt(n);
    clearTimeout(rest.current);
    if (after === 0) onChoose(one.value);
    else rest.current = setTimeout(() => onChoose(one.value), after);
  };
  const title = neutral(field.title);
  return (
    <div className="time-slider" role="group" aria-label={title}>
      <IconButton icon="chevron-left" label={`Earlier ${title.toLowerCase()}`} isDisabled={at <= 0} onPress={() => go(at - 1)} />
      <PanelButton icon="clock" text={said(at) || 'Choose'} label={title}>
        {(close) => <Moments param={param} at={at} said={said} onChoose={(n) => { close(); go(n); }} />}
      </PanelButton>
      <IconButton icon="chevron-right" label={`Later ${title.toLowerCase()}`} isDisabled={at < 0 || at >= options.length - 1} onPress={() => go(at + 1)} />
      {options.length > 1 && (
        <div className="time-line">
          <input type="range" aria-label={`${title} in time`} min={0} max={options.length - 1} step={1} value={Math.max(0, at)} aria-valuetext={said(at)} onChange={(event) => go(Number(event.target.value), REST_MS)} />
          <span className="time-count"><bdi>{`${at + 1} of ${count(options.length)}`}</bdi></span>
        </div>
      )}
    </div>
  );
}

/** All of them, newest first. */
function Moments({ param: { options, list, field }, at, said, onChoose }: { param: Param; at: number; said: (n: number) => string; onChoose: (n: number) => void }) {
  const { registry } = useConsole();
  const type = registry.typeOf(list!)!.type;
  const id = useId();
  const [active, setActive] = useState(at);
  const box = useRef<HTMLUListElement>(null);
  useEffect(() => { void box.current?.querySelector('[data-active]')?.scrollIntoView?.({ block: 'nearest' }); }, [active]);
  const last = options.length - 1;
  const onKeyDown = (event: KeyboardEvent) => {
    const to = { ArrowDown: active - 1, ArrowUp: active + 1, Home: last, End: 0, PageDown: active - 8, PageUp: active + 8 }[event.key];
    if (to !== undefined) setActive(Math.max(0, Math.min(last, to)));
    else if (event.key === 'Enter' || event.key === ' ') onChoose(active);
    else return;
    event.preventDefault();
  };
  return (
    <ul className="menu moments" role="listbox" aria-label={neutral(field.title)} tabIndex={0} autoFocus ref={box} aria-activedescendant={`${id}-${active}`} onKeyDown={onKeyDown}>
      {options.map((one, n) => (
        <li key={one.value} id={`${id}-${n}`} role="option" aria-selected={n === at} data-active={n === active ? '' : undefined} className="menu-item" onClick={() => onChoose(n)} onPointerMove={() => setActive(n)}>
          <span>{said(n)}</span>
          {type.status && <Value field={type.fields[type.status]!} value={one.row[type.status]} reachable={false} />}
        </li>
      )).reverse()}
    </ul>
  );
}
