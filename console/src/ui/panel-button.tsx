// A button that opens a small panel.

import { lazy, Suspense, useRef, useState, type ReactNode } from 'react';
import { Button, Tip } from './controls';

const PopupPanel = lazy(() => import('./popup-panel'));

interface Props {
  label: string;
  icon: string;
  /** Shown beside the icon; without it the label is a tooltip. */
  text?: string;
  children: (close: () => void) => ReactNode;
}

export function PanelButton({ label, icon, text, children }: Props) {
  const button = useRef<HTMLButtonElement>(null);
  const [open, setOpen] = useState(false);
  const close = () => setOpen(false);
  const shared = { ref: button, icon, 'aria-haspopup': 'dialog' as const, 'aria-expanded': open, onPress: () => setOpen(true) };
  return (
    <>
      {text === undefined ? <Tip text={label}><Button {...shared} kind="quiet" aria-label={label} /></Tip> : <Button {...shared}>{text}</Button>}
      {open && button.current && (
        <Suspense fallback={null}>
          <PopupPanel anchor={button.current} label={label} onClose={close}>{children(close)}</PopupPanel>
        </Suspense>
      )}
    </>
  );
}
