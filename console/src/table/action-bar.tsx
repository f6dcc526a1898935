// Commands as buttons: the first few in sight, the rest and what destroys in a menu.

import { Menu, MenuItem, MenuTrigger, Popover } from 'react-aria-components';
import { useConsole, whyNot } from '../console';
import { neutral } from '../model/neutral';
import type { FoundCommand } from '../model/registry';
import { Button, IconButton } from '../ui/controls';
import { Icon } from '../ui/icon';

interface Props {
  commands: FoundCommand[];
  run: (command: FoundCommand) => void;
  title: (command: FoundCommand) => string;
  /** Buttons in sight. */
  most: number;
  /** Which of them is the main one. */
  primary?: 'first' | 'last';
  small?: boolean;
}

export function ActionBar({ commands, run, title, most, primary, small = false }: Props) {
  const console_ = useConsole();
  const alone = commands.length === 1;
  const calm = commands.filter((one) => alone || one.command.effect !== 'destroy');
  const inSight = calm.slice(0, most);
  const rest = commands.filter((one) => !inSight.includes(one));
  const refused = rest.filter((one) => whyNot(console_, one) !== undefined).map((one) => one.id);
  const ordered = primary === 'last' ? [...inSight].reverse() : inSight;
  const buttons = ordered.map((one) => (
    <Button
      key={one.id}
      small={small}
      icon={one.command.icon ?? 'play'}
      kind={one.command.effect === 'destroy' ? 'danger' : primary !== undefined && one === inSight[0] ? 'primary' : 'plain'}
      reason={whyNot(console_, one)}
      onPress={() => run(one)}
    >
      {neutral(title(one))}
    </Button>
  ));
  const menu = rest.length > 0 && (
    <MenuTrigger>
      <IconButton icon="more" kind="plain" small={small} label="More actions" />
      <Popover className="popover" placement="bottom end" offset={6}>
        <Menu className="menu" aria-label="More actions" disabledKeys={refused} onAction={(id) => { const one = rest.find((each) => each.id === id); if (one) run(one); }}>
          {rest.map((one) => (
            <MenuItem key={one.id} id={one.id} className={`menu-item ${one.command.effect === 'destroy' ? 'destroys' : ''}`} textValue={title(one)}>
              <Icon name={one.command.icon ?? 'play'} size={15} />
              <span>{neutral(title(one))}{refused.includes(one.id) && <small>{whyNot(console_, one)}</small>}</span>
            </MenuItem>
          ))}
        </Menu>
      </Popover>
    </MenuTrigger>
  );
  return primary === 'last' ? <>{menu}{buttons}</> : <>{buttons}{menu}</>;
}
