// What every part of the console can reach: the manifests, who is signed in, and the ways to open things.

import { createContext, useContext } from 'react';
import type { Session } from './api/session';
import { START, writePlace } from './model/place';
import { type FoundCommand, JOB_TYPE, MACHINE_TYPE, referenceOf, type Registry } from './model/registry';
import type { JsonObject } from './model/schema';

/** A thing a command is run on: a row of some type. */
export interface Target {
  key: string;
  label: string;
}

/** What all rows of a view have in common. */
export interface Around {
  /** Values of the view's params. */
  params: JsonObject;
  /** The machine that one of them names. */
  machine: string | undefined;
}

export interface CommandRequest {
  found: FoundCommand;
  /** Rows it was called from; none from the palette or a view's own button. */
  rows?: { type: string; targets: Target[]; values: JsonObject[]; around?: Around | undefined };
  values?: JsonObject;
}

export interface Console {
  registry: Registry;
  session: Session;
  run(request: CommandRequest): void;
  openJob(id?: string): void;
  openPalette(): void;
  openKeys(): void;
}

export const ConsoleContext = createContext<Console | undefined>(undefined);

export function useConsole(): Console {
  const found = useContext(ConsoleContext);
  if (!found) throw new Error('used outside the console');
  return found;
}

/** Why the operator cannot run a command; nothing where they can. */
export function whyNot({ session, registry }: Pick<Console, 'session' | 'registry'>, { command, module }: FoundCommand): string | undefined {
  const failed = registry.module(module)?.failure;
  if (failed) return `${registry.module(module)!.title} is not running: ${failed.cause}`;
  const byEffect = { read: 'read', write: 'run', destroy: 'destroy' } as const;
  const needed = command.permission ?? byEffect[command.effect ?? 'read'];
  const held = session.permissions;
  if (held.includes(needed) || held.includes(`${module}.${needed}`) || held.includes('*')) return undefined;
  return `Your role, ${session.operator.role}, may not do this.`;
}

export function address(module: string, view: string, key?: string): string {
  const base = `/${encodeURIComponent(module)}/${encodeURIComponent(view)}`;
  return key === undefined ? base : `${base}/${encodeURIComponent(key)}`;
}

/** Where the list of a type leads to from its rows. */
function drillOf(registry: Registry, typeId: string) {
  const list = registry.listOf(typeId);
  return list?.view.drill === undefined ? undefined : registry.view(list.view.drill, list.module);
}

/** The address of a row's own page. */
export function rowAddress(registry: Registry, typeId: string, key: string, drill?: { module: string; id: string }): string | undefined {
  const found = (drill && registry.view(drill.id, drill.module)) || registry.detailOf(typeId) || drillOf(registry, typeId);
  if (!found) return undefined;
  if (found.view.kind === 'detail') return address(found.module, found.view.id, key);
  // A view of other rows takes the row as the param that refers to it.
  const param = Object.entries(found.view.params ?? {}).find(([, field]) => registry.referred(field, found.module) === typeId)?.[0];
  const place = param === undefined ? '' : `?${writePlace({ ...START, params: { [param]: referenceOf(key) } })}`;
  return address(found.module, found.view.id) + place;
}

export { JOB_TYPE, MACHINE_TYPE };
