// The shapes of `console/1` as the administrator serves them. They mirror `crates/schema`; absent means the default.

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = Record<string, Json>;

export const FIELD_TYPES = [
  'text', 'markdown', 'code', 'id', 'int', 'decimal', 'bool', 'bytes', 'rate', 'percent', 'duration', 'time', 'period', 'hours',
  'ip', 'mac', 'cidr', 'port', 'url', 'path', 'version', 'hash', 'enum', 'status', 'tags', 'user', 'group', 'ref',
  'refs', 'series', 'progress', 'money', 'secret', 'icon', 'json',
] as const;
export type FieldType = (typeof FIELD_TYPES)[number];

export type Tone = 'success' | 'warning' | 'danger' | 'neutral' | 'info' | 'active';

export interface StatusValue {
  title: string;
  tone?: Tone;
  rank?: number;
  icon?: string;
}

export interface Field {
  title: string;
  type: FieldType;
  priority?: number;
  many?: boolean;
  search?: boolean;
  sort?: boolean;
  facet?: boolean;
  ref?: string;
  values?: Record<string, StatusValue>;
  warn?: number;
  danger?: number;
  width?: number;
  description?: string;
}

export interface Type {
  title: string;
  title_plural?: string;
  description?: string;
  icon?: string;
  scope: 'machine' | 'site';
  key?: string[];
  label: string;
  status?: string;
  fields: Record<string, Field>;
  stored?: { history?: boolean; retention?: string };
  computed?: { answered_by: 'administrator' | 'machine' };
  extend?: boolean;
  extends?: { type: string; fields?: string[] };
}

export const VIEW_KINDS = [
  'table', 'detail', 'cards', 'tree', 'log', 'timeline', 'chart', 'form', 'settings', 'terminal', 'desktop', 'topology',
  'dashboard', 'markdown', 'wizard',
] as const;
export type ViewKind = (typeof VIEW_KINDS)[number];

export interface Section {
  title: string;
  fields?: string[];
  view?: string;
  bind?: Record<string, string>;
}

/** Where the rows below a row of a tree come from. */
export interface Tree {
  /** Param that says below what rows are listed. */
  param: string;
  /** Field of a row with the value of that param for what is below it. */
  field: string;
  /** Rows that may have others below them. */
  branch?: Predicate;
}

export interface View {
  id: string;
  kind: ViewKind;
  title: string;
  description?: string;
  of?: string;
  params?: Record<string, Field>;
  columns?: string[];
  sort?: string[];
  filter?: Filter[];
  select?: boolean;
  actions?: string[];
  row?: string[];
  bulk?: string[];
  drill?: string;
  summary?: string;
  empty?: { title: string; body?: string; action?: string };
  sections?: Section[];
  tree?: Tree;
  text?: string;
  command?: string;
  requires?: string[];
  fallback?: string;
  hidden?: boolean;
  icon?: string;
}

export const OPS = ['eq', 'ne', 'lt', 'le', 'gt', 'ge', 'in', 'contains', 'prefix', 'empty'] as const;
export type Op = (typeof OPS)[number];

export interface Filter {
  field: string;
  op?: Op;
  value?: Json;
}

export type Predicate =
  | { field: string; op: Op; value?: Json }
  | { all: Predicate[] }
  | { any: Predicate[] }
  | { not: Predicate };

export type TargetKind = 'machine' | 'group' | 'administrator' | 'none';

/** Rows for which a command is due. */
export interface Offer {
  of?: string;
  where: Filter[];
  text: string;
  text_many: string;
}

export interface Stream {
  name: string;
  direction?: 'out' | 'in' | 'both';
  title?: string;
  /** What is done with its bytes beside showing them as text. */
  as?: 'download' | 'preview';
  file?: string;
}

export interface Command {
  id: string;
  title: string;
  title_many?: string;
  description?: string;
  icon?: string;
  target?: { on?: TargetKind };
  modes?: ('managed' | 'standalone')[];
  streams?: Stream[];
  permission?: string;
  effect?: 'read' | 'write' | 'destroy';
  danger?: { when?: Predicate; text: string; confirm?: 'ask' | 'type' };
  preview?: string;
  progress?: boolean;
  cancel?: 'safe' | 'unsafe' | 'no';
  timeout_seconds?: number;
  expires_seconds?: number;
  schedule?: boolean;
  undo?: string;
  examples?: JsonObject[];
  input?: InputSchema;
  output?: OutputSchema;
  bind?: Record<string, string>;
  offer?: Offer;
}

