// The whole console in a document, on the invented administrator.

import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { act } from 'react';
import { createRoot } from 'react-dom/client';
import { handle } from '../mock/backend';
import { World, type Options } from '../mock/world';
import { App } from '../src/app';
import type { JsonObject } from '../src/model/schema';

const DEADLINE_MS = 45_000;

export interface Stage {
  world: World;
  errors: string[];
  /** Waits until `found` finds something. */
  until<T>(found: () => T | null | undefined | false): Promise<T>;
  go(path: string): Promise<void>;
  text(): string;
  close(): Promise<void>;
}

export async function stage(path: string, options: Options & { signedIn?: boolean } = {}): Promise<Stage> {
  const world = new World({ machines: 300, ...options });
  let signedIn = options.signedIn ?? true;
  const errors: string[] = [];
  const consoleError = console.error;
  console.error = (...said: unknown[]) => { if (!String(said[0]).includes('not wrapped in act')) errors.push(said.map(String).join(' ').slice(0, 300)); };
  globalThis.fetch = ((address: string, init: RequestInit = {}) => {
    const body = init.body ? (JSON.parse(String(init.body)) as JsonObject) : {};
    const said = handle(world, init.method ?? 'GET', String(address), body, signedIn);
    if (said.cookie) signedIn = !said.cookie.includes('Max-Age=0');
    if (said.file) return Promise.resolve(new Response(said.file.bytes, { headers: { 'Content-Disposition': `attachment; filename*=UTF-8''${encodeURIComponent(said.file.name)}` } }));
    const text = said.body === undefined ? null : JSON.stringify(said.body);
    return Promise.resolve(new Response(said.status === 204 ? null : text, { status: said.status }));
  }) as typeof fetch;
  window.history.replaceState(null, '', path);
  const box = document.createElement('div');
  document.body.append(box);
  const root = createRoot(box);
  const client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  await act(async () => root.render(<QueryClientProvider client={client}><App /></QueryClientProvider>));
  const turn = () => act(async () => { await new Promise((done) => setTimeout(done, 1)); });
  return {
    world,
    errors,
    async until(found) {
      // Awaits the event, not a time: the deadline only ends a test that would hang.
      for (const from = Date.now(); Date.now() - from < DEADLINE_MS;) {
        const one = found();
        if (one) return one;
        await turn();
      }
      throw new Error(`it never came; the page says: ${document.body.textContent?.slice(0, 400)}\n${errors.join('\n').slice(0, 800)}`);
    },
    async go(to) {
      await act(async () => window.history.pushState(null, '', to));
      await turn();
    },
    text: () => document.body.textContent ?? '',
    async close() {
      await act(async () => root.unmount());
      client.clear();
      world.stop();
      console.error = consoleError;
    },
  };
}
