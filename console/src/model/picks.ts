// What is selected in a tree. A row that is selected stands for everything below it, so what is below is never selected
// beside it.

import type { TreeNode } from './tree';

export type Picks = ReadonlyMap<string, TreeNode>;

/** `all`: itself; `within`: with a row above it; `some`: not it, but something below it. */
export type Picked = 'all' | 'within' | 'some' | 'none';

export const NO_PICKS: Picks = new Map();

/** Ids of all rows that have something selected below them. */
export function above(picks: Picks): ReadonlySet<string> {
  const found = new Set<string>();
  for (const node of picks.values()) for (let up = node.parent; up && !found.has(up.id); up = up.parent) found.add(up.id);
  return found;
}

export function pickedAbove(picks: Picks, node: TreeNode): TreeNode | undefined {
  for (let up = node.parent; up; up = up.parent) if (picks.has(up.id)) return up;
  return undefined;
}

export function pickOf(picks: Picks, partly: ReadonlySet<string>, node: TreeNode): Picked {
  if (picks.has(node.id)) return 'all';
  if (pickedAbove(picks, node)) return 'within';
  return partly.has(node.id) ? 'some' : 'none';
}

export function add(picks: Picks, nodes: TreeNode[]): Picks {
  const now = new Map(picks);
  for (const node of nodes) {
    if (now.has(node.id) || pickedAbove(now, node)) continue;
    for (const one of [...now.values()]) if (isBelow(one, node)) now.delete(one.id);
    now.set(node.id, node);
  }
  return now;
}

/**
 * Takes a row in or out. Out of a row above it that is selected, everything else in there stays selected; that needs
 * to be known, and nothing is returned where it is not.
 */
export function toggle(picks: Picks, node: TreeNode, below: (node: TreeNode) => TreeNode[] | undefined): Picks | undefined {
  if (picks.has(node.id)) return without(picks, node);
  const whole = pickedAbove(picks, node);
  if (!whole) return add(picks, [node]);
  const now = new Map(without(picks, whole));
  for (let kept = node; kept !== whole; kept = kept.parent!) {
    const beside = below(kept.parent!);
    if (!beside) return undefined;
    for (const one of beside) if (one.id !== kept.id) now.set(one.id, one);
  }
  return now;
}

function without(picks: Picks, node: TreeNode): Picks {
  const now = new Map(picks);
  now.delete(node.id);
  return now;
}

function isBelow(node: TreeNode, other: TreeNode): boolean {
  for (let up = node.parent; up; up = up.parent) if (up.id === other.id) return true;
  return false;
}
