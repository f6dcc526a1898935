// Who a command runs on and which of its inputs come from the rows it was called from.

import { MACHINE_TYPE, type CommandRequest, type Target } from '../console';
import { refId } from '../model/format';
import { kindOf } from '../model/input';
import { referenceOf, type Registry } from '../model/registry';
import type { InputProperty, Json, JsonObject } from '../model/schema';
import type { Picked } from './target-picker';

export interface Plan {
  targets: Target[];
  /** Machines that are known to be meant. */
  machines: string[];
  /** Inputs that say which row is meant; known, so not asked for. */
  bound: JsonObject;
  /** Inputs to start with, which the operator may change. */
  given: JsonObject;
  /** It runs on machines rather than on the administrator. */
  onMachines: boolean;
  /** Nobody said yet on what. */
  needsTarget: boolean;
  /** What is sent: one body a job. */
  bodies: (input: JsonObject, picked: Picked | undefined) => JsonObject[];
}

export function planOf({ found, rows }: CommandRequest, registry: Registry): Plan {
  const { command } = found;
  const on = command.target?.on ?? 'machine';
  const values = rows?.values ?? [];
  const { naming, filling, fixed } = binds(found, rows, registry);
  const isList = (name: string) => kindOf(command.input!.properties![name]!) === 'array';
  const lists = naming.filter(([name]) => isList(name));
  const singles = naming.filter(([name]) => !isList(name));
  const take = (binds: [string, string][], row: JsonObject | undefined) =>
    Object.fromEntries(binds.map(([name, field]) => [name, named(row, field)]).filter(([, value]) => value !== null)) as JsonObject;
  const together: JsonObject = values.length === 0 ? {} : Object.fromEntries(lists.map(([name, field]) => [name, values.map((row) => named(row, field))]));
  const machines = machinesOf(rows, registry, on);
  // What names a row differs from row to row, so each row is a job of its own.
  const eachRow = singles.length > 0 && values.length > 1;
  return {
    targets: rows?.targets ?? [],
    machines,
    bound: { ...fixed, ...take(singles, values[0]), ...together },
    given: values.length === 1 ? take(filling, values[0]) : {},
    onMachines: on === 'machine' || on === 'group',
    needsTarget: on === 'group' ? groupOf(rows) === undefined : on === 'machine' && machines.length === 0,
    bodies: (input, picked) => {
      if (eachRow) return values.map((row, n) => ({ ...input, ...take(singles, row), ...target(machines[n] ? [machines[n]] : [], undefined, undefined) }));
      return [{ ...input, ...target(on === 'machine' ? machines : [], on === 'group' ? groupOf(rows) : undefined, picked) }];
    },
  };
}

/** Stands before the name of a param of the view that a command is called from. */
const PARAMS = '$params.';

interface Binds {
  naming: [string, string][];
  filling: [string, string][];
  fixed: JsonObject;
}

/**
 * The binds of a command, apart: those that name the row it is called from, those that fill in what it has now, and
 * what is the same for all rows of the view.
 */
function binds({ command, module }: CommandRequest['found'], rows: CommandRequest['rows'], registry: Registry): Binds {
  const rowType = rows?.type;
  const fixed: JsonObject = {};
  const properties = command.input?.properties ?? {};
  const keys = new Set(['$key', 'machine', ...(registry.type(rowType)?.type.key ?? [])]);
  const naming: [string, string][] = [];
  const filling: [string, string][] = [];
  for (const [name, field] of Object.entries(command.bind ?? {})) {
    if (!(name in properties) || rowType === undefined) continue;
    if (field.startsWith(PARAMS)) {
      const value = plain(rows?.around?.params[field.slice(PARAMS.length)]);
      if (value !== null) fixed[name] = value;
    } else if (!keys.has(field)) filling.push([name, field]);
    else if (field !== '$key' || (offeredType(properties[name]!, module, registry) ?? rowType) === rowType) naming.push([name, field]);
  }
  // Called from rows of another type than it was bound for: what offers rows of this type means these.
  if (naming.length === 0 && rowType !== undefined) {
    const other = Object.entries(properties).find(([name, one]) => !(name in fixed) && offeredType(one, module, registry) === rowType);
    if (other) naming.push([other[0], '$key']);
  }
  return { naming, filling, fixed };
}

function offeredType(property: InputProperty, module: string, registry: Registry): string | undefined {
  const options = property['x-options'] ?? property.items?.['x-options'];
  const view = options && registry.view(options.view, module);
  return view && registry.typeOf(view)?.id;
}

/** The key of a row as references to it hold it, or the value of a field. */
function named(row: JsonObject | undefined, field: string): Json {
  const value = plain(row?.[field]);
  return field === '$key' && typeof value === 'string' ? referenceOf(value) : value;
}

function plain(value: Json | undefined): Json {
  if (value === undefined || value === null) return null;
  return typeof value === 'object' && !Array.isArray(value) && 'id' in value ? (value.id ?? null) : value;
}

/** Rows of the machine type are machines; rows of another type belong to one. */
function machinesOf(rows: CommandRequest['rows'], registry: Registry, on: string): string[] {
  if (!rows || on !== 'machine') return [];
  if (rows.type === MACHINE_TYPE) return rows.targets.map((one) => one.key);
  const type = registry.type(rows.type)?.type;
  const field = type?.fields.machine?.ref === MACHINE_TYPE || type?.scope === 'machine' ? 'machine' : Object.entries(type?.fields ?? {}).find(([, one]) => one.ref === MACHINE_TYPE)?.[0];
  if (field === undefined) return rows.around?.machine === undefined ? [] : [rows.around.machine];
  return [...new Set(rows.values.map((row) => refId(row[field])).filter(Boolean))];
}

function groupOf(rows: CommandRequest['rows']): string | undefined {
  return rows?.type === 'fleet.group' ? rows.targets[0]?.key : undefined;
}

function target(machines: string[], group: string | undefined, picked: Picked | undefined): JsonObject {
  if (picked?.kind === 'group') return { group: picked.group };
  const chosen = picked?.kind === 'machines' ? picked.machines.map((one) => one.key) : machines;
  if (group !== undefined) return { group };
  if (chosen.length === 0) return {};
  return chosen.length === 1 ? { machine: chosen[0]! } : { machines: chosen };
}