export interface InputProperty {
  type?: string | string[];
  title?: string;
  description?: string;
  default?: Json;
  const?: Json;
  enum?: Json[];
  oneOf?: InputProperty[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  format?: string;
  items?: InputProperty;
  minItems?: number;
  maxItems?: number;
  uniqueItems?: boolean;
  properties?: Record<string, InputProperty>;
  required?: string[];
  'x-type'?: FieldType;
  /** Type that a `ref` in a result points to. */
  'x-ref'?: string;
  'x-options'?: { view: string; value?: string; label?: string };
  'x-when'?: Predicate;
  'x-ui'?: { level?: string; multiline?: boolean };
}

export interface InputSchema {
  type: string;
  title?: string;
  description?: string;
  properties?: Record<string, InputProperty>;
  required?: string[];
}

export interface OutputSchema {
  type?: string | string[];
  title?: string;
  properties?: Record<string, InputProperty>;
}

export interface Setting {
  title: string;
  description?: string;
  type: FieldType;
  default: Json;
}

export interface Manifest {
  console: string;
  plugin: {
    id: string;
    name: string;
    version: string;
    title: string;
    description?: string;
    vendor?: string;
    icon?: string;
    order?: number;
    keywords?: string[];
  };
  types?: Record<string, Type>;
  views?: View[];
  commands?: Command[];
  settings?: Record<string, Setting>;
  permissions?: { id: string; title: string; description?: string; roles?: string[] }[];
  /** How the plugin is at the moment; not part of what the plugin declares. */
  state?: { state: string; cause?: string | null; remedy?: string | null };
}

export interface Query {
  q?: string;
  where?: Filter[];
  sort?: string[];
  page?: { after?: string; limit?: number };
  fields?: string[];
  group?: string;
  at?: string;
  params?: JsonObject;
}

export interface Columns {
  columns: string[];
  rows: Json[][];
  keys: string[];
  next?: string | null;
}

export type Patch = { key: string; set: JsonObject } | { key: string; gone: true };

export const PROBLEM_CODES = [
  'bad_request', 'unknown_command', 'unauthenticated', 'permission_denied', 'not_found', 'conflict', 'cancelled',
  'deadline', 'busy', 'unavailable', 'unsupported_by_host', 'quota', 'panic', 'crashed', 'internal',
] as const;

export interface Problem {
  code: (typeof PROBLEM_CODES)[number];
  message: string;
  field?: string;
  fix?: string;
  retryable?: boolean;
  retry_after_ms?: number;
  causes?: Problem[];
  trace_id?: string;
}

export const JOB_STATES = [
  'queued', 'assigned', 'accepted', 'running', 'waiting', 'succeeded', 'failed', 'incomplete', 'cancelled', 'expired',
  'refused', 'unknown',
] as const;
export type JobState = (typeof JOB_STATES)[number];

export interface Progress {
  fraction?: number | null;
  text?: string;
  /** How much is done; rate and time left are made of two of them and their times. */
  amount?: Amount | null;
}

export interface Amount {
  done: number;
  total?: number | null;
  unit: 'bytes' | 'items';
}

export interface Job {
  id: string;
  parent?: string | null;
  command: string;
  title?: string;
  state: JobState;
  target?: Json;
  machine?: { id: string; label?: string } | null;
  progress?: Progress | null;
  created_at?: string;
  started_at?: string | null;
  ended_at?: string | null;
  operator?: string | { id: string; label?: string; name?: string } | null;
  input?: JsonObject | null;
  result?: Json;
  problem?: Problem | null;
  streams?: (string | { name: string; title?: string; direction?: string })[];
  children?: { id: string; machine?: { id: string; label?: string } | null; state: JobState; progress?: Progress | null }[];
  log?: { at: string; level: string; text: string }[];
}

export type JobEvent =
  | { event: 'state'; state: JobState }
  | { event: 'progress'; progress: Progress }
  | { event: 'log'; at: string; level: string; text: string }
  | { event: 'partial'; machine: string; state: JobState }
  | { event: 'ask'; question: JsonObject }
  | { event: 'result'; result: Json }
  | { event: 'problem'; problem: Problem };
