// What can be done with one row. One menu serves the whole list, opened where it was asked for.

import { useMemo } from 'react';
import { Header, Menu, MenuItem, MenuSection, Popover, Separator } from 'react-aria-components';
import { useLocation } from 'wouter';
import { JOB_TYPE, useConsole, whyNot } from '../console';
import { copyText, format } from '../model/format';
import type { Column, FoundCommand, FoundView } from '../model/registry';
import type { Row, RowWindow } from '../model/rows';
import { copy } from '../ui/controls';
import { Icon } from '../ui/icon';
import type { RowShape } from './row';

interface Props {
  row: Row;
  anchor: Element;
  found: FoundView;
  commands: FoundCommand[];
  columns: Column[];
  window: RowWindow;
  shape: RowShape;
  start: (command: FoundCommand, row: Row) => void;
  onClose: () => void;
}

const COPIES = 3;

export function RowMenu({ row, anchor, found, commands, columns, window: rows, shape, start, onClose }: Props) {
  const console_ = useConsole();
  const [, navigate] = useLocation();
  const trigger = useMemo(() => ({ current: anchor }), [anchor]);
  const isJob = console_.registry.typeOf(found)?.id === JOB_TYPE;
  const to = isJob ? undefined : shape.address(row);
  const copies = columns.filter((one) => one.field.priority !== 3 && copyText(one.field, rows.value(row, one.name)) !== '').slice(0, COPIES);
  const refused = commands.filter((one) => whyNot(console_, one) !== undefined);
  const label = columns.find((one) => one.name === shape.label);
  const name = (label && format(label.field, rows.value(row, shape.label))) || row.key;
  const act = (id: string) => {
    onClose();
    if (id === 'open') return isJob ? console_.openJob(row.key) : navigate(to!);
    const command = commands.find((one) => `run ${one.id}` === id);
    if (command) return start(command, row);
    const column = copies.find((one) => `copy ${one.name}` === id);
    if (column) void copy(copyText(column.field, rows.value(row, column.name)));
    return undefined;
  };
  return (
    <Popover className="popover" triggerRef={trigger} isOpen onOpenChange={(open) => !open && onClose()} placement="bottom end" offset={4}>
      <Menu className="menu" aria-label={`Actions for ${name}`} autoFocus="first" onAction={(id) => act(String(id))} disabledKeys={refused.map((one) => `run ${one.id}`)}>
        <MenuSection>
          <Header className="menu-head">{name}</Header>
          {(to ?? isJob) && <MenuItem id="open" className="menu-item" textValue="Open"><Icon name="arrow-right" size={15} />Open<kbd>Enter</kbd></MenuItem>}
          {commands.map((one) => (
            <MenuItem key={one.id} id={`run ${one.id}`} className={`menu-item ${one.command.effect === 'destroy' ? 'destroys' : ''}`} textValue={one.command.title}>
              <Icon name={one.command.icon ?? 'play'} size={15} />
              <span>{one.command.title}{refused.includes(one) && <small>{whyNot(console_, one)}</small>}</span>
            </MenuItem>
          ))}
        </MenuSection>
        <Separator className="menu-line" />
        <MenuSection>
          {copies.map((one) => (
            <MenuItem key={one.name} id={`copy ${one.name}`} className="menu-item" textValue={`Copy ${one.field.title}`}>
              <Icon name="copy" size={15} />Copy {one.field.title.toLowerCase()}
            </MenuItem>
          ))}
        </MenuSection>
      </Menu>
    </Popover>
  );
}
