// The command palette: every view, every command, and the machines that match.

import { useQuery } from '@tanstack/react-query';
import { useEffect, useId, useMemo, useRef, useState } from 'react';
import { useLocation } from 'wouter';
import { fetchColumns } from '../api/http';
import { address, MACHINE_TYPE, rowAddress, useConsole, whyNot } from '../console';
import { format } from '../model/format';
import { neutral } from '../model/neutral';
import { iconOf, type Registry } from '../model/registry';
import { Sheet } from '../ui/dialog';
import { Icon } from '../ui/icon';

interface Entry {
  id: string;
  group: string;
  icon: string;
  title: string;
  hint: string;
  words: string;
  reason?: string | undefined;
  act: () => void;
}

const MOST = 12;

export default function Palette({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  const list = useRef<HTMLUListElement>(null);
  const id = useId();
  const entries = useEntries(text);
  // Some browsers answer scrollIntoView with a promise, which must not be taken for a clean-up.
  useEffect(() => { void list.current?.querySelector('[aria-selected=true]')?.scrollIntoView({ block: 'nearest' }); }, [at]);
  const choose = (entry: Entry | undefined) => {
    if (!entry || entry.reason) return;
    onClose();
    entry.act();
  };
  const onKeyDown = (event: React.KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === 'Enter') choose(entries[at]);
    else if (step !== undefined) setAt((at + step + entries.length) % Math.max(1, entries.length));
    else return;
    event.preventDefault();
  };
  return (
    <Sheet kind="palette" title="Search or run a command" hideTitle onClose={onClose}>
      <div className="palette-input">
        <Icon name="search" size={18} />
        <input
          autoFocus
          role="combobox"
          aria-expanded="true"
          aria-controls={`${id}-list`}
          aria-activedescendant={entries[at] ? `${id}-${at}` : undefined}
          aria-label="Search or run a command"
          placeholder="Find a view, a command or a machine"
          value={text}
          spellCheck={false}
          autoComplete="off"
          onChange={(event) => { setText(event.target.value); setAt(0); }}
          onKeyDown={onKeyDown}
        />
        <kbd>Esc</kbd>
      </div>
      <ul className="palette-list" role="listbox" id={`${id}-list`} ref={list} aria-label="Results">
        {entries.map((entry, n) => (
          <li
            key={entry.id}
            id={`${id}-${n}`}
            role="option"
            aria-selected={n === at}
            aria-disabled={entry.reason !== undefined || undefined}
            className={entry.group !== entries[n - 1]?.group ? 'first' : ''}
            data-group={entry.group}
            onPointerMove={() => setAt(n)}
            onClick={() => choose(entry)}
          >
            <span className="palette-entry">
              <Icon name={entry.icon} size={16} />
              <span className="palette-title">{neutral(entry.title)}</span>
              <span className="palette-hint">{neutral(entry.reason ?? entry.hint)}</span>
            </span>
          </li>
        ))}
      </ul>
      {entries.length === 0 && <p className="palette-empty" role="status">Nothing is called that.</p>}
    </Sheet>
  );
}

function useEntries(text: string): Entry[] {
  const console_ = useConsole();
  const { registry, run } = console_;
  const [, navigate] = useLocation();
  const fixed = useMemo(() => {
    const views: Entry[] = registry.modules.flatMap((module) => module.shown.map((found) => ({
      id: `view ${found.id}`,
      group: 'Views',
      icon: iconOf(found, registry),
      title: found.view.title,
      hint: module.title,
      words: [found.view.title, module.title, found.id, ...(module.manifest.plugin.keywords ?? [])].join(' ').toLowerCase(),
      act: () => navigate(address(found.module, found.view.id)),
    })));
    const commands: Entry[] = registry.modules.flatMap((module) => (module.manifest.commands ?? []).map((command) => {
      const found = { id: `${module.name}.${command.id}`, module: module.name, command };
      return {
        id: `command ${found.id}`,
        group: 'Commands',
        icon: command.icon ?? 'play',
        title: command.title,
        hint: module.title,
        words: [command.title, command.description ?? '', module.title, found.id, ...(module.manifest.plugin.keywords ?? [])].join(' ').toLowerCase(),
        reason: whyNot(console_, found),
        act: () => run({ found }),
      };
    }));
    return [...views, ...commands];
  }, [registry, console_, run, navigate]);
  const machines = useMachines(text.trim(), registry, navigate);
  return useMemo(() => {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const scored = fixed
      .filter((entry) => words.every((word) => entry.words.includes(word)))
      .map((entry) => [entry, score(entry, words)] as const)
      .sort((a, b) => b[1] - a[1])
      .map(([entry]) => entry);
    const views = scored.filter((entry) => entry.group === 'Views').slice(0, words.length > 0 ? 6 : MOST);
    const commands = scored.filter((entry) => entry.group === 'Commands').slice(0, words.length > 0 ? 8 : MOST);
    const groups = [views, machines, commands];
    // The group with the best match comes first, so that Enter does what was meant.
    const best = (list: Entry[]) => (list[0] ? score(list[0], words) : -1);
    return words.length > 0 ? groups.sort((a, b) => best(b) - best(a)).flat() : groups.flat();
  }, [fixed, machines, text]);
}

function score(entry: Entry, words: string[]): number {
  const title = entry.title.toLowerCase();
  const whole = words.join(' ');
  if (title === whole) return 4;
  if (title.startsWith(whole)) return 3;
  return words.every((word) => title.split(/[\s-]+/).some((part) => part.startsWith(word))) ? 2 : words.every((word) => title.includes(word)) ? 1 : 0;
}

function useMachines(text: string, registry: Registry, navigate: (to: string) => void): Entry[] {
  const type = registry.type(MACHINE_TYPE)?.type;
  const view = registry.view('fleet.machines');
  const rows = useQuery({
    queryKey: ['palette', text],
    queryFn: () => fetchColumns({ name: view!.module, view: view!.view.id }, { q: text, page: { limit: 8 } }),
    enabled: view !== undefined && type !== undefined && text.length > 0,
    placeholderData: (before) => before,
  });
  return useMemo(() => {
    if (!type || text === '' || !rows.data) return [];
    const { columns, keys } = rows.data;
    return rows.data.rows.slice(0, 8).map((cells, n) => {
      const value = (name: string | undefined) => (name === undefined ? '' : format(type.fields[name] ?? { type: 'text' }, cells[columns.indexOf(name)]));
      const key = keys[n] ?? '';
      const to = rowAddress(registry, MACHINE_TYPE, key);
      const title = value(type.label) || key;
      return { id: `machine ${key}`, group: 'Machines', icon: type.icon ?? 'server', title, hint: value(type.status), words: title.toLowerCase(), act: () => { if (to) navigate(to); } };
    });
  }, [rows.data, type, text, registry, navigate]);
}
