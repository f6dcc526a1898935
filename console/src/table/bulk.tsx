// The bar over a list in which rows are selected.

import { useEffect } from 'react';
import { useConsole } from '../console';
import type { FoundCommand, FoundView } from '../model/registry';
import type { Row } from '../model/rows';
import { Button, IconButton } from '../ui/controls';
import { ActionBar } from './action-bar';
import { titleFor } from './start';

export interface Selected {
  keys: { size: number };
  rows: () => Row[];
  clear: () => void;
}

/** What can be done with what is selected. */
export function Bulk({ found, selection, start, stacked }: { found: FoundView; selection: Selected; start: (command: FoundCommand, rows: Row[]) => void; stacked: boolean }) {
  const { registry } = useConsole();
  const n = selection.keys.size;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key === 'Escape' && !document.querySelector('[role=dialog], [role=alertdialog], [role=menu]')) selection.clear();
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  });
  return (
    <div className="bulk" role="toolbar" aria-label="Selected rows">
      <strong>{n.toLocaleString()} selected</strong>
      <ActionBar small most={stacked ? 1 : 3} commands={registry.commandsOn(found, 'many')} title={(one) => titleFor(one, n)} run={(one) => start(one, selection.rows())} />
      {stacked ? <IconButton small icon="x" label="Clear selection" onPress={selection.clear} /> : <Button small kind="quiet" icon="x" onPress={selection.clear}>Clear</Button>}
    </div>
  );
}
