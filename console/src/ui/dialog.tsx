// Dialogs and drawers: React Aria keeps the focus, the name and the way out; this gives them their frame.

import type { ReactNode } from 'react';
import { Dialog, Heading, Modal, ModalOverlay } from 'react-aria-components';
import { IconButton } from './controls';

interface Props {
  title: string;
  onClose: () => void;
  children: ReactNode;
  kind?: 'dialog' | 'drawer' | 'palette' | 'side';
  wide?: boolean;
  /** A press beside it closes it. */
  dismissable?: boolean;
  hideTitle?: boolean;
  alert?: boolean;
}

export function Sheet({ title, onClose, children, kind = 'dialog', wide, dismissable = true, hideTitle, alert }: Props) {
  return (
    <ModalOverlay className={`overlay ${kind}`} isOpen isDismissable={dismissable} onOpenChange={(open) => !open && onClose()}>
      <Modal className={`sheet ${kind} ${wide ? 'wide' : ''}`}>
        <Dialog className="sheet-inner" role={alert ? 'alertdialog' : 'dialog'} aria-label={hideTitle ? title : undefined}>
          {!hideTitle && (
            <header className="sheet-head">
              <Heading slot="title" level={2}>{title}</Heading>
              <IconButton icon="x" label="Close" onPress={onClose} />
            </header>
          )}
          {children}
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}
