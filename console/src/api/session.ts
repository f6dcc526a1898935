// Who is signed in.

import { queryOptions } from '@tanstack/react-query';
import { ProblemError, request } from './http';

export interface Session {
  operator: { id: string; name: string; role: string; setup?: boolean };
  permissions: string[];
  version: string;
  site: string;
  secure?: boolean;
}

/** The session, or null where nobody is signed in. */
export const sessionQuery = queryOptions({
  queryKey: ['session'],
  queryFn: async (): Promise<Session | null> => {
    try {
      const session = await request<Session>('GET', '/api/v1/session');
      // A site that nobody named has its id, which says nothing to a reader.
      return { ...session, site: /^[0-9a-f-]{36}$/i.test(session.site) ? '' : session.site };
    } catch (error) {
      if (error instanceof ProblemError && error.status === 401) return null;
      throw error;
    }
  },
  staleTime: 60_000,
  retry: (failures, error) => error instanceof ProblemError && error.status === 0 && failures < 60,
  retryDelay: (n) => Math.min(500 * 2 ** n, 5000),
});

export function signIn(name: string, password: string): Promise<unknown> {
  return request('POST', '/api/v1/session', { name, password });
}

export function signInByLink(token: string): Promise<unknown> {
  return request('POST', '/api/v1/session/link', { token });
}

export function setUp(name: string, password: string): Promise<unknown> {
  return request('POST', '/api/v1/session/setup', { name, password });
}

export function changePassword(old: string, fresh: string): Promise<unknown> {
  return request('POST', '/api/v1/session/password', { old, new: fresh });
}

export function signOut(): Promise<unknown> {
  return request('DELETE', '/api/v1/session');
}
