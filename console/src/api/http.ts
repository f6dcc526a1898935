// Requests to the administrator. Every failure leaves as one `ProblemError` with a plain sentence and, where there is
// one, a way out.

import { PROBLEM_CODES, type Columns, type Filter, type Job, type JsonObject, type Problem, type Query } from '../model/schema';

export class ProblemError extends Error {
  readonly problem: Problem;
  readonly status: number;

  constructor(problem: Problem, status: number) {
    super(problem.message);
    this.problem = problem;
    this.status = status;
  }
}

/** Called when the administrator says that nobody is signed in (any more). */
let signedOut: () => void = () => undefined;
export function onSignedOut(listener: () => void): void {
  signedOut = listener;
}

export async function request<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers: { Accept: 'application/json', ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...headers },
      body: body === undefined ? null : JSON.stringify(body),
      credentials: 'same-origin',
      cache: method === 'GET' ? 'no-cache' : 'no-store',
    });
  } catch {
    throw new ProblemError(
      {
        code: 'unavailable',
        message: 'The administrator does not answer.',
        fix: 'Check that it is running and that this computer can reach it; this page tries again by itself.',
        retryable: true,
      },
      0,
    );
  }
  if (!response.ok) throw new ProblemError(await readProblem(response), response.status);
  if (response.status === 204) return undefined as T;
  const text = await response.text();
  return (text === '' ? undefined : JSON.parse(text)) as T;
}

async function readProblem(response: Response): Promise<Problem> {
  const text = await response.text().catch(() => '');
  const problem = asProblem(text) ?? {
    code: 'internal' as const,
    message: `The administrator answered ${response.status} ${response.statusText}.`.replace(' .', '.'),
  };
  if (response.status === 401 && !response.url.endsWith('/api/v1/session')) signedOut();
  return problem;
}

function asProblem(text: string): Problem | undefined {
  try {
    const read: unknown = JSON.parse(text);
    if (typeof read !== 'object' || read === null || !('message' in read)) return undefined;
    const known = 'code' in read && (PROBLEM_CODES as readonly unknown[]).includes(read.code);
    return { ...(read as Problem), code: known ? (read as Problem).code : 'internal', message: String(read.message) };
  } catch {
    return undefined;
  }
}

/** Any thrown thing as a problem that can be shown. */
export function problemOf(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem;
  return { code: 'internal', message: error instanceof Error ? error.message : String(error) };
}

export interface Address {
  name: string;
  view: string;
}

export function queryString(query: Query, more: Record<string, string> = {}): string {
  const parts = new URLSearchParams();
  if (query.q) parts.set('q', query.q);
  if (query.where?.length) parts.set('where', JSON.stringify(query.where));
  if (query.sort?.length) parts.set('sort', query.sort.join(','));
  if (query.page?.limit) parts.set('limit', String(query.page.limit));
  if (query.page?.after) parts.set('after', query.page.after);
  if (query.fields?.length) parts.set('fields', query.fields.join(','));
  if (query.at) parts.set('at', query.at);
  if (query.params && Object.keys(query.params).length > 0) parts.set('params', JSON.stringify(query.params));
  for (const [name, value] of Object.entries(more)) parts.set(name, value);
  const text = parts.toString();
  return text === '' ? '' : `?${text}`;
}

function place({ name, view }: Address): string {
  return `/api/v1/${encodeURIComponent(name)}/${encodeURIComponent(view)}`;
}

export async function fetchColumns(at: Address, query: Query): Promise<Columns> {
  const read = await request<Columns>('GET', place(at) + queryString(query), undefined, {
    Accept: 'application/vnd.bailiwick.columns+json',
  });
  return { ...read, keys: read.keys ?? read.rows.map((row, n) => String(row[0] ?? n)) };
}

export async function fetchCount(at: Address, query: Query): Promise<number> {
  return (await request<{ count: number }>('GET', `${place(at)}/count${queryString(query)}`)).count;
}

export type Facets = Record<string, { value: string | number | boolean | null; count: number }[]>;

export async function fetchFacets(at: Address, fields: string[], query: Query): Promise<Facets> {
  return request<Facets>('GET', `${place(at)}/facets${queryString(query, { fields: fields.join(',') })}`);
}

export function exportAddress(at: Address, query: Query): string {
  return place(at) + queryString(query, { format: 'csv' });
}

export async function startCommand(id: string, body: JsonObject): Promise<string> {
  const key = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
  const { job } = await request<{ job: string }>('POST', `/api/v1/commands/${encodeURIComponent(id)}`, body, {
    'Idempotency-Key': key,
  });
  return job;
}

export function fetchJob(id: string): Promise<Job> {
  return request<Job>('GET', `/api/v1/jobs/${encodeURIComponent(id)}`);
}

/** Where the bytes of a stream are, once, for who saves them. */
export function fileAddress(job: string, stream: string): string {
  return `/api/v1/jobs/${encodeURIComponent(job)}/streams/${encodeURIComponent(stream)}/file`;
}

/** Has the browser save a stream as a file, as it comes; its name comes with it. */
export function saveFile(job: string, stream: string): void {
  const link = document.createElement('a');
  link.href = fileAddress(job, stream);
  link.download = '';
  document.body.append(link);
  link.click();
  link.remove();
}

export interface Beginning {
  name: string;
  bytes: Uint8Array<ArrayBuffer>;
  /** There was more than was taken. */
  cut: boolean;
}

/** The first bytes of a stream. */
export async function readBeginning(job: string, stream: string, most: number, signal: AbortSignal): Promise<Beginning> {
  const response = await fetch(fileAddress(job, stream), { credentials: 'same-origin', cache: 'no-store', signal });
  if (!response.ok) throw new ProblemError(await readProblem(response), response.status);
  const pieces: Uint8Array[] = [];
  let length = 0;
  const reader = response.body?.getReader();
  while (reader && length < most) {
    const { done, value } = await reader.read();
    if (done) break;
    pieces.push(value);
    length += value.length;
  }
  await reader?.cancel().catch(() => undefined);
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const one of pieces) {
    bytes.set(one, at);
    at += one.length;
  }
  return { name: fileName(response.headers.get('Content-Disposition')), bytes: bytes.slice(0, most), cut: length >= most };
}

function fileName(disposition: string | null): string {
  const exact = /filename\*=UTF-8''([^;]+)/.exec(disposition ?? '')?.[1];
  try {
    return decodeURIComponent(exact ?? '');
  } catch {
    return '';
  }
}

export function cancelJob(id: string): Promise<void> {
  return request<void>('POST', `/api/v1/jobs/${encodeURIComponent(id)}/cancel`, {});
}

export function socketAddress(path: string): string {
  const { protocol, host } = window.location;
  return `${protocol === 'https:' ? 'wss' : 'ws'}://${host}${path}`;
}

/** Only the row with this key. */
export function withKey(key: string): Filter {
  return { field: '$key', op: 'eq', value: key };
}
