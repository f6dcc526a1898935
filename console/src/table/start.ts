// Starts commands on rows: their keys and labels are its targets, their values fill its input.

import { useConsole, type Around, type Target } from '../console';
import { format } from '../model/format';
import type { FoundCommand, FoundView } from '../model/registry';
import type { Cells, Row } from '../model/rows';

export function useStart(found: FoundView, cells: Cells, around?: Around): (command: FoundCommand, rows: Row[]) => void {
  const { run, registry } = useConsole();
  const type = registry.typeOf(found)!;
  const name = type.type.label;
  const field = type.type.fields[name];
  return (command, rows) => run({
    found: command,
    rows: {
      type: type.id,
      targets: rows.map((row): Target => ({ key: row.key, label: format(field ?? { type: 'text' }, cells.value(row, name)) || row.key })),
      values: rows.map((row) => ({ ...cells.object(row), $key: row.key })),
      around,
    },
  });
}

/** The title of a command over `n` targets. */
export function titleFor({ command }: FoundCommand, n: number): string {
  return n > 1 && command.title_many ? command.title_many.replaceAll('{n}', n.toLocaleString()) : command.title;
}

/** Once up, once down, then the view's own order again. */
export function nextSort(sort: string[], name: string): string[] | undefined {
  if (sort[0] === name) return [`-${name}`];
  return sort[0] === `-${name}` ? undefined : [name];
}
