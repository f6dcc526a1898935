// The size of an element, as it changes.

import { useCallback, useRef, useState } from 'react';

export function useSize(): [(element: HTMLElement | null) => void, { width: number; height: number }] {
  const [size, setSize] = useState({ width: 0, height: 0 });
  const watcher = useRef<ResizeObserver>(undefined);
  const attach = useCallback((element: HTMLElement | null) => {
    watcher.current?.disconnect();
    if (!element) return;
    const read = () => setSize((before) => {
      const now = { width: element.clientWidth || 1024, height: element.clientHeight };
      return before.width === now.width && before.height === now.height ? before : now;
    });
    read();
    watcher.current = new ResizeObserver(read);
    watcher.current.observe(element);
  }, []);
  return [attach, size];
}
