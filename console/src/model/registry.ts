// All manifests together: finds types, views and commands by id, follows references between modules and joins the
// columns that one module adds to another's type.

import { isSortable } from './format';
import type { Command, Field, Filter, Manifest, Offer, Type, View, ViewKind } from './schema';

/** The core's own module, always first. */
export const CORE = 'fleet';
export const MACHINE_TYPE = `${CORE}.machine`;
export const JOB_TYPE = `${CORE}.job`;
export const SETTING_TYPE = `${CORE}.setting`;

const FEATURES = new Set(['view.table', 'view.detail', 'view.form', 'view.cards', 'view.log', 'view.timeline', 'view.markdown', 'view.settings', 'view.tree', 'streams', 'streams.files', 'channel', 'history', 'extend']);
const ROWS: readonly ViewKind[] = ['table', 'cards', 'log', 'timeline'];

export interface Module {
  name: string;
  title: string;
  manifest: Manifest;
  icon: string;
  /** Set while the module does not run. */
  failure: { state: string; cause: string; remedy: string } | undefined;
  /** Views for the navigation. */
  shown: FoundView[];
}

export interface FoundView {
  id: string;
  module: string;
  view: View;
}

export interface FoundCommand {
  id: string;
  module: string;
  command: Command;
}

export interface FoundType {
  id: string;
  type: Type;
}

export interface FoundOffer {
  command: FoundCommand;
  offer: Offer;
  list: FoundView;
  where: Filter[];
}

export interface Column {
  name: string;
  field: Field;
  sortable: boolean;
}

export class Registry {
  readonly modules: Module[];
  #byName = new Map<string, Module>();
  #columns = new Map<string, Column[]>();

  constructor(manifests: Manifest[]) {
    const ordered = [...manifests].sort((a, b) => rank(a) - rank(b) || a.plugin.title.localeCompare(b.plugin.title));
    this.modules = ordered.map((manifest) => ({
      name: manifest.plugin.name,
      title: manifest.plugin.title,
      manifest,
      icon: manifest.plugin.icon ?? (manifest.plugin.name === CORE ? 'server' : 'puzzle'),
      failure: failure(manifest),
      shown: [],
    }));
    for (const module of this.modules) this.#byName.set(module.name, module);
    for (const module of this.modules) module.shown = this.#shown(module);
  }

  module(name: string): Module | undefined {
    return this.#byName.get(name);
  }

  view(id: string, from?: string): FoundView | undefined {
    const [module, short] = this.#split(id, from);
    const view = module?.manifest.views?.find((one) => one.id === short);
    return module && view ? { id: `${module.name}.${view.id}`, module: module.name, view } : undefined;
  }

  command(id: string, from?: string): FoundCommand | undefined {
    const [module, short] = this.#split(id, from);
    const command = module?.manifest.commands?.find((one) => one.id === short);
    return module && command ? { id: `${module.name}.${command.id}`, module: module.name, command } : undefined;
  }

  commands(ids: string[] | undefined, from: string): FoundCommand[] {
    const found = (ids ?? []).map((id) => this.command(id, from)).filter((one) => one !== undefined);
    return [...new Map(found.map((one) => [one.id, one])).values()];
  }

  /** The commands of all other modules that run on machines: offered wherever machines are. */
  get onMachines(): FoundCommand[] {
    return this.modules.filter((module) => module.name !== CORE).flatMap((module) => (module.manifest.commands ?? [])
      // What another command would do is asked for in its form.
      .filter(({ id }) => !module.manifest.commands?.some((one) => one.preview === id))
      .filter(({ target, modes = [] }) => (target?.on ?? 'machine') === 'machine' && (modes.length === 0 || modes.includes('managed')))
      .map((command) => ({ id: `${module.name}.${command.id}`, module: module.name, command })));
  }

  /** What is offered on one row, or on several, of a view. */
  commandsOn({ view, module }: FoundView, rows: 'one' | 'many'): FoundCommand[] {
    const own = this.commands(rows === 'one' ? view.row : view.bulk, module);
    if (this.type(view.of, module)?.id !== MACHINE_TYPE) return own;
    return [...this.onMachines.filter((one) => !own.some((each) => each.id === one.id)), ...own];
  }

