// Commands as buttons: the first few in sight, the rest and what destroys in a menu.

import { useConsole, whyNot } from '../console';
import { neutral } from '../model/neutral';
import type { FoundCommand } from '../model/registry';
import { Button } from '../ui/controls';
import { MenuButton } from '../ui/menu-button';

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
  const entries = rest.map((one) => ({
    id: one.id,
    icon: one.command.icon ?? 'play',
    title: title(one),
    reason: whyNot(console_, one),
    destroys: one.command.effect === 'destroy',
    act: () => run(one),
  }));
  const menu = rest.length > 0 && <MenuButton label="More actions" icon="more" small={small} groups={[{ entries }]} />;
  return primary === 'last' ? <>{menu}{buttons}</> : <>{buttons}{menu}</>;
}
