// Keys that work everywhere. Those of a list are in the list; here they bring the keyboard to it first.

import { useEffect } from 'react';
import { useLocation } from 'wouter';
import { address, type Console } from '../console';
import type { FoundView, Registry } from '../model/registry';

const SEQUENCE_MS = 1200;

export interface GoKey {
  key: string;
  found: FoundView;
}

/** `g` and a letter for every view: the first letter of its title that is still free. */
export function goKeys(registry: Registry): GoKey[] {
  const taken = new Set<string>();
  const keys: GoKey[] = [];
  for (const found of registry.modules.flatMap((module) => module.shown)) {
    const letters = [...found.view.title.toLowerCase()].filter((one) => /[a-z0-9]/.test(one));
    const key = letters.find((one) => !taken.has(one));
    if (key === undefined) continue;
    taken.add(key);
    keys.push({ key, found });
  }
  return keys;
}

export function useShortcuts(console_: Console, busy: boolean): void {
  const [, navigate] = useLocation();
  const { registry, openPalette, openKeys, openJob } = console_;
  useEffect(() => {
    let going = 0;
    const onKey = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
        event.preventDefault();
        openPalette();
        return;
      }
      if (busy || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isTyping(event.target)) return;
      const done = act(event.key, Date.now() - going < SEQUENCE_MS);
      going = event.key === 'g' && !done ? Date.now() : 0;
      if (done) event.preventDefault();
    };
    const act = (key: string, went: boolean): boolean => {
      const go = went ? goKeys(registry).find((one) => one.key === key) : undefined;
      if (go) navigate(address(go.found.module, go.found.view.id));
      else if (key === '/') return focus('[data-main-search]', true);
      else if (key === '?') openKeys();
      else if (key === 'J') openJob();
      else if (['j', 'k', 'x', 'e', 'ArrowDown', 'ArrowUp'].includes(key)) return focus('main .grid-row[tabindex="0"]');
      else return false;
      return true;
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, [busy, navigate, registry, openPalette, openKeys, openJob]);
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.closest('input, textarea, select, [contenteditable], [role=menu], [role=dialog], [role=listbox]') !== null);
}

function focus(selector: string, select = false): boolean {
  if (!document.activeElement || document.activeElement === document.body || selector.startsWith('[') || !document.activeElement.closest('button, a')) {
    const found = document.querySelector<HTMLElement>(selector);
    found?.focus();
    if (select && found instanceof HTMLInputElement) found.select();
    return found !== null;
  }
  return false;
}
