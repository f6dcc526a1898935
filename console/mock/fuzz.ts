// Manifests that nobody would write but the schema allows, with rows that fit them.

import { FIELD_TYPES, OPS, VIEW_KINDS, type Command, type Field, type InputProperty, type Json, type Manifest, type Predicate, type Section, type Setting, type Tone, type Type, type View } from '../src/model/schema';
import { between, pick, seeded, type Random } from './random';
import { HOSTILE, words } from './values';

const TONES: Tone[] = ['success', 'warning', 'danger', 'neutral', 'info', 'active'];

function maybe<T>(random: Random, chance: number, value: () => T): T | undefined {
  return random() < chance ? value() : undefined;
}

function title(random: Random): string {
  return random() < 0.2 ? pick(random, HOSTILE) : words(random, between(random, 1, 6));
}

function some<T>(random: Random, list: readonly T[], most: number): T[] {
  return list.length === 0 ? [] : Array.from({ length: between(random, 0, most) }, () => pick(random, list));
}

function field(random: Random, machines: boolean): Field {
  const type = pick(random, FIELD_TYPES);
  const values = type === 'status' || (type === 'enum' && random() < 0.7)
    ? Object.fromEntries(Array.from({ length: between(random, 1, 14) }, (_, n) => [`v${n}`, { title: title(random), tone: pick(random, TONES), rank: between(random, 0, 3), icon: maybe(random, 0.3, () => pick(random, ['disk', 'no-such-icon'])) }]))
    : undefined;
  return {
    title: title(random), type, priority: between(random, 1, 3), many: random() < 0.2, search: random() < 0.4, facet: random() < 0.3, values,
    ref: type === 'ref' || type === 'refs' ? (machines && random() < 0.6 ? 'fleet.machine' : 'gone.thing') : undefined,
    warn: maybe(random, 0.2, () => random() * 100), danger: maybe(random, 0.2, () => random() * 100), width: maybe(random, 0.2, () => between(random, 0, 2000)),
    description: maybe(random, 0.2, () => title(random)),
  };
}

function type(random: Random): Type {
  const fields: Record<string, Field> = { id: { title: 'Id', type: 'id' } };
  for (let n = between(random, 0, 20); n > 0; n--) fields[`f${n}`] = field(random, true);
  const names = Object.keys(fields);
  const statuses = names.filter((name) => fields[name]!.type === 'status' && !fields[name]!.many);
  return { title: title(random), title_plural: maybe(random, 0.5, () => title(random)), scope: pick(random, ['site', 'machine'] as const), key: ['id'], label: pick(random, names), status: statuses.length > 0 ? maybe(random, 0.8, () => pick(random, statuses)) : undefined, fields, stored: {}, icon: maybe(random, 0.5, () => 'box') };
}

function predicate(random: Random, names: string[], depth = 0): Predicate {
  const kind = depth > 3 ? 0 : between(random, 0, 3);
  if (kind === 1) return { all: [predicate(random, names, depth + 1), predicate(random, names, depth + 1)] };
  if (kind === 2) return { any: [] };
  if (kind === 3) return { not: predicate(random, names, depth + 1) };
  return { field: names.length > 0 ? pick(random, names) : 'x', op: pick(random, OPS), value: pick<Json>(random, [null, 1, 'x', true, ['x']]) };
}

function property(random: Random, depth: number, names: string[]): InputProperty {
  const base: InputProperty = { title: maybe(random, 0.7, () => title(random)), description: maybe(random, 0.3, () => title(random)), 'x-when': maybe(random, 0.2, () => predicate(random, names)), 'x-ui': maybe(random, 0.3, () => ({ level: 'advanced', multiline: random() < 0.3 })) };
  const kind = pick(random, depth > 0 ? ['string', 'integer', 'boolean', 'choice'] : ['string', 'integer', 'number', 'boolean', 'choice', 'enum', 'array', 'object', 'options']);
  if (kind === 'choice') return { ...base, oneOf: Array.from({ length: between(random, 1, 4) }, (_, n) => ({ const: pick<Json>(random, [`c${n}`, n, true]), title: title(random) })) };
  if (kind === 'enum') return { ...base, type: 'string', enum: ['a', 'b', title(random)] };
  if (kind === 'array') return { ...base, type: 'array', items: property(random, 1, names), minItems: maybe(random, 0.2, () => 1) };
  if (kind === 'object') return { ...base, type: 'object', properties: Object.fromEntries(Array.from({ length: between(random, 0, 4) }, (_, n) => [`p${n}`, property(random, 1, names)])) };
  if (kind === 'options') return { ...base, type: random() < 0.5 ? 'string' : ['string', 'null'], 'x-options': { view: pick(random, ['fleet.machines', 'gone.view', 'v0']) } };
  return { ...base, type: random() < 0.3 ? [kind, 'null'] : kind, default: kind === 'boolean' ? random() < 0.5 : null, 'x-type': kind === 'boolean' ? undefined : maybe(random, 0.4, () => pick(random, FIELD_TYPES)), minimum: maybe(random, 0.2, () => 1), pattern: maybe(random, 0.1, () => '[') };
}

