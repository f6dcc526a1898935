// Invented modules: one with every domain type and every kind of view, one that adds columns to machines, one that does
// not run. The core's own manifest is the real one.

import core from '../../crates/fleet/src/manifest.json' with { type: 'json' };
import { archive } from './archive';
import { FIELD_TYPES, VIEW_KINDS, type Field, type Manifest, type View } from '../src/model/schema';

const STATES: Field = {
  title: 'State', type: 'status', priority: 1, facet: true, sort: true,
  values: {
    ready: { title: 'Ready', tone: 'success', rank: 2 },
    printing: { title: 'Printing', tone: 'active', rank: 1 },
    low: { title: 'Toner low', tone: 'warning', rank: 0 },
    jammed: { title: 'Jammed', tone: 'danger', rank: 0 },
    asleep: { title: 'Asleep', tone: 'neutral', rank: 3, icon: 'moon' },
  },
};

const everyField: Record<string, Field> = Object.fromEntries(FIELD_TYPES.map((type, n) => [`f_${type}`, {
  title: type[0]!.toUpperCase() + type.slice(1), type, priority: n < 8 ? 1 : n < 18 ? 2 : 3, sort: true,
  ...(type === 'status' ? { values: STATES.values } : {}),
  ...(type === 'enum' ? { values: { a4: { title: 'A4' }, letter: { title: 'Letter' }, legal: { title: 'Legal' } }, facet: true } : {}),
  ...(type === 'ref' || type === 'refs' ? { ref: 'fleet.machine' } : {}),
  ...(type === 'percent' ? { warn: 70, danger: 90 } : {}),
} as Field]));

const kinds: View[] = VIEW_KINDS.filter((kind) => !['table', 'detail', 'form', 'settings', 'markdown'].includes(kind)).map((kind) => ({
  id: `kind-${kind}`, kind, title: `As ${kind}`, of: 'sample', ...(kind === 'topology' ? { fallback: 'samples' } : {}),
}));

export const printers: Manifest = {
  console: '1.0',
  plugin: { id: 'com.acme.printers', name: 'acme-printers', version: '2.4.1', title: 'Printers', vendor: 'Acme', icon: 'printer', order: 20, description: 'Finds printers in the networks of machines and keeps an eye on paper and toner.', keywords: ['toner', 'paper'] },
  types: {
    printer: {
      title: 'Printer', scope: 'machine', key: ['serial'], label: 'serial', status: 'state', icon: 'printer', stored: { history: true },
      fields: {
        serial: { title: 'Serial', type: 'id', priority: 1, search: true, sort: true },
        state: STATES,
        model: { title: 'Model', type: 'text', priority: 1, search: true, facet: true, sort: true },
        address: { title: 'Address', type: 'ip', priority: 2, search: true },
        toner: { title: 'Toner used', type: 'percent', priority: 1, sort: true, warn: 75, danger: 92 },
        pages: { title: 'Pages', type: 'int', priority: 2, sort: true },
        load: { title: 'Load, 24 h', type: 'series', priority: 2 },
        labels: { title: 'Labels', type: 'tags', priority: 3, facet: true },
        seen: { title: 'Seen', type: 'time', priority: 2, sort: true },
        notes: { title: 'Notes', type: 'markdown', priority: 3 },
      },
    },
    sample: { title: 'Sample', scope: 'site', key: ['f_id'], label: 'f_text', status: 'f_status', stored: {}, fields: { ...everyField, f_text: { ...everyField.f_text!, search: true } } },
    tray: { title: 'Tray', scope: 'site', key: ['id'], label: 'id', stored: {}, fields: { id: { title: 'Tray', type: 'id' } } },
  },
  views: [
    { id: 'printers', kind: 'table', title: 'Printers', of: 'printer', summary: 'state', sort: ['state'], select: true, actions: ['find', 'import'], row: ['print-test', 'forget'], bulk: ['print-test', 'forget'], drill: 'printer' },
    { id: 'printer', kind: 'detail', title: 'Printer', of: 'printer', hidden: true, row: ['print-test', 'forget'], sections: [{ title: 'State', fields: ['state', 'toner', 'pages', 'load', 'seen'] }, { title: 'Notes', fields: ['notes'] }, { title: 'On the same machine', view: 'printers', bind: { machine: 'machine' } }] },
    { id: 'samples', kind: 'table', title: 'Every type', of: 'sample', icon: 'box', drill: 'sample' },
    { id: 'sample', kind: 'detail', title: 'Sample', of: 'sample', hidden: true },
    { id: 'trays', kind: 'table', title: 'Trays', of: 'tray', icon: 'package', empty: { title: 'No trays were counted', body: 'Counting looks into every printer, which takes a minute.', action: 'find' } },
    { id: 'find-form', kind: 'form', title: 'Find printers', command: 'find' },
    { id: 'guide', kind: 'markdown', title: 'Guide', icon: 'file', text: '# Printers\n\nWhat this module does, in **short**:\n\n- asks every machine for its printers\n- warns when *toner* runs low\n\n> Nothing leaves your network.\n\n```\nbailiwick acme-printers find --subnet 10.0.0.0/24\n```\n\nSee [the manual](https://example.com/manual). <script>alert(1)</script>' },
    { id: 'settings', kind: 'settings', title: 'Settings', of: 'fleet.setting', icon: 'settings', filter: [{ field: 'module', op: 'eq', value: 'acme-printers' }], sort: ['title', 'place'], row: ['fleet.change-setting', 'fleet.reset-setting'] },
    ...kinds,
  ],
  settings: {
    warn_at: { title: 'Warn when this much toner is used', type: 'percent', default: 75 },
    every: { title: 'Ask printers every', description: 'Each question wakes a sleeping printer.', type: 'duration', default: 900 },
    wake: { title: 'Wake sleeping printers', type: 'bool', default: true },
    leave_out: { title: 'Leave out', description: 'Names or addresses of printers that are never asked.', type: 'tags', default: [] },
  },
  commands: [
    {
      id: 'find', title: 'Find printers', title_many: 'Find printers from {n} machines', icon: 'search', effect: 'write', progress: true,
      description: 'Looks through a subnet from the chosen machines and lists every printer that answers.',
      streams: [{ name: 'trace', direction: 'out', title: 'Trace' }],
      input: {
        type: 'object', required: ['subnet', 'how'],
        properties: {
          subnet: { type: 'string', title: 'Subnet', 'x-type': 'cidr', default: '10.0.0.0/24', description: 'Every address in it is asked once.' },
          how: { title: 'How to ask', oneOf: [{ const: 'snmp', title: 'SNMP' }, { const: 'ipp', title: 'Internet Printing Protocol' }, { const: 'both', title: 'Both' }], default: 'both' },
          community: { type: 'string', title: 'Community', 'x-type': 'secret', 'x-when': { field: 'how', op: 'ne', value: 'ipp' } },
          wake: { type: 'boolean', title: 'Wake sleeping printers', default: true },
          timeout: { type: 'integer', title: 'Wait at most', 'x-type': 'duration', default: 90, 'x-ui': { level: 'advanced' } },
          parallel: { type: 'integer', title: 'Ask at once', minimum: 1, maximum: 64, default: 16, 'x-ui': { level: 'advanced' } },
          skip: { type: 'array', title: 'Leave out', items: { type: 'string', 'x-type': 'ip' }, 'x-ui': { level: 'advanced' } },
        },
      },
      output: { type: 'object', properties: { found: { type: 'integer', title: 'Printers found' } } },
    },
    {
      id: 'print-test', title: 'Print a test page', title_many: 'Print {n} test pages', icon: 'printer', effect: 'write', target: { on: 'administrator' }, bind: { serial: 'serial' },
      input: { type: 'object', required: ['serial'], properties: { serial: { type: 'string', title: 'Printer', 'x-options': { view: 'printers', value: 'serial', label: 'serial' } }, copies: { type: 'integer', title: 'Copies', minimum: 1, maximum: 9, default: 1 } } },
    },
    {
      id: 'forget', title: 'Forget printer', title_many: 'Forget {n} printers', icon: 'trash', effect: 'destroy', target: { on: 'administrator' }, bind: { serial: 'serial' },
      danger: { text: 'Its page counts and history are deleted and do not come back.', confirm: 'type' },
      input: { type: 'object', required: ['serial'], properties: { serial: { type: 'string', title: 'Printer' } } },
    },
    {
      id: 'import', title: 'Import a list', icon: 'file', effect: 'write', target: { on: 'administrator' }, permission: 'acme-printers.import',
      input: { type: 'object', properties: { list: { type: 'array', title: 'Addresses', items: { type: 'string', 'x-type': 'ip' } } } },
    },
  ],
  state: { state: 'ok' },
};

