// Chooses among rows of a view, found by typing. What the administrator knows is offered, never typed.

import { useQuery } from '@tanstack/react-query';
import { useEffect, useId, useMemo, useRef, useState, type KeyboardEvent } from 'react';
import { fetchColumns } from '../api/http';
import { MACHINE_TYPE, useConsole, type Target } from '../console';
import { format, refId, timeExact } from '../model/format';
import { neutral } from '../model/neutral';
import { referenceOf } from '../model/registry';
import type { Json, Query } from '../model/schema';
import { Icon } from '../ui/icon';

interface Props {
  label: string;
  /** Id of the view whose rows are offered. */
  view: string;
  from?: string;
  /** Rows that belong to machines are offered of these alone. */
  machines?: string[];
  /** Field whose value is put in; the key where absent. */
  value?: string | undefined;
  /** Field that is shown; the type's label where absent. */
  shown?: string | undefined;
  many?: boolean;
  required?: boolean;
  chosen: Target[];
  onChange: (chosen: Target[]) => void;
  description?: string | undefined;
  problem?: string | undefined;
  autoFocus?: boolean;
}

const OFFERED = 50;

export function RowPicker(props: Props) {
  const { label, many = false, required = false, chosen, onChange, problem, description } = props;
  const id = useId();
  const [text, setText] = useState('');
  const [open, setOpen] = useState(false);
  const [at, setAt] = useState(0);
  const input = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLUListElement>(null);
  const { options, message } = useOptions(props, text);
  const keys = new Set(chosen.map((one) => one.key));
  const offered = many ? options.filter((one) => !keys.has(one.key)) : options;
  const labelOf = (one: Target) => options.find((each) => each.key === one.key)?.label ?? one.label;
  useEffect(() => setAt(0), [text, open]);
  useEffect(() => { void list.current?.querySelector('[aria-selected=true]')?.scrollIntoView?.({ block: 'nearest' }); }, [at]);

  const pick = (one: Target | undefined) => {
    if (!one) return;
    onChange(many ? [...chosen, one] : [one]);
    setText('');
    setOpen(many);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) {
      setOpen(true);
      if (open && offered.length > 0) setAt((at + step + offered.length) % offered.length);
    } else if (event.key === 'Enter' && open && offered.length > 0) pick(offered[at]);
    else if (event.key === 'Escape' && open) setOpen(false);
    else if (event.key === 'Backspace' && text === '' && chosen.length > 0) onChange(chosen.slice(0, -1));
    else return;
    event.preventDefault();
    if (event.key === 'Escape') event.stopPropagation();
  };

  return (
    <div className="field" onBlur={(event) => { if (!event.currentTarget.contains(event.relatedTarget)) { setOpen(false); setText(''); } }}>
      <label className="field-label" htmlFor={id}>{label}{required && <span className="required" aria-hidden="true"> *</span>}</label>
      <div className={`combo-box ${problem ? 'wrong' : ''}`} onClick={() => input.current?.focus()}>
        {chosen.map((one) => (
          <span key={one.key} className="pill removable">
            {neutral(labelOf(one))}
            <button type="button" aria-label={`Remove ${neutral(labelOf(one))}`} onClick={() => onChange(chosen.filter((each) => each.key !== one.key))}><Icon name="x" size={12} /></button>
          </span>
        ))}
        <input
          ref={input}
          id={id}
          role="combobox"
          aria-expanded={open}
          aria-controls={`${id}-list`}
          aria-autocomplete="list"
          aria-activedescendant={open && offered[at] ? `${id}-${at}` : undefined}
          aria-invalid={problem !== undefined}
          aria-required={required}
          aria-describedby={[description ? `${id}-help` : '', problem ? `${id}-problem` : ''].filter(Boolean).join(' ') || undefined}
          autoComplete="off"
          spellCheck={false}
          autoFocus={props.autoFocus}
          placeholder={chosen.length === 0 ? 'Type to find' : many ? 'Add another' : ''}
          value={text}
          onFocus={() => setOpen(many || chosen.length === 0)}
          onClick={() => setOpen(true)}
          onChange={(event) => { setText(event.target.value); setAt(0); setOpen(true); }}
          onKeyDown={onKeyDown}
        />
        <Icon name="chevron-down" size={15} className="combo-mark" />
      </div>
      {open && (
        <ul className="menu combo-list" role="listbox" id={`${id}-list`} aria-label={label} ref={list} tabIndex={-1}>
          {offered.map((one, n) => (
            <li
              key={one.key}
              id={`${id}-${n}`}
              role="option"
              aria-selected={n === at}
              className="menu-item"
              onPointerDown={(event) => { event.preventDefault(); pick(one); }}
              onPointerMove={() => setAt(n)}
            >{neutral(one.label)}</li>
          ))}
          {offered.length === 0 && <li role="option" aria-selected={false} aria-disabled="true" className="menu-empty">{message ?? (text ? 'Nothing matches' : many && chosen.length > 0 ? 'All are chosen' : 'Nothing to choose from')}</li>}
        </ul>
      )}
      {description && <p className="field-help" id={`${id}-help`}>{description}</p>}
      {problem && <p className="field-problem" id={`${id}-problem`} role="alert">{problem}</p>}
    </div>
  );
}

function useOptions({ view, from, value, shown, machines = [] }: Props, text: string): { options: Target[]; message: string | undefined } {
  const { registry } = useConsole();
  const found = registry.view(view, from);
  const type = found && registry.typeOf(found);
  const labelName = shown ?? type?.type.label;
  const owner = machines.length > 0 && type && type.id !== MACHINE_TYPE
    ? registry.columnsOf(type.id).find(({ field }) => registry.referred(field, found.module) === MACHINE_TYPE)?.name
    : undefined;
  const query: Query = {
    ...(text ? { q: text } : {}),
    ...(owner === undefined ? {} : { where: [{ field: owner, op: 'in', value: machines }] }),
    page: { limit: OFFERED },
    sort: found?.view.sort ?? [],
    fields: [...new Set([value, labelName].filter((one) => one !== undefined))],
  };
  const rows = useQuery({
    queryKey: ['options', view, from, query],
    queryFn: () => fetchColumns({ name: found!.module, view: found!.view.id }, query),
    enabled: found !== undefined,
    placeholderData: (before) => before,
  });
  const options = useMemo(() => {
    const { columns = [], rows: list = [], keys = [] } = rows.data ?? {};
    const field = (labelName && type?.type.fields[labelName]) || { type: 'text' as const };
    return list.map((cells, n) => {
      const own = referenceOf(keys[n] ?? '');
      const put = value === undefined ? own : refId(cells[columns.indexOf(value)] ?? own) || own;
      return { key: put, label: (labelName && (field.type === 'time' ? timeExact : (value: Json | undefined) => format(field, value))(cells[columns.indexOf(labelName)])) || put };
    });
  }, [rows.data, labelName, type, value]);
  if (!found) return { options, message: 'These choices are not available here.' };
  return { options, message: rows.error?.message ?? (rows.isPending ? 'Reading…' : undefined) };
}
