// The operator's own password. Their other sessions end with it.

import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { problemOf } from '../api/http';
import { changePassword, sessionQuery } from '../api/session';
import type { Problem } from '../model/schema';
import { Button, ProblemNote } from '../ui/controls';
import { Sheet } from '../ui/dialog';
import { toast } from '../ui/toast';

export default function PasswordDialog({ onClose, name }: { onClose: () => void; name: string }) {
  const client = useQueryClient();
  const [problem, setProblem] = useState<Problem>();
  const [busy, setBusy] = useState(false);
  const submit = async (form: FormData) => {
    const fresh = String(form.get('new'));
    if (fresh !== String(form.get('again'))) {
      setProblem({ code: 'bad_request', message: 'The two new passwords differ.', fix: 'Type the same one twice.' });
      return;
    }
    setBusy(true);
    try {
      await changePassword(String(form.get('old')), fresh);
      toast({ tone: 'success', title: 'Password changed', text: 'Your other sessions have ended.' });
      onClose();
      await client.invalidateQueries({ queryKey: sessionQuery.queryKey });
    } catch (error) {
      setProblem(problemOf(error));
      setBusy(false);
    }
  };
  return (
    <Sheet title="Change password" onClose={onClose}>
      <form className="form" onSubmit={(event) => { event.preventDefault(); void submit(new FormData(event.currentTarget)); }}>
        {problem && <ProblemNote problem={problem} />}
        <input type="text" name="username" autoComplete="username" defaultValue={name} hidden />
        <label className="field"><span className="field-label">Password now</span><input type="password" name="old" autoComplete="current-password" required autoFocus /></label>
        <label className="field"><span className="field-label">New password</span><input type="password" name="new" autoComplete="new-password" required /></label>
        <label className="field"><span className="field-label">New password again</span><input type="password" name="again" autoComplete="new-password" required /></label>
        <footer className="form-foot">
          <Button onPress={onClose}>Cancel</Button>
          <Button kind="primary" type="submit" isDisabled={busy}>Change password</Button>
        </footer>
      </form>
    </Sheet>
  );
}
