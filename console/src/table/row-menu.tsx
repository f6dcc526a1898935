// What can be done with one row. One menu serves the whole list, opened where it was asked for.

import { useLocation } from 'wouter';
import { JOB_TYPE, useConsole, whyNot } from '../console';
import { copyText, format } from '../model/format';
import type { Column, FoundCommand, FoundView } from '../model/registry';
import type { Cells, Row } from '../model/rows';
import { copy } from '../ui/controls';
import { OpenMenu, type MenuEntry } from '../ui/menu-button';
import type { RowShape } from './row';

interface Props {
  row: Row;
  anchor: Element;
  found: FoundView;
  commands: FoundCommand[];
  columns: Column[];
  window: Cells;
  shape: RowShape;
  start: (command: FoundCommand, row: Row) => void;
  onClose: () => void;
}

const COPIES = 3;

export function RowMenu({ row, anchor, found, commands, columns, window: rows, shape, start, onClose }: Props) {
  const console_ = useConsole();
  const [, navigate] = useLocation();
  const isJob = console_.registry.typeOf(found)?.id === JOB_TYPE;
  const to = isJob ? undefined : shape.address(row);
  const text = ({ field, name }: Column) => copyText(field, rows.value(row, name));
  const label = columns.find((one) => one.name === shape.label);
  const name = (label && format(label.field, rows.value(row, shape.label))) || row.key;
  const open: MenuEntry[] = isJob || to !== undefined
    ? [{ id: 'open', icon: 'arrow-right', title: 'Open', shortcut: 'Enter', act: () => (isJob ? console_.openJob(row.key) : navigate(to!)) }]
    : [];
  const run = commands.map((one): MenuEntry => ({
    id: `run ${one.id}`,
    icon: one.command.icon ?? 'play',
    title: one.command.title,
    reason: whyNot(console_, one),
    destroys: one.command.effect === 'destroy',
    act: () => start(one, row),
  }));
  const copies = columns.filter((one) => one.field.priority !== 3 && text(one) !== '').slice(0, COPIES).map((one): MenuEntry => ({
    id: `copy ${one.name}`,
    icon: 'copy',
    title: `Copy ${one.field.title.toLowerCase()}`,
    act: () => void copy(text(one)),
  }));
  return <OpenMenu at={anchor} label={`Actions for ${name}`} groups={[{ title: name, entries: [...open, ...run] }, { entries: copies }]} onClose={onClose} />;
}
