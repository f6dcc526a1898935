// Signing in: by name and password, or by the one-time link the administrator printed.

import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef, useState, type ReactNode } from 'react';
import { useLocation } from 'wouter';
import { problemOf } from '../api/http';
import { sessionQuery, signIn, signInByLink } from '../api/session';
import type { Problem } from '../model/schema';
import { Button, ProblemNote, Spinner } from '../ui/controls';
import { Brand } from '../shell/brand';

function Frame({ title, children }: { title: string; children: ReactNode }) {
  useEffect(() => { document.title = `${title} · Bailiwick`; }, [title]);
  return (
    <main className="sign-in">
      <div className="sign-in-card">
        <Brand />
        <h1>{title}</h1>
        {children}
      </div>
    </main>
  );
}

export function SignIn() {
  const client = useQueryClient();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const name = useRef<HTMLInputElement>(null);
  useEffect(() => name.current?.focus(), []);
  const submit = async (form: FormData) => {
    setBusy(true);
    setProblem(undefined);
    try {
      await signIn(String(form.get('name')).trim(), String(form.get('password')));
      await client.resetQueries({ queryKey: sessionQuery.queryKey });
    } catch (error) {
      setProblem(problemOf(error));
      setBusy(false);
    }
  };
  return (
    <Frame title="Sign in">
      <form onSubmit={(event) => { event.preventDefault(); void submit(new FormData(event.currentTarget)); }}>
        {problem && <ProblemNote problem={problem} />}
        <label className="field">
          <span className="field-label">Name</span>
          <input ref={name} name="name" autoComplete="username" autoCapitalize="none" spellCheck={false} required />
        </label>
        <label className="field">
          <span className="field-label">Password</span>
          <input name="password" type="password" autoComplete="current-password" required />
        </label>
        <Button kind="primary" type="submit" isDisabled={busy} className="wide">{busy ? 'Signing in…' : 'Sign in'}</Button>
      </form>
      <p className="faint small">No name yet, or the password lost? The administrator prints a one-time link when it starts: <code>bailiwick serve</code> ends with a line that begins <code>Sign in:</code></p>
    </Frame>
  );
}

/** Links whose token is already on its way: a token is good for one use only. */
const used = new Map<string, Promise<unknown>>();

export function LinkSignIn({ token }: { token: string }) {
  const client = useQueryClient();
  const [, navigate] = useLocation();
  const [problem, setProblem] = useState<Problem>();
  useEffect(() => {
    let gone = false;
    const sent = used.get(token) ?? signInByLink(token);
    used.set(token, sent);
    sent.then(
      async () => {
        if (gone) return;
        await client.resetQueries({ queryKey: sessionQuery.queryKey });
        navigate('/', { replace: true });
      },
      (error: unknown) => { if (!gone) setProblem(problemOf(error)); },
    );
    return () => { gone = true; };
  }, [token, client, navigate]);
  return (
    <Frame title={problem ? 'This link does not work' : 'Signing in'}>
      {problem ? (
        <>
          <ProblemNote problem={problem} />
          <Button className="wide" onPress={() => navigate('/', { replace: true })}>Sign in with name and password</Button>
        </>
      ) : <Spinner label="Signing in" />}
    </Frame>
  );
}
