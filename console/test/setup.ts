// What happy-dom has not.

import { afterEach } from 'vitest';

class NoSocket extends EventTarget {
  static readonly OPEN = 1;
  readyState = 0;
  onopen: unknown = null;
  onclose: unknown = null;
  onmessage: unknown = null;
  send(): void {}
  close(): void {}
}

globalThis.WebSocket = NoSocket as unknown as typeof WebSocket;
// Chromium of today answers with a promise.
Element.prototype.scrollIntoView = (() => Promise.resolve()) as unknown as typeof Element.prototype.scrollIntoView;
(globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;

afterEach(() => {
  document.body.replaceChildren();
});
