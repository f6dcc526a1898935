// The invented administrator on a port of this machine: API, sockets and, where there is one, the built console with
// the headers the real one sends.

import { existsSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { WebSocketServer, type WebSocket } from 'ws';
import type { Columns, JsonObject, Query } from '../src/model/schema';
import { handle } from './backend';
import { World, type Options } from './world';

const CSP = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
const TYPES: Record<string, string> = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
const PACE_MS = 250;

export interface Mock {
  world: World;
  server: Server;
  address: string;
  close(): Promise<void>;
}

export type Middleware = (request: IncomingMessage, response: ServerResponse, next: () => void) => void;

/** Starts on a free port, or on `port`. `pages` serves what is not API; `dist` where it is absent. */
export async function serve(options: Options & { port?: number; dist?: string; pages?: Middleware } = {}): Promise<Mock> {
  const world = new World(options);
  const server = createServer((request, response) => void answer(world, options, request, response));
  const sockets = new WebSocketServer({ noServer: true });
  server.on('upgrade', (request, socket, head) => {
    if (!request.url?.startsWith('/api/')) return;
    sockets.handleUpgrade(request, socket, head, (one) => attach(world, one, request.url ?? ''));
  });
  await new Promise<void>((done) => server.listen(options.port ?? 0, '127.0.0.1', done));
  const at = server.address();
  const port = typeof at === 'object' && at ? at.port : 0;
  const close = async () => {
    world.stop();
    for (const one of sockets.clients) one.terminate();
    await new Promise((done) => server.close(done));
  };
  return { world, server, address: `http://127.0.0.1:${port}`, close };
}

async function answer(world: World, { dist, pages }: { dist?: string; pages?: Middleware }, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = request.url ?? '/';
  if (!url.startsWith('/api/')) {
    if (pages) return pages(request, response, () => response.writeHead(404).end());
    return file(dist ?? '', url, response);
  }
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  const body = text ? (JSON.parse(text) as JsonObject) : {};
  const signedIn = request.headers.cookie?.includes('bailiwick_session=mock') ?? false;
  const said = handle(world, request.method ?? 'GET', url, body, signedIn);
  if (said.file) {
    response.writeHead(said.status, { 'Content-Type': said.type ?? '', 'Content-Disposition': `attachment; filename*=UTF-8''${encodeURIComponent(said.file.name)}` });
    response.end(said.file.bytes);
    return undefined;
  }
  response.writeHead(said.status, { 'Content-Type': said.type ?? 'application/json', ...(said.cookie ? { 'Set-Cookie': said.cookie } : {}) });
  response.end(said.body === undefined ? '' : JSON.stringify(said.body));
  return undefined;
}

function file(dist: string, url: string, response: ServerResponse): void {
  const path = normalize(new URL(url, 'http://mock').pathname);
  const named = join(dist, path);
  const found = extname(path) !== '' && named.startsWith(dist) && existsSync(named) ? named : join(dist, 'index.html');
  response.writeHead(200, { 'Content-Type': TYPES[extname(found)] ?? 'application/octet-stream', 'Content-Security-Policy': CSP });
  response.end(readFileSync(found));
}

function attach(world: World, socket: WebSocket, url: string): void {
  const [, , , , id = '', part = ''] = url.split('/');
  if (part === 'events') follow(world, socket, id);
  else if (part === 'streams') stream(socket);
  else watch(world, socket);
}

function follow(world: World, socket: WebSocket, id: string): void {
  const job = world.jobs.get(id);
  socket.send(JSON.stringify(job ?? { problem: { code: 'not_found', message: `There is no job ${id}.` } }));
  if (!job || job.ended_at) return socket.close();
  const stop = world.watchJob(id, (event) => {
    socket.send(JSON.stringify(event));
    if (job.ended_at) {
      socket.send(JSON.stringify(job));
      socket.close();
    }
  });
  socket.on('close', stop);
  return undefined;
}

function stream(socket: WebSocket): void {
  let line = 0;
  const timer = setInterval(() => {
    line += 1;
    socket.send(Buffer.from(`10.0.0.${line} port 9100 ${line % 3 === 0 ? 'open' : 'closed'}\n`));
  }, 60);
  socket.on('close', () => clearInterval(timer));
}

interface Watched {
  type: string;
  name: string;
  view: string;
  query: Query;
  shown: Columns;
}

function watch(world: World, socket: WebSocket): void {
  const watched = new Map<number, Watched>();
  const touched = new Set<string>();
  const stop = world.watch((types) => types.forEach((type) => touched.add(type)));
  const timer = setInterval(() => {
    for (const [id, one] of watched) if (touched.has(one.type)) patch(id, one);
    touched.clear();
  }, PACE_MS);
  const patch = (id: number, one: Watched) => {
    const next = world.rows(one.name, one.view, one.query)!;
    if ('problem' in next) return;
    const message = difference(id, one.shown, next);
    one.shown = next;
    if (message) socket.send(JSON.stringify(message));
  };
  socket.on('message', (data) => {
    const asked = JSON.parse(String(data)) as { subscribe?: number; unsubscribe?: number; name: string; view: string; query: Query };
    if (asked.unsubscribe !== undefined) watched.delete(asked.unsubscribe);
    if (asked.subscribe === undefined) return;
    const { subscribe: id, name, view, query } = asked;
    const shown = world.rows(name, view, query);
    const found = world.view(name, view);
    if (!shown || !found || 'problem' in shown) return socket.send(JSON.stringify({ id, problem: { code: 'not_found', message: 'There is no such view.' } }));
    watched.set(id, { type: found.type, name, view, query, shown });
    return socket.send(JSON.stringify({ id, rows: shown }));
  });
  socket.on('close', () => {
    clearInterval(timer);
    stop();
  });
}

function difference(id: number, before: Columns, now: Columns): object | undefined {
  const was = new Map(before.keys.map((key, n) => [key, before.rows[n]!]));
  const patches: object[] = [];
  now.keys.forEach((key, n) => {
    const old = was.get(key);
    was.delete(key);
    const set = Object.fromEntries(now.columns.map((name, m) => [name, now.rows[n]![m]] as const).filter(([, value], m) => !old || JSON.stringify(old[m]) !== JSON.stringify(value)));
    if (Object.keys(set).length > 0) patches.push({ key, set });
  });
  for (const key of was.keys()) patches.push({ key, gone: true });
  const moved = before.keys.join() !== now.keys.join();
  return patches.length > 0 || moved ? { id, patches, ...(moved ? { order: now.keys } : {}) } : undefined;
}