function command(random: Random, id: string, fields: string[]): Command {
  const names = Array.from({ length: between(random, 0, 6) }, (_, n) => `p${n}`);
  return {
    id, title: title(random), title_many: maybe(random, 0.5, () => `${title(random)} {n} {n}`), description: maybe(random, 0.4, () => title(random)),
    target: maybe(random, 0.7, () => ({ on: pick(random, ['machine', 'group', 'administrator', 'none'] as const) })), effect: pick(random, ['read', 'write', 'destroy'] as const),
    danger: maybe(random, 0.3, () => ({ text: title(random), confirm: pick(random, ['ask', 'type'] as const), when: maybe(random, 0.5, () => predicate(random, names)) })),
    permission: maybe(random, 0.2, () => 'nobody.has'), bind: maybe(random, 0.4, () => Object.fromEntries(names.slice(0, 2).map((name) => [name, pick(random, ['$key', ...fields])]))),
    input: { type: 'object', required: names.filter(() => random() < 0.4), properties: Object.fromEntries(names.map((name) => [name, property(random, 0, names)])) },
  };
}

function view(random: Random, id: string, types: Record<string, Type>, commands: string[], views: string[]): View {
  const kind = pick(random, VIEW_KINDS);
  const of = pick(random, Object.keys(types));
  const names = Object.keys(types[of]!.fields);
  const section = (): Section => (random() < 0.3 ? { title: title(random), view: pick(random, views), bind: { id: '$key' } } : { title: title(random), fields: some(random, names, 6) });
  return {
    id, kind, title: title(random), of, description: maybe(random, 0.3, () => title(random)), columns: some(random, names, 8), sort: some(random, names, 2).map((name) => (random() < 0.5 ? name : `-${name}`)),
    select: random() < 0.5, actions: some(random, commands, 3), row: some(random, commands, 3), bulk: some(random, commands, 3), drill: maybe(random, 0.4, () => pick(random, views)),
    summary: maybe(random, 0.3, () => pick(random, names)), sections: Array.from({ length: between(random, 0, 3) }, section), text: kind === 'markdown' ? HOSTILE.join('\n\n# ') : undefined,
    command: kind === 'form' ? (commands.length > 0 ? pick(random, commands) : undefined) : undefined, empty: maybe(random, 0.3, () => ({ title: title(random), action: commands[0] })),
    requires: maybe(random, 0.1, () => ['view.none']), fallback: maybe(random, 0.3, () => pick(random, views)), hidden: random() < 0.2, icon: maybe(random, 0.4, () => pick(random, ['server', 'none'])),
  };
}

export function fuzzed(seed: number): Manifest {
  const random = seeded(seed);
  const types = Object.fromEntries(Array.from({ length: between(random, 1, 3) }, (_, n) => [`t${n}`, type(random)]));
  const fields = Object.keys(Object.values(types)[0]!.fields);
  const commands = Array.from({ length: between(random, 0, 5) }, (_, n) => `c${n}`);
  const views = Array.from({ length: between(random, 1, 6) }, (_, n) => `v${n}`);
  const settings: Record<string, Setting> = { limit: { title: title(random), type: 'bytes', default: 0 } };
  const manifest: Manifest = {
    console: '1.0',
    plugin: { id: `org.example.fuzz${seed}`, name: `fuzz-${seed}`, version: '1.0.0', title: words(random, 2), icon: maybe(random, 0.5, () => 'box'), order: between(random, 0, 9) },
    types, settings, commands: commands.map((id) => command(random, id, fields)), views: views.map((id) => view(random, id, types, commands, views)),
    state: random() < 0.9 ? { state: 'ok' } : { state: 'failed', cause: title(random) },
  };
  // What travels as JSON has no `undefined`.
  return JSON.parse(JSON.stringify(manifest)) as Manifest;
}

