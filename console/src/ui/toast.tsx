// Short notices that come and go, with the way on where there is one.

import { useSyncExternalStore } from 'react';
import type { Tone } from '../model/schema';
import { Button, IconButton } from './controls';
import { ToneIcon } from './icon';

export interface Toast {
  id: number;
  tone: Tone;
  title: string;
  text?: string | undefined;
  action?: { label: string; run: () => void };
}

let toasts: Toast[] = [];
let next = 1;
const listeners = new Set<() => void>();

function set(list: Toast[]): void {
  toasts = list;
  for (const listener of listeners) listener();
}

export function toast(one: Omit<Toast, 'id'>): void {
  const id = next++;
  set([...toasts.slice(-2), { ...one, id }]);
  const stays = one.tone === 'danger' ? 12_000 : 6_000;
  setTimeout(() => dismiss(id), stays);
}

function dismiss(id: number): void {
  set(toasts.filter((one) => one.id !== id));
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function Toasts() {
  const shown = useSyncExternalStore(subscribe, () => toasts);
  return (
    <div className="toasts" role="region" aria-label="Notices" aria-live="polite">
      {shown.map((one) => (
        <div className="toast" key={one.id}>
          <ToneIcon tone={one.tone} size={18} />
          <div className="toast-text">
            <strong>{one.title}</strong>
            {one.text && <p>{one.text}</p>}
          </div>
          {one.action && <Button small onPress={() => { one.action!.run(); dismiss(one.id); }}>{one.action.label}</Button>}
          <IconButton small icon="x" label="Dismiss" onPress={() => dismiss(one.id)} />
        </div>
      ))}
    </div>
  );
}
