// One WebSocket for everything that changes by itself. It connects when the first subscription comes, says again what
// is wanted after every reconnection, and backs off while the administrator is away.

import type { Columns, JsonObject, Patch, Problem, Query } from '../model/schema';
import { socketAddress } from './http';

export interface LiveMessage {
  id?: number;
  rows?: Columns;
  patches?: Patch[];
  order?: string[];
  problem?: Problem;
  manifests?: string;
}

export type LiveState = 'idle' | 'connecting' | 'open' | 'lost';
type Listener = (message: LiveMessage) => void;

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

export class Live {
  #socket: WebSocket | undefined;
  #wanted = new Map<number, { ask: JsonObject; listener: Listener }>();
  #states = new Set<() => void>();
  #next = 1;
  #wait = FIRST_WAIT_MS;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #active = false;
  state: LiveState = 'idle';
  onManifests: (etag: string) => void = () => undefined;
  /** The connection was refused or lost; the session may be over. */
  onLost: () => void = () => undefined;

  start(): void {
    if (this.#active) return;
    this.#active = true;
    this.#connect();
  }

  stop(): void {
    this.#active = false;
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
    this.#tell('idle');
  }

  /** Tells the rows of a query, then how they change, until the returned function is called. */
  rows(name: string, view: string, query: Query, listener: Listener): () => void {
    return this.#subscribe({ name, view, query: query as unknown as JsonObject }, listener);
  }

  watchState = (listener: () => void): (() => void) => {
    this.#states.add(listener);
    return () => this.#states.delete(listener);
  };

  #subscribe(ask: JsonObject, listener: Listener): () => void {
    const id = this.#next++;
    this.#wanted.set(id, { ask, listener });
    this.#send({ subscribe: id, ...ask });
    return () => {
      this.#wanted.delete(id);
      this.#send({ unsubscribe: id });
    };
  }

  #send(message: JsonObject): void {
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(message));
  }

  #connect(): void {
    this.#tell(this.state === 'lost' ? 'lost' : 'connecting');
    const socket = new WebSocket(socketAddress('/api/v1/live'));
    this.#socket = socket;
    socket.onopen = () => {
      this.#wait = FIRST_WAIT_MS;
      this.#tell('open');
      for (const [id, { ask }] of this.#wanted) this.#send({ subscribe: id, ...ask });
    };
    socket.onmessage = (event) => this.#read(event.data);
    socket.onclose = () => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      this.#tell('lost');
      this.onLost();
      if (!this.#active) return;
      this.#timer = setTimeout(() => this.#connect(), this.#wait * (0.75 + Math.random() / 2));
      this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT_MS);
    };
  }

  #read(data: unknown): void {
    let message: LiveMessage;
    try {
      message = JSON.parse(String(data)) as LiveMessage;
    } catch {
      return;
    }
    if (message.manifests !== undefined) this.onManifests(message.manifests);
    if (message.id !== undefined) this.#wanted.get(message.id)?.listener(message);
  }

  #tell(state: LiveState): void {
    if (state === this.state) return;
    this.state = state;
    for (const listener of this.#states) listener();
  }
}

export const live = new Live();
