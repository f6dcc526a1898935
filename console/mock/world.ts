// What the invented administrator holds: rows of every type, jobs that go on, and who is signed in.

import { JOB_STATES, type Columns, type Command, type Job, type JobEvent, type Json, type JsonObject, type Manifest, type Query, type Type } from '../src/model/schema';
import { Registry } from '../src/model/registry';
import { entries, moments } from './archive';
import { manifests as invented } from './manifests';
import { between, pick, seeded, type Random } from './random';
import { count, facets, select, type Table } from './table';
import { HOSTILE, machineName, PEOPLE, series, system, time, valueOf, words } from './values';

export interface Options {
  machines?: number;
  manifests?: Manifest[];
  setup?: boolean;
  seed?: number;
}

export class World {
  readonly manifests: Manifest[];
  readonly registry: Registry;
  readonly tables = new Map<string, Table>();
  readonly jobs = new Map<string, Job>();
  readonly random: Random;
  operator: { id: string; name: string; role: string; setup: boolean };
  #watchers = new Set<(types: string[]) => void>();
  #jobWatchers = new Map<string, Set<(event: JobEvent) => void>>();
  #timers = new Set<ReturnType<typeof setTimeout>>();
  #nextJob = 1;

  constructor({ machines = 10_000, manifests = invented, setup = false, seed = 7 }: Options = {}) {
    this.random = seeded(seed);
    this.manifests = manifests;
    this.registry = new Registry(manifests);
    this.operator = { id: 'o1', name: setup ? 'first' : 'Ada Dijkstra', role: 'manager', setup };
    this.#fillMachines(machines);
    for (const { plugin, types = {} } of manifests) {
      for (const [name, type] of Object.entries(types)) this.#fill(`${plugin.name}.${name}`, type);
    }
    const kept = this.tables.get('acme-archive.moment');
    if (kept) kept.rows = moments(this.tables.get('fleet.machine')?.rows ?? []);
    this.#fillSettings();
    this.#fillJobs();
  }

  view(name: string, view: string): { table: Table; type: string } | undefined {
    const found = this.registry.view(`${name}.${view}`);
    const type = found && this.registry.typeOf(found);
    const table = type && this.tables.get(type.id);
    return type && table ? { table, type: type.id } : undefined;
  }

  rows(name: string, view: string, query: Query): Columns | { problem: string } | undefined {
    const found = this.view(name, view);
    if (found?.type === 'acme-archive.entry') return entries(query, found.table.fields);
    const fixed = this.registry.view(`${name}.${view}`)?.view;
    return found && select(found.table, { ...query, where: [...(query.where ?? []), ...(fixed?.filter ?? [])], sort: query.sort?.length ? query.sort : (fixed?.sort ?? []) });
  }

  count(name: string, view: string, query: Query): number {
    const found = this.view(name, view);
    return found ? count(found.table, query) : 0;
  }

  facets(name: string, view: string, fields: string[], query: Query): Record<string, { value: Json; count: number }[]> {
    const found = this.view(name, view);
    return found ? facets(found.table, fields, query) : {};
  }

  watch(listener: (types: string[]) => void): () => void {
    this.#watchers.add(listener);
    return () => this.#watchers.delete(listener);
  }

  watchJob(id: string, listener: (event: JobEvent) => void): () => void {
    const all = this.#jobWatchers.get(id) ?? new Set();
    this.#jobWatchers.set(id, all.add(listener));
    return () => all.delete(listener);
  }

