// A small panel at a button, loaded with the first that is opened.

import { useMemo, type ReactNode } from 'react';
import { Dialog, Popover } from 'react-aria-components';

export default function PopupPanel({ anchor, label, children, onClose }: { anchor: Element; label: string; children: ReactNode; onClose: () => void }) {
  const trigger = useMemo(() => ({ current: anchor }), [anchor]);
  return (
    <Popover className="popover" triggerRef={trigger} isOpen onOpenChange={(open) => !open && onClose()} placement="bottom start" offset={6}>
      <Dialog aria-label={label} className="popover-inner">{children}</Dialog>
    </Popover>
  );
}
