// A button that opens a menu.

import { lazy, Suspense, useRef, useState, type ReactNode } from 'react';
import { Button, Tip } from './controls';

export interface MenuEntry {
  id: string;
  icon: string;
  title: string;
  /** Why it cannot be chosen now. */
  reason?: string | undefined;
  destroys?: boolean;
  shortcut?: string;
  act: () => void;
}

export interface MenuGroup {
  title?: string;
  lines?: string[];
  entries: MenuEntry[];
}

const PopupMenu = lazy(() => import('./popup-menu'));

interface Props {
  label: string;
  groups: MenuGroup[];
  icon?: string;
  small?: boolean;
  className?: string;
  children?: ReactNode;
}

export function MenuButton({ label, groups, icon, small = false, className, children }: Props) {
  const button = useRef<HTMLButtonElement>(null);
  const [open, setOpen] = useState(false);
  return (
    <>
      <Tip text={label}>
        <Button ref={button} small={small} icon={icon} className={className} aria-label={label} aria-haspopup="menu" aria-expanded={open} onPress={() => setOpen(true)}>{children}</Button>
      </Tip>
      <OpenMenu at={open ? button.current : null} label={label} groups={groups} onClose={() => setOpen(false)} />
    </>
  );
}

/** The menu itself, at an element; nothing without one. */
export function OpenMenu({ at, label, groups, onClose }: { at: Element | null; label: string; groups: MenuGroup[]; onClose: () => void }) {
  if (!at) return null;
  return <Suspense fallback={null}><PopupMenu anchor={at} label={label} groups={groups} onClose={onClose} /></Suspense>;
}
