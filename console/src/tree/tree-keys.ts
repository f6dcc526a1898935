// What keys do in a tree: the pattern of a treegrid whose rows take the focus.

import type { TreeItem, TreeNode } from '../model/tree';

export type TreeKey =
  | { do: 'move'; to: number }
  | { do: 'open' | 'close' | 'enter' | 'actions' }
  | { do: 'select'; range: boolean }
  | { do: 'level' }
  | { do: 'find'; letter: string };

interface Pressed {
  key: string;
  shiftKey: boolean;
}

/** What a key means at the row in place `at` of `items`; nothing where it is not the tree's. */
export function keyOf({ key, shiftKey }: Pressed, items: TreeItem[], at: number, open: ReadonlySet<string>, page: number, rtl: boolean): TreeKey | undefined {
  const node = items[at];
  const [inwards, outwards] = rtl ? ['ArrowLeft', 'ArrowRight'] : ['ArrowRight', 'ArrowLeft'];
  const move = (from: number, by: number): TreeKey | undefined => {
    const to = nearest(items, from, by);
    return to === undefined ? undefined : { do: 'move', to };
  };
  switch (key) {
    case 'ArrowDown': return move(at + 1, 1);
    case 'ArrowUp': return move(at - 1, -1);
    case 'PageDown': return move(Math.min(at + page, items.length - 1), -1);
    case 'PageUp': return move(Math.max(at - page, 0), 1);
    case 'Home': return move(0, 1);
    case 'End': return move(items.length - 1, -1);
    case inwards: return node?.kind !== 'node' || !node.branch ? undefined : open.has(node.id) ? move(at + 1, 1) : { do: 'open' };
    case outwards: return node?.kind !== 'node' ? undefined : node.branch && open.has(node.id) ? { do: 'close' } : toParent(items, node);
    case 'Enter': return { do: 'enter' };
    case ' ': return { do: 'select', range: shiftKey };
    case 'ContextMenu': return { do: 'actions' };
    case 'F10': return shiftKey ? { do: 'actions' } : undefined;
    case '*': return { do: 'level' };
    default: return [...key].length === 1 && key !== '/' && key !== '?' ? { do: 'find', letter: key } : undefined;
  }
}

/** The first row from a place on, one way. */
function nearest(items: TreeItem[], from: number, by: number): number | undefined {
  for (let at = from; at >= 0 && at < items.length; at += by) if (items[at]!.kind === 'node') return at;
  return undefined;
}

function toParent(items: TreeItem[], node: TreeNode): TreeKey | undefined {
  const to = node.parent ? items.indexOf(node.parent) : -1;
  return to < 0 ? undefined : { do: 'move', to };
}

/** The next row whose name begins with what was typed, from the row in place `at` on and around. */
export function findNamed(items: TreeItem[], at: number, typed: string, name: (node: TreeNode) => string): number | undefined {
  const wanted = typed.toLowerCase();
  // One letter again and again goes on to the next; more letters may still mean this one.
  const same = [...wanted].every((letter) => letter === wanted[0]);
  const [text, from] = same ? [wanted[0]!, at + 1] : [wanted, at];
  for (let n = 0; n < items.length; n++) {
    const place = (Math.max(0, from) + n) % items.length;
    const item = items[place]!;
    if (item.kind === 'node' && name(item).toLowerCase().startsWith(text)) return place;
  }
  return undefined;
}