export const sensors: Manifest = {
  console: '1.0',
  plugin: { id: 'com.acme.sensors', name: 'acme-sensors', version: '1.0.0', title: 'Sensors', icon: 'activity', order: 10 },
  types: {
    reading: {
      title: 'Reading', scope: 'machine', key: [], label: 'system', stored: {}, extends: { type: 'fleet.machine' },
      fields: {
        person: { title: 'Person', type: 'user', priority: 1, search: true, sort: true },
        system: { title: 'System', type: 'text', priority: 1, search: true, facet: true, sort: true },
        disk: { title: 'Disk used', type: 'percent', priority: 1, sort: true, warn: 75, danger: 90 },
        cpu: { title: 'CPU, 24 h', type: 'series', priority: 2 },
        memory: { title: 'Memory', type: 'bytes', priority: 2, sort: true },
      },
    },
  },
  views: [{ id: 'readings', kind: 'table', title: 'Sensors', of: 'reading' }],
  commands: [{ id: 'measure', title: 'Measure now', title_many: 'Measure {n} machines', icon: 'activity', effect: 'write', progress: true, input: { type: 'object', properties: {} } }],
  state: { state: 'ok' },
};

export const broken: Manifest = {
  console: '1.0',
  plugin: { id: 'com.northwind.scales', name: 'northwind-scales', version: '0.3.0', title: 'Scales', icon: 'box', order: 30 },
  views: [{ id: 'scales', kind: 'table', title: 'Scales', of: 'scale' }],
  types: { scale: { title: 'Scale', scope: 'site', key: ['id'], label: 'id', stored: {}, fields: { id: { title: 'Id', type: 'id' } } } },
  state: { state: 'quarantined', cause: 'It crashed 5 times in 10 minutes: “index out of bounds: the len is 3”.', remedy: 'Update the module, then start it again from its row in Plugins.' },
};

export const manifests: Manifest[] = [{ ...(core as unknown as Manifest), state: { state: 'ok' } }, sensors, archive, printers, broken];
