// An invented module with a tree: what was on machines at some moments, a directory at a time.

import type { Columns, Field, JsonObject, Manifest, Query } from '../src/model/schema';
import { HOSTILE } from './values';

const SNAPSHOTS = 12;
const DAY_MS = 86_400_000;

export const archive: Manifest = {
  console: '1.0',
  plugin: { id: 'com.acme.archive', name: 'acme-archive', version: '1.2.0', title: 'Archive', icon: 'archive', order: 15 },
  types: {
    moment: {
      title: 'Moment', scope: 'site', key: ['id'], label: 'time', status: 'state', icon: 'clock', computed: { answered_by: 'administrator' },
      fields: {
        id: { title: 'Id', type: 'id', priority: 3 },
        time: { title: 'Time', type: 'time', priority: 1, sort: true },
        machine: { title: 'Machine', type: 'ref', ref: 'fleet.machine', priority: 1 },
        state: { title: 'State', type: 'status', priority: 1, values: { whole: { title: 'Complete', tone: 'success' }, part: { title: 'Incomplete', tone: 'warning' } } },
      },
    },
    entry: {
      title: 'Entry', title_plural: 'Entries', scope: 'site', key: ['path'], label: 'name', status: 'doubt', icon: 'file', computed: { answered_by: 'administrator' },
      fields: {
        path: { title: 'Path', type: 'path', priority: 3 },
        name: { title: 'Name', type: 'text', priority: 1, sort: true, search: true },
        kind: { title: 'Kind', type: 'enum', priority: 3, values: { directory: { title: 'Directory' }, file: { title: 'File' }, symlink: { title: 'Symbolic link', icon: 'link' } } },
        size: { title: 'Size', type: 'bytes', priority: 1, sort: true },
        modified: { title: 'Modified', type: 'time', priority: 1, sort: true },
        owner: { title: 'Owner', type: 'text', priority: 2 },
        doubt: { title: 'Doubt', type: 'status', priority: 2, values: { changed: { title: 'Changed while read', tone: 'warning' }, unreadable: { title: 'Not read whole', tone: 'danger' } } },
      },
    },
  },
  views: [
    { id: 'moments', kind: 'table', title: 'Moments', of: 'moment', sort: ['-time'], drill: 'entries', row: ['put-back'], empty: { title: 'Nothing was kept yet' } },
    {
      id: 'entries', kind: 'tree', title: 'Entries', of: 'entry', columns: ['kind', 'size', 'modified', 'owner', 'doubt', 'name'], icon: 'folder',
      params: { machine: { title: 'Machine', type: 'ref', ref: 'fleet.machine' }, moment: { title: 'Moment', type: 'ref', ref: 'moment' }, path: { title: 'Directory', type: 'path' } },
      tree: { param: 'path', field: 'path', branch: { field: 'kind', op: 'eq', value: 'directory' } },
      row: ['show', 'put-back', 'save'], bulk: ['put-back', 'save'],
    },
    { id: 'recent', kind: 'table', title: 'Recent', of: 'entry', icon: 'clock', params: { moment: { title: 'Moment', type: 'ref', ref: 'moment' } }, row: ['put-back'] },
  ],
  commands: [
    {
      id: 'put-back', title: 'Put back', title_many: 'Put back {n} entries', icon: 'restore', effect: 'write', bind: { moment: '$params.moment', path: 'path' },
      input: {
        type: 'object',
        properties: {
          moment: { type: 'string', title: 'Moment', 'x-options': { view: 'moments' } },
          path: { type: 'array', title: 'Paths', items: { type: 'string', 'x-type': 'path' } },
          to: { type: 'string', title: 'To', 'x-type': 'path' },
        },
      },
      output: { type: 'object', properties: { left: { type: 'integer', title: 'Left out' } } },
    },
    {
      id: 'save', title: 'Save', title_many: 'Save {n} entries', icon: 'download', effect: 'read', target: { on: 'administrator' }, bind: { moment: '$params.moment', path: 'path' },
      streams: [{ name: 'content', as: 'download', file: 'entries.tar' }],
      input: { type: 'object', properties: { moment: { type: 'string', title: 'Moment' }, path: { type: 'array', title: 'Paths', items: { type: 'string', 'x-type': 'path' } } } },
    },
    {
      id: 'show', title: 'Show', icon: 'eye', effect: 'read', target: { on: 'administrator' }, bind: { moment: '$params.moment', path: 'path' },
      streams: [{ name: 'content', as: 'preview' }],
      input: { type: 'object', properties: { moment: { type: 'string', title: 'Moment' }, path: { type: 'string', title: 'Path', 'x-type': 'path' } } },
    },
  ],
  state: { state: 'ok' },
};

