// A menu at an element, opened by whoever has the element. It is loaded with the first menu that is opened.

import { useMemo } from 'react';
import { Header, Menu, MenuItem, MenuSection, Popover } from 'react-aria-components';
import { neutral } from '../model/neutral';
import { Icon } from './icon';
import type { MenuEntry, MenuGroup } from './menu-button';

interface Props {
  anchor: Element;
  label: string;
  groups: MenuGroup[];
  onClose: () => void;
}

export default function PopupMenu({ anchor, label, groups, onClose }: Props) {
  const trigger = useMemo(() => ({ current: anchor }), [anchor]);
  const entries = groups.flatMap((group) => group.entries);
  const act = (id: string) => {
    onClose();
    entries.find((one) => one.id === id)?.act();
  };
  return (
    <Popover className="popover" aria-label={label} triggerRef={trigger} isOpen onOpenChange={(open) => !open && onClose()} placement="bottom end" offset={4}>
      <Menu className="menu" aria-label={label} autoFocus="first" onAction={(id) => act(String(id))} disabledKeys={entries.filter((one) => one.reason).map((one) => one.id)}>
        {groups.filter((group) => group.entries.length > 0).map((group, n) => (
          <MenuSection key={n} className="menu-section">
            {group.title !== undefined && (
              <Header className="menu-head">
                <strong>{neutral(group.title)}</strong>
                {group.lines?.map((line) => <span key={line}>{neutral(line)}</span>)}
              </Header>
            )}
            {group.entries.map((one) => (
              <MenuItem key={one.id} id={one.id} className={`menu-item ${one.destroys ? 'destroys' : ''}`} textValue={one.title}>
                <Entry {...one} />
              </MenuItem>
            ))}
          </MenuSection>
        ))}
      </Menu>
    </Popover>
  );
}

function Entry({ icon, title, reason, shortcut }: MenuEntry) {
  return (
    <>
      <Icon name={icon} size={15} />
      <span>{neutral(title)}{reason && <small>{reason}</small>}</span>
      {shortcut && <kbd>{shortcut}</kbd>}
    </>
  );
}