  /** Commands that are due for some rows, each with the list and the filters that find these rows: above a list of machines all,
   *  above one of a module its own. */
  offersOn({ view, module }: FoundView): FoundOffer[] {
    const onMachines = this.type(view.of, module)?.id === MACHINE_TYPE;
    return this.modules.filter((one) => onMachines || one.name === module).flatMap(({ name, manifest }) => (manifest.commands ?? []).flatMap((command) => {
      const { offer, modes = [] } = command;
      const list = offer && this.listOf(offer.of === undefined ? MACHINE_TYPE : this.type(offer.of, name)?.id);
      if (!offer || !list || (modes.length > 0 && !modes.includes('managed')) || (offer.of === undefined && !onMachines)) return [];
      const names = new Set(this.columnsOf(this.typeOf(list)!.id).map((one) => one.name));
      const where = offer.where.map((one) => ({ ...one, field: names.has(`${name}:${one.field}`) ? `${name}:${one.field}` : one.field }));
      return [{ command: { id: `${name}.${command.id}`, module: name, command }, offer, list, where }];
    }));
  }

  type(id: string | undefined, from?: string): FoundType | undefined {
    if (id === undefined) return undefined;
    const [module, short] = this.#split(id, from);
    const type = short === undefined ? undefined : module?.manifest.types?.[short];
    return module && type ? { id: `${module.name}.${short}`, type } : undefined;
  }

  typeOf({ view, module }: FoundView): FoundType | undefined {
    return this.type(view.of, module);
  }

  /** What is shown for a view: itself, its fallback, or nothing. */
  shownAs(found: FoundView, depth = 0): { found: FoundView; as: 'rows' | 'tree' | 'detail' | 'form' | 'settings' | 'markdown' } | undefined {
    const { kind, requires = [], fallback } = found.view;
    const met = requires.every((feature) => FEATURES.has(feature));
    if (met && ROWS.includes(kind) && this.typeOf(found)) return { found, as: 'rows' };
    if (met && kind === 'tree' && found.view.tree && this.typeOf(found)) return { found, as: 'tree' };
    if (met && kind === 'detail' && this.typeOf(found)) return { found, as: 'detail' };
    if (met && kind === 'form' && found.view.command && this.command(found.view.command, found.module)) return { found, as: 'form' };
    if (met && kind === 'settings' && this.typeOf(found)?.id === SETTING_TYPE) return { found, as: 'settings' };
    if (met && kind === 'markdown') return { found, as: 'markdown' };
    const other = fallback === undefined || depth > 4 ? undefined : this.view(fallback, found.module);
    return other ? this.shownAs(other, depth + 1) : undefined;
  }

  /** Every column rows of a type may have: its own, the machine it belongs to, then what other modules add. */
  columnsOf(typeId: string): Column[] {
    const known = this.#columns.get(typeId);
    if (known) return known;
    const found = this.type(typeId);
    if (!found) return [];
    const own = Object.entries(found.type.fields).map(([name, field]) => column(name, field));
    if (found.type.scope === 'machine' && !('machine' in found.type.fields)) {
      own.unshift(column('machine', { title: 'Machine', type: 'ref', ref: MACHINE_TYPE, priority: 1, sort: true }));
    }
    const all = [...own, ...this.#added(typeId)];
    this.#columns.set(typeId, all);
    return all;
  }

  /** The columns of a view in the order they are shown in. */
  columnsFor(found: FoundView): Column[] {
    const type = this.typeOf(found);
    if (!type) return [];
    const all = this.columnsOf(type.id).filter(({ field }) => field.type !== 'secret');
    const named = [...new Set(found.view.columns)];
    const own = named.length > 0
      ? named.map((name) => all.find((one) => one.name === name)).filter((one) => one !== undefined)
      : sortByPriority(all.filter(({ name }) => !name.includes(':')), type.type);
    const placed = [...own];
    for (const one of all) {
      if (!one.name.includes(':') || placed.includes(one)) continue;
      const after = placed.findLastIndex((other) => priority(other.field) <= priority(one.field));
      placed.splice(after + 1, 0, one);
    }
    return placed;
  }

  /** The detail view of the rows of a type, where a module has one. */
  detailOf(typeId: string): FoundView | undefined {
    for (const module of this.modules) {
      for (const view of module.manifest.views ?? []) {
        const found = { id: `${module.name}.${view.id}`, module: module.name, view };
        if (view.kind === 'detail' && this.typeOf(found)?.id === typeId) return found;
      }
    }
    return undefined;
  }

  /** The view that lists all rows of a type: where they are chosen from. */
  listOf(typeId: string | undefined): FoundView | undefined {
    if (typeId === undefined) return undefined;
    const own = this.#byName.get(typeId.split('.')[0]!);
    for (const module of own ? [own, ...this.modules] : this.modules) {
      for (const view of module.manifest.views ?? []) {
        const found = { id: `${module.name}.${view.id}`, module: module.name, view };
        const whole = Object.keys(view.params ?? {}).length === 0 && !view.filter?.length;
        if (whole && ROWS.includes(view.kind) && this.typeOf(found)?.id === typeId) return found;
      }
    }
    return undefined;
  }

  /** Id of the type that a param or field refers to. */
  referred({ type, ref }: Field, module: string): string | undefined {
    if (ref === undefined || (type !== 'ref' && type !== 'id')) return undefined;
    return this.type(ref, module)?.id;
  }

  /** Whether a view can be shown to whoever asks for it by its name alone: its params are chosen on its page. */
  #standsAlone(view: View, module: string): boolean {
    return Object.entries(view.params ?? {}).every(([name, field]) => name === view.tree?.param
      || (field.ref !== undefined && (this.referred(field, module) === undefined || this.listOf(this.referred(field, module)) !== undefined)));
  }

