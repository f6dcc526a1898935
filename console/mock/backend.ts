// The administrator's HTTP API over the invented world, without a network.

import { PROBLEM_CODES, type Filter, type Job, type JsonObject, type Problem, type Query } from '../src/model/schema';
import type { World } from './world';

export interface Answer {
  status: number;
  body?: unknown;
  type?: string;
  cookie?: string;
  /** A file, in place of the body. */
  file?: { name: string; bytes: Uint8Array<ArrayBuffer> };
}

const STATUS: Partial<Record<(typeof PROBLEM_CODES)[number], number>> = { bad_request: 400, unauthenticated: 401, permission_denied: 403, not_found: 404, unknown_command: 404, conflict: 409, unavailable: 503 };

function refuse(code: Problem['code'], message: string, more: Partial<Problem> = {}): Answer {
  return { status: STATUS[code] ?? 500, body: { code, message, retryable: false, ...more }, type: 'application/problem+json' };
}

export function queryOf(parts: URLSearchParams): Query {
  const where = JSON.parse(parts.get('where') ?? '[]') as Filter[];
  const key = parts.get('key');
  if (key !== null) where.push({ field: '$key', op: 'eq', value: key });
  return {
    q: parts.get('q') ?? '', where, sort: (parts.get('sort') ?? '').split(',').filter(Boolean),
    fields: (parts.get('fields') ?? '').split(',').filter(Boolean),
    params: JSON.parse(parts.get('params') ?? '{}') as JsonObject,
    page: { limit: Number(parts.get('limit') ?? 100), ...(parts.get('after') ? { after: parts.get('after')! } : {}) },
  };
}

export function handle(world: World, method: string, address: string, body: JsonObject, signedIn: boolean): Answer {
  const { pathname, searchParams } = new URL(address, 'http://mock');
  const [, , , ...path] = pathname.split('/').map(decodeURIComponent);
  if (path[0] === 'session') return session(world, method, path.slice(1).join('/'), body, signedIn);
  if (!signedIn) return refuse('unauthenticated', 'Nobody is signed in.');
  if (path[0] === 'manifests') return { status: 200, body: world.manifests };
  if (path[0] === 'commands') return command(world, path[1] ?? '', body);
  if (path[0] === 'jobs') return job(world, method, path[1] ?? '', path[2]);
  return view(world, path, searchParams);
}

function session(world: World, method: string, part: string, body: JsonObject, signedIn: boolean): Answer {
  const opened: Answer = { status: 200, body: {}, cookie: 'bailiwick_session=mock; Path=/; HttpOnly; SameSite=Strict' };
  if (method === 'GET') {
    if (!signedIn) return refuse('unauthenticated', 'Nobody is signed in.');
    return { status: 200, body: { operator: world.operator, permissions: ['read', 'run', 'destroy', 'manage', 'audit'], version: '0.1.0', site: 'Harbour works', secure: false } };
  }
  if (method === 'DELETE') return { status: 204, cookie: 'bailiwick_session=; Path=/; Max-Age=0' };
  if (part === 'link') return body.token === 'used' ? refuse('unauthenticated', 'This link was used already or is too old.', { fix: 'Restart the administrator: it prints a new one.' }) : opened;
  if (part === 'setup') {
    if (String(body.password ?? '').length < 12) return refuse('bad_request', 'A password has at least 12 characters.', { field: 'password' });
    world.operator = { ...world.operator, name: String(body.name), setup: false };
    return opened;
  }
  if (part === 'password') return body.old === 'wrong' ? refuse('permission_denied', 'That is not your password.') : { status: 204 };
  return body.password === 'wrong' ? refuse('unauthenticated', 'Name or password is not right.') : opened;
}

function command(world: World, id: string, body: JsonObject): Answer {
  const found = world.registry.command(id);
  if (!found) return refuse('unknown_command', `There is no command ${id}.`);
  if (body.subnet === '10.9.0.0/16') return refuse('bad_request', 'A subnet may have at most 1,024 addresses.', { field: 'input.subnet', fix: 'Use a prefix of 22 or more.' });
  return { status: 202, body: { job: world.start(id, found.command, body).id } };
}

function job(world: World, method: string, id: string, part: string | undefined): Answer {
  const found = world.jobs.get(id);
  if (!found) return refuse('not_found', `There is no job ${id}.`);
  if (part === 'cancel' && method === 'POST') {
    world.cancel(id);
    return { status: 202, body: { job: id } };
  }
  if (part === 'streams') return { status: 200, type: 'application/octet-stream', file: fileOf(found) };
  return { status: 200, body: found };
}

/** The bytes that a command of the invented archive sends. */
function fileOf({ input }: Job): NonNullable<Answer['file']> {
  const path = String([input?.path].flat()[0] ?? '');
  const name = path.split('/').at(-1) ?? '';
  if (name.endsWith('.png')) return { name, bytes: Uint8Array.from(atob('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=='), (one) => one.charCodeAt(0)) };
  if (name.endsWith('.gz')) return { name, bytes: Uint8Array.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0]) };
  return { name, bytes: new TextEncoder().encode(`# ${path}\n<script>alert(1)</script>\n${'a line of text\n'.repeat(40)}`) };
}

function view(world: World, [name = '', id = '', part]: string[], parts: URLSearchParams): Answer {
  if (!world.view(name, id)) return refuse('not_found', `There is no view ${name}.${id}.`);
  const query = queryOf(parts);
  if (part === 'count') return { status: 200, body: { count: world.count(name, id, query) } };
  if (part === 'facets') return { status: 200, body: world.facets(name, id, query.fields ?? [], { ...query, fields: [] }) };
  const rows = world.rows(name, id, query);
  return rows && 'problem' in rows ? refuse('unavailable', rows.problem, { retryable: false }) : { status: 200, body: rows };
}
