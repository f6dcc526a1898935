// The first operator came by a link and has no name yet. A card asks for one, without standing in the way.

import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { problemOf } from '../api/http';
import { sessionQuery, setUp, type Session } from '../api/session';
import type { Problem } from '../model/schema';
import { Button, ProblemNote } from '../ui/controls';
import { Icon } from '../ui/icon';
import { toast } from '../ui/toast';

export function SetUp({ session }: { session: Session }) {
  const client = useQueryClient();
  const [later, setLater] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const [busy, setBusy] = useState(false);
  if (later) {
    return (
      <div className="set-up-small">
        <Icon name="key" size={15} />
        <span>You have no name and password yet.</span>
        <Button small onPress={() => setLater(false)}>Set them now</Button>
      </div>
    );
  }
  const submit = async (form: FormData) => {
    setBusy(true);
    setProblem(undefined);
    try {
      await setUp(String(form.get('name')).trim(), String(form.get('password')));
      toast({ tone: 'success', title: 'You are set up', text: 'Sign in with this name and password from now on.' });
      await client.invalidateQueries({ queryKey: sessionQuery.queryKey });
    } catch (error) {
      setProblem(problemOf(error));
      setBusy(false);
    }
  };
  return (
    <section className="set-up" aria-labelledby="set-up-title">
      <div className="set-up-words">
        <h2 id="set-up-title">Set your name and password</h2>
        <p>You are the first operator{session.site ? ` of ${session.site}` : ''}, signed in by a link that works once. Choose how you sign in next time.</p>
      </div>
      <form onSubmit={(event) => { event.preventDefault(); void submit(new FormData(event.currentTarget)); }}>
        {problem && <ProblemNote problem={problem} />}
        <label className="field"><span className="field-label">Name</span><input name="name" autoComplete="username" autoCapitalize="none" spellCheck={false} required /></label>
        <label className="field"><span className="field-label">Password</span><input name="password" type="password" autoComplete="new-password" required /></label>
        <Button kind="primary" type="submit" isDisabled={busy}>Set up</Button>
        <Button kind="quiet" onPress={() => setLater(true)}>Later</Button>
      </form>
    </section>
  );
}
