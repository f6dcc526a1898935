// The list of keys.

import { useConsole } from '../console';
import { neutral } from '../model/neutral';
import { Sheet } from '../ui/dialog';
import { goKeys } from './shortcuts';

const KEYS: [string, [string[], string][]][] = [
  ['Everywhere', [
    [['Ctrl', 'K'], 'Search or run a command'],
    [['/'], 'Search in the list'],
    [['J'], 'Jobs'],
    [['?'], 'This list'],
    [['Esc'], 'Close, clear'],
  ]],
  ['In a list', [
    [['↑', '↓', 'j', 'k'], 'Move'],
    [['Enter'], 'Open'],
    [['x'], 'Select'],
    [['Shift', 'x'], 'Select up to here'],
    [['e'], 'Actions'],
    [['Home', 'End'], 'First, last row read'],
  ]],
  ['In a tree', [
    [['→', '←'], 'Open, close'],
    [['*'], 'Open all beside it'],
    [['Space'], 'Select'],
    [['Shift', 'F10'], 'Actions'],
    [['a … z'], 'Find by name'],
  ]],
];

export default function Keys({ onClose }: { onClose: () => void }) {
  const { registry } = useConsole();
  return (
    <Sheet title="Keyboard" onClose={onClose} wide>
      <div className="keys">
        {KEYS.map(([title, list]) => (
          <section key={title}>
            <h3>{title}</h3>
            <dl>{list.map(([keys, text]) => <div key={text}><dt>{keys.map((key) => <kbd key={key}>{key}</kbd>)}</dt><dd>{text}</dd></div>)}</dl>
          </section>
        ))}
        <section>
          <h3>Go to</h3>
          <dl>{goKeys(registry).map(({ key, found }) => <div key={found.id}><dt><kbd>g</kbd><kbd>{key}</kbd></dt><dd>{neutral(found.view.title)}</dd></div>)}</dl>
        </section>
      </div>
    </Sheet>
  );
}
