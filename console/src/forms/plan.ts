// Who a command runs on and which of its inputs come from the rows it was called from.

import { MACHINE_TYPE, type CommandRequest, type Target } from '../console';
import { refId } from '../model/format';
import { kindOf } from '../model/input';
import type { Registry } from '../model/registry';
import type { Json, JsonObject } from '../model/schema';
import type { Picked } from './target-picker';

export interface Plan {
  targets: Target[];
  /** Inputs that are known and not asked for. */
  bound: JsonObject;
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
  const properties = command.input?.properties ?? {};
  const bind = Object.entries(command.bind ?? {}).filter(([name]) => name in properties);
  const values = rows?.values ?? [];
  const isList = (name: string) => kindOf(properties[name]!) === 'array';
  const boundOf = (row: JsonObject) => Object.fromEntries(bind.map(([name, field]) => [name, plain(row[field])]).filter(([, value]) => value !== null)) as JsonObject;
  const lists = bind.filter(([name]) => isList(name));
  const together: JsonObject = Object.fromEntries(lists.map(([name, field]) => [name, values.map((row) => plain(row[field]))]));
  const single = bind.length > lists.length;
  const machines = machinesOf(rows, registry, on);
  const bound = values.length === 0 ? {} : { ...(values.length === 1 || !single ? boundOf(values[0]!) : {}), ...together };
  // A bound field differs from row to row, so each row is a job of its own and nothing of it is asked for.
  const eachRow = single && values.length > 1;
  return {
    targets: rows?.targets ?? [],
    bound: eachRow ? { ...boundOf(values[0]!), ...together } : bound,
    onMachines: on === 'machine' || on === 'group',
    needsTarget: on === 'group' ? groupOf(rows) === undefined : on === 'machine' && machines.length === 0,
    bodies: (input, picked) => {
      if (eachRow) return values.map((row, n) => ({ ...input, ...boundOf(row), ...together, ...target(machines[n] ? [machines[n]] : [], undefined, undefined) }));
      return [{ ...input, ...target(on === 'machine' ? machines : [], on === 'group' ? groupOf(rows) : undefined, picked) }];
    },
  };
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
  return field === undefined ? [] : [...new Set(rows.values.map((row) => refId(row[field])).filter(Boolean))];
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