  changed(...types: string[]): void {
    for (const listener of this.#watchers) listener(types);
  }

  /** Machines come and go and a new one joins, as they do. */
  live(everyMs: number): void {
    const table = this.tables.get('fleet.machine')!;
    const tick = () => {
      for (let n = 0; n < 3; n++) {
        const row = pick(this.random, table.rows);
        row['acme-sensors:disk'] = Math.min(100, Math.round(this.random() * 1000) / 10);
        row.last_seen = new Date().toISOString();
      }
      this.changed('fleet.machine');
      this.#later(everyMs, tick);
    };
    this.#later(everyMs, tick);
  }

  addMachine(name: string): void {
    const table = this.tables.get('fleet.machine')!;
    table.rows.push(this.#machine(table.rows.length + 1, name));
    this.changed('fleet.machine');
  }

  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }

  start(id: string, command: Command, body: JsonObject): Job {
    const { machine, machines, group, ...input } = body;
    const targets = machine !== undefined ? [machine] : Array.isArray(machines) ? machines : [];
    const label = (id: Json) => String(this.tables.get('fleet.machine')?.rows.find((row) => row.id === id)?.name ?? id);
    const bound = (command.target?.on ?? 'machine') !== 'machine';
    const job = this.#job(id, bound || targets.length !== 1 ? null : { id: String(targets[0]), label: label(targets[0]!) }, bound ? body : input);
    job.title = targets.length > 1 && !bound && command.title_many ? command.title_many.replaceAll('{n}', String(targets.length)) : command.title;
    job.target = group ?? (targets.length === 1 ? label(targets[0]!) : `${targets.length} machines`);
    job.streams = command.streams ?? [];
    if (targets.length > 1 && !bound) {
      job.children = targets.map((one) => {
        const child = this.#job(id, { id: String(one), label: label(one) }, input);
        child.parent = job.id;
        child.title = command.title;
        this.#run(child, command, between(this.random, 4, 9));
        return { id: child.id, machine: child.machine ?? null, state: child.state, progress: null };
      });
    }
    this.#run(job, command, targets.length > 1 ? 11 : 6);
    return job;
  }

  cancel(id: string): void {
    const job = this.jobs.get(id);
    if (job && !job.ended_at) this.#end(job, 'cancelled');
  }

  #run(job: Job, command: Command, steps: number): void {
    const quick = command.target?.on === 'administrator';
    let step = 0;
    const go = () => {
      if (job.ended_at) return;
      step += 1;
      if (step === 1) this.#tell(job, { event: 'state', state: 'running' });
      if (step >= steps || quick) return this.#finish(job, command);
      const amount = { done: step * 20, total: steps * 20, unit: 'items' as const };
      const progress = { fraction: step / steps, text: `asking ${step * 20} addresses`, amount };
      this.#tell(job, { event: 'progress', progress });
      this.#tell(job, { event: 'log', at: new Date().toISOString(), level: step === 3 ? 'warn' : 'info', text: step === 3 ? '10.0.0.66 answers slowly' : `10.0.0.${step * 20} done` });
      this.#later(350, go);
      return undefined;
    };
    this.#later(120, go);
  }

