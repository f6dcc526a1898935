// Light, dark, or as the system has it; kept in this browser.

import { useSyncExternalStore } from 'react';

export type Theme = 'system' | 'light' | 'dark';
const KEY = 'theme';
const listeners = new Set<() => void>();
const dark = typeof matchMedia === 'undefined' ? undefined : matchMedia('(prefers-color-scheme: dark)');

export function readKept(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function keep(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // A browser that keeps nothing still shows everything.
  }
}

function chosen(): Theme {
  const kept = readKept(KEY);
  return kept === 'light' || kept === 'dark' ? kept : 'system';
}

function shown(): 'light' | 'dark' {
  const theme = chosen();
  return theme === 'system' ? (dark?.matches ? 'dark' : 'light') : theme;
}

export function applyTheme(): void {
  document.documentElement.dataset.theme = shown();
}

export function toggleTheme(): void {
  keep(KEY, shown() === 'dark' ? 'light' : 'dark');
  applyTheme();
  for (const listener of listeners) listener();
}

dark?.addEventListener('change', () => {
  applyTheme();
  for (const listener of listeners) listener();
});

export function useTheme(): 'light' | 'dark' {
  return useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, shown);
}