  #added(typeId: string): Column[] {
    const added: Column[] = [];
    for (const { name, manifest } of this.modules) {
      for (const type of Object.values(manifest.types ?? {})) {
        if (type.extends?.type !== typeId) continue;
        const names = type.extends.fields?.length ? type.extends.fields : Object.keys(type.fields);
        for (const field of names) {
          const found = type.fields[field];
          if (found) added.push(column(`${name}:${field}`, found));
        }
      }
    }
    return added;
  }

  #shown(module: Module): FoundView[] {
    return (module.manifest.views ?? [])
      .filter((view) => !view.hidden && view.kind !== 'detail' && this.#standsAlone(view, module.name))
      .map((view) => ({ id: `${module.name}.${view.id}`, module: module.name, view }));
  }

  #split(id: string, from?: string): [Module | undefined, string | undefined] {
    const dot = id.indexOf('.');
    if (dot < 0) return [from === undefined ? undefined : this.#byName.get(from), id];
    return [this.#byName.get(id.slice(0, dot)), id.slice(dot + 1)];
  }
}

/** What a reference to a row holds: the value of its one key field, which keys of some rows wrap in a list. */
export function referenceOf(key: string): string {
  if (!key.startsWith('[')) return key;
  try {
    const parts: unknown = JSON.parse(key);
    return Array.isArray(parts) && parts.length === 1 ? String(parts[0]) : key;
  } catch {
    return key;
  }
}

/** The field that tells which moment a row is: its label, where that is a time. */
export function timeField({ fields, label }: Type): string | undefined {
  return fields[label]?.type === 'time' ? label : undefined;
}

export function plural(type: Type): string {
  return type.title_plural || `${type.title}s`;
}

/** `3 machines`, with the type's own word. */
export function counted(n: number, type: Type): string {
  const word = n === 1 ? type.title : plural(type);
  return `${n.toLocaleString()} ${lowerFirst(word)}`;
}

export function lowerFirst(word: string): string {
  return /^[A-Z][a-z]/.test(word) ? word[0]!.toLowerCase() + word.slice(1) : word;
}

export function priority(field: Field): number {
  return field.priority ?? 3;
}

export function iconOf({ view, module }: FoundView, registry: Registry): string {
  return view.icon ?? registry.type(view.of, module)?.type.icon ?? kindIcon(view.kind);
}

function kindIcon(kind: ViewKind): string {
  const icons: Partial<Record<ViewKind, string>> = {
    form: 'edit', settings: 'settings', terminal: 'terminal', desktop: 'monitor', log: 'scroll', timeline: 'clock',
    chart: 'activity', topology: 'network', tree: 'folder', markdown: 'file', dashboard: 'activity', wizard: 'play',
  };
  return icons[kind] ?? 'list';
}

function rank(manifest: Manifest): number {
  return manifest.plugin.name === CORE ? -1 : (manifest.plugin.order ?? 0);
}

function failure({ state }: Manifest): Module['failure'] {
  if (!state || state.state === 'ok') return undefined;
  const cause = state.cause || (state.state === 'disabled' ? 'An operator switched this module off.' : 'This module is not running.');
  return { state: state.state, cause, remedy: state.remedy || '' };
}

function column(name: string, field: Field): Column {
  return { name, field, sortable: isSortable(field) };
}

function sortByPriority(columns: Column[], type: Type): Column[] {
  const first = (one: Column) => (one.name === type.label ? 0 : one.name === type.status ? 0.5 : priority(one.field));
  return columns.map((one, n) => [one, n] as const).sort(([a, n], [b, m]) => first(a) - first(b) || n - m).map(([one]) => one);
}