  #finish(job: Job, command: Command): void {
    const properties = Object.entries(command.output?.properties ?? {});
    const result: JsonObject = Object.fromEntries(properties.map(([name, property]) => [name, output(name, property['x-type'], property.type)]));
    if (properties.length > 0) this.#tell(job, { event: 'result', result });
    this.#end(job, 'succeeded');
  }

  #end(job: Job, state: Job['state']): void {
    job.ended_at = new Date().toISOString();
    this.#tell(job, { event: 'state', state });
    const parent = job.parent ? this.jobs.get(job.parent) : undefined;
    const child = parent?.children?.find((one) => one.id === job.id);
    if (parent && child) {
      child.state = state;
      this.#tell(parent, { event: 'partial', machine: job.machine?.id ?? '', state });
    }
  }

  #tell(job: Job, event: JobEvent): void {
    if (event.event === 'state') job.state = event.state;
    if (event.event === 'progress') job.progress = event.progress;
    if (event.event === 'log') job.log = [...(job.log ?? []), event];
    if (event.event === 'result') job.result = event.result;
    for (const listener of this.#jobWatchers.get(job.id) ?? []) listener(event);
    this.#listJob(job);
    this.changed('fleet.job');
  }

  #job(command: string, machine: Job['machine'], input: JsonObject): Job {
    const id = `j${String(this.#nextJob++).padStart(4, '0')}`;
    const job: Job = { id, parent: null, command, state: 'queued', machine: machine ?? null, progress: null, created_at: new Date().toISOString(), started_at: null, ended_at: null, operator: { id: this.operator.id, name: this.operator.name }, input, result: null, problem: null, streams: [], children: [], log: [] };
    this.jobs.set(id, job);
    return job;
  }

  #listJob(job: Job): void {
    const table = this.tables.get('fleet.job');
    if (!table) return;
    const { id, command, title, state, target, progress, created_at, started_at, ended_at, parent } = job;
    const row = { id, command, title, state, target, machine: job.machine ?? null, progress, created_at, started_at, ended_at, parent: parent ?? null, operator: this.operator.name, problem: job.problem?.message ?? null } as unknown as JsonObject;
    const at = table.rows.findIndex((one) => one.id === id);
    if (at >= 0) table.rows[at] = row;
    else table.rows.push(row);
  }

  #later(ms: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, ms);
    this.#timers.add(timer);
  }

  #machine(n: number, name = machineName(n, this.random)): JsonObject {
    const r = this.random;
    const online = r() < 0.87;
    return {
      id: `m${String(n).padStart(6, '0')}`, name, status: online ? 'online' : 'offline',
      addresses: r() < 0.3 ? [`10.0.${n >> 8 & 255}.${n & 255}`, `fe80::${n.toString(16)}`] : [`10.0.${n >> 8 & 255}.${n & 255}`],
      last_seen: online ? time(r, 90) : time(r), groups: r() < 0.3 ? [{ id: 'g1', label: 'Front office' }] : [], macs: [`00:1b:44:11:${(n >> 8 & 255).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}`],
      agent_version: pick(r, ['0.1.0', '0.1.0', '0.0.9']), enrolled_at: time(r), revoked_at: null,
      'acme-sensors:person': n === 3 ? HOSTILE[1]! : pick(r, PEOPLE), 'acme-sensors:system': n === 4 ? HOSTILE[0]! : system(r), 'acme-sensors:disk': Math.round(r() * 960) / 10,
      'acme-sensors:cpu': series(r), 'acme-sensors:memory': 2 ** between(r, 32, 37),
    };
  }

  #fillMachines(n: number): void {
    const columns = this.registry.columnsOf('fleet.machine');
    const fields = Object.fromEntries(columns.map((one) => [one.name, one.field]));
    this.tables.set('fleet.machine', { fields, key: 'id', rows: Array.from({ length: n }, (_, at) => this.#machine(at + 1)) });
  }

  #fill(id: string, type: Type): void {
    if (this.tables.has(id)) return;
    const fields = Object.fromEntries(this.registry.columnsOf(id).map((one) => [one.name, one.field]));
    const refs = (this.tables.get('fleet.machine')?.rows ?? []).slice(0, 40).map((row) => ({ id: String(row.id), label: String(row.name) }));
    const key = type.key?.[0] ?? 'machine';
    const empty = /tray|job$|warning|scale/.test(id);
    const many = id.startsWith('fleet.') ? 4 : 240;
    const rows = Array.from({ length: empty ? 0 : many }, (_, n): JsonObject => ({
      ...Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, valueOf(field, this.random, refs)])),
      [key]: fields[key]?.type === 'int' ? n + 1 : key === 'machine' ? (refs[n % 40] ?? null) : `${key}-${String(n + 1).padStart(4, '0')}`,
      [type.label]: fields[type.label]?.type === 'id' ? `${key}-${String(n + 1).padStart(4, '0')}` : n < HOSTILE.length && fields[type.label]?.type === 'text' ? HOSTILE[n]! : words(this.random, 2),
    }));
    this.tables.set(id, { fields, key, rows });
  }

  #fillSettings(): void {
    const table = this.tables.get('fleet.setting');
    const machine = this.tables.get('fleet.machine')?.rows[2];
    if (!table) return;
    table.rows = this.manifests.flatMap(({ plugin, settings = {} }) => Object.entries(settings).flatMap(([name, one]): JsonObject[] => {
      const site: JsonObject = {
        id: `${plugin.name}.${name}`, setting: `${plugin.name}.${name}`, module: plugin.name, name, title: one.title, description: one.description ?? null,
        place: 'site', group: null, machine: null, value: one.default, default: one.default, is_set: false, changed_at: null, changed_by: null,
      };
      if (one.type !== 'duration' || !machine) return [site];
      const own = { ...site, id: `${String(site.id)}@${String(machine.id)}`, place: 'machine', machine: { id: machine.id!, label: machine.name! }, value: 60, is_set: true, changed_by: 'Ada Dijkstra' };
      return [{ ...site, value: 1800, is_set: true, changed_by: 'Ada Dijkstra' }, own];
    }));
  }

  #fillJobs(): void {
    const machines = this.tables.get('fleet.machine')?.rows ?? [];
    if (!this.tables.has('fleet.job') || machines.length < 3) return;
    for (const [n, state] of JOB_STATES.entries()) {
      const one = machines[n % machines.length]!;
      const job = this.#job('acme-sensors.measure', { id: String(one.id), label: String(one.name) }, {});
      Object.assign(job, { title: 'Measure now', state, target: one.name, created_at: new Date(Date.now() - (n + 1) * 4e5).toISOString(), ended_at: n > 4 ? new Date(Date.now() - n * 4e5).toISOString() : null, progress: n === 3 ? { fraction: 0.4, text: 'reading sensors' } : null });
      if (state === 'failed') job.problem = { code: 'unavailable', message: 'The sensor bus does not answer.', fix: 'Check the cable of the bus and run it again.', retryable: true };
      this.#listJob(job);
    }
  }
}

function output(name: string, domain: string | undefined, type: string | string[] | undefined): Json {
  if (name === 'line') return 'curl -fsSk --pinnedpubkey sha256//Jk9c2yQ0rXbH4mVt1Zl8oWn6uE3aPfGd5sIxKqTvRwY= https://10.0.0.1:7443/install | sh -s -- bwj_3kX9mQ2vT7nR4pLs8WdYfHc6';
  if (domain === 'secret') return 'bwj_3kX9mQ2vT7nR4pLs8WdYfHc6';
  if (domain === 'time') return new Date(Date.now() + 36e5).toISOString();
  return type === 'integer' || type === 'number' ? 12 : type === 'boolean' ? true : 'g7';
}