/** Moments of the first machines, newest first. */
export function moments(machines: JsonObject[]): JsonObject[] {
  const newest = Date.UTC(2026, 10, 27, 3, 12, 9);
  return machines.slice(0, 3).flatMap((machine, m) => Array.from({ length: SNAPSHOTS }, (_, n): JsonObject => ({
    id: `s${m}${String(n).padStart(3, '0')}`, time: new Date(newest - n * DAY_MS - m * 3_600_000).toISOString(),
    machine: { id: machine.id!, label: machine.name! }, state: n % 5 === 3 ? 'part' : 'whole',
  })));
}

const DIRECTORIES: Record<string, string[]> = {
  '': ['etc', 'home', 'srv', 'var'],
  '/etc': ['apt', 'ssh', 'systemd'],
  '/etc/apt': ['sources.list.d'],
  '/home': ['ada', 'grace'],
  '/home/ada': ['Documents', 'Pictures'],
  '/srv': ['empty', 'many', 'refused'],
  '/var': ['log'],
};
const FILES: Record<string, string[]> = {
  '/etc': ['crontab', 'fstab', 'hostname', 'localtime', 'passwd'],
  '/etc/ssh': ['ssh_config', 'sshd_config'],
  '/home/ada': ['.bashrc', '.profile', 'notes.txt', ...HOSTILE.slice(0, 2)],
  '/home/ada/Documents': ['budget 2026.ods', 'letter.odt', 'tax.pdf'],
  '/home/ada/Pictures': ['harbour.jpg', 'lathe.png'],
  '/var/log': ['journal', 'syslog', 'syslog.1.gz'],
};

/** What is in one directory at one moment; files come and go with the days. */
export function entries(query: Query, fields: Record<string, Field>): Columns | { problem: string } {
  const path = String(query.params?.path ?? '');
  if (path === '/srv/refused') return { problem: 'This part of the archive cannot be read.' };
  const day = Number(String(query.params?.moment ?? '').slice(-3)) || 0;
  const rows: JsonObject[] = (DIRECTORIES[path] ?? []).map((name) => row(path, name, 'directory'));
  const files = path === '/srv/many' ? Array.from({ length: 30_000 }, (_, n) => `part-${String(n).padStart(5, '0')}.dat`) : (FILES[path] ?? []).filter((_, n) => (n + day) % 7 !== 6);
  rows.push(...files.map((name) => row(path, name, name === 'localtime' ? 'symlink' : 'file')));
  const [sort] = query.sort ?? [];
  const by = sort?.replace('-', '') ?? 'name';
  rows.sort((a, b) => (String(a[by] ?? '') < String(b[by] ?? '') ? -1 : 1) * (sort?.startsWith('-') ? -1 : 1));
  const from = Number(query.page?.after ?? 0);
  const limit = query.page?.limit ?? 100;
  const columns = query.fields?.length ? query.fields : Object.keys(fields);
  const shown = rows.slice(from, from + limit);
  return {
    columns,
    rows: shown.map((one) => columns.map((name) => one[name] ?? null)),
    keys: shown.map((one) => JSON.stringify([one.path])),
    ...(from + limit < rows.length ? { next: String(from + limit) } : {}),
  };
}

function row(above: string, name: string, kind: string): JsonObject {
  const size = [...above, ...name].reduce((sum, one) => (sum * 31 + one.charCodeAt(0)) % 9_999_991, 7);
  return {
    path: `${above}/${name}`, name, kind, size: kind === 'file' ? size : null, owner: above.startsWith('/home/ada') ? 'ada' : 'root',
    modified: new Date(Date.UTC(2026, 9, 1) + size * 400).toISOString().replace(/\.\d+Z/, 'Z'),
    doubt: name === 'syslog' ? 'changed' : name === 'tax.pdf' ? 'unreadable' : null,
  };
}
