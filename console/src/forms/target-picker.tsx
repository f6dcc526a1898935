// On which machines a command is to run, when it was not called from them.

import type { Target } from '../console';
import { RowPicker } from './row-picker';

export type Picked = { kind: 'machines'; machines: Target[] } | { kind: 'group'; group: string };

interface Props {
  picked: Picked;
  setPicked: (picked: Picked) => void;
  onlyGroup: boolean;
  wrong: boolean;
}

export function TargetPicker({ picked, setPicked, onlyGroup, wrong }: Props) {
  const kind = onlyGroup ? 'group' : picked.kind;
  return (
    <div className="target-picker">
      {!onlyGroup && (
        <div className="segments" role="radiogroup" aria-label="Run on">
          {(['machines', 'group'] as const).map((one) => (
            <label key={one} className={kind === one ? 'chosen' : ''}>
              <input type="radio" name="target" className="unseen" checked={kind === one} onChange={() => setPicked(one === 'machines' ? { kind: 'machines', machines: [] } : { kind: 'group', group: '' })} />
              {one === 'machines' ? 'Machines' : 'A group'}
            </label>
          ))}
        </div>
      )}
      {kind === 'machines' ? (
        <RowPicker
          label="Machines"
          view="fleet.machines"
          many
          required
          autoFocus
          chosen={picked.kind === 'machines' ? picked.machines : []}
          onChange={(machines) => setPicked({ kind: 'machines', machines })}
          problem={wrong ? 'Choose at least one machine.' : undefined}
        />
      ) : (
        <RowPicker
          label="Group"
          view="fleet.groups"
          required
          autoFocus
          chosen={picked.kind === 'group' && picked.group ? [{ key: picked.group, label: picked.group }] : []}
          onChange={([one]) => setPicked({ kind: 'group', group: one?.key ?? '' })}
          problem={wrong ? 'Choose a group.' : undefined}
        />
      )}
    </div>
  );
}
