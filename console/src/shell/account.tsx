// The operator's own menu: who they are, their password, the way out.

import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { Button as AriaButton, Header, Menu, MenuItem, MenuSection, MenuTrigger, Popover } from 'react-aria-components';
import { problemOf } from '../api/http';
import { changePassword, sessionQuery, signOut } from '../api/session';
import { useConsole } from '../console';
import { Avatar } from '../fields/marks';
import { neutral } from '../model/neutral';
import type { Problem } from '../model/schema';
import { Button, ProblemNote } from '../ui/controls';
import { Sheet } from '../ui/dialog';
import { Icon } from '../ui/icon';
import { toast } from '../ui/toast';

export function Account() {
  const { session, openKeys } = useConsole();
  const client = useQueryClient();
  const [changing, setChanging] = useState(false);
  const name = neutral(session.operator.name || 'First operator');
  const leave = async () => {
    try {
      await signOut();
    } catch (error) {
      toast({ tone: 'danger', title: 'Could not sign out', text: problemOf(error).message });
      return;
    }
    client.setQueryData(sessionQuery.queryKey, null);
    client.removeQueries({ predicate: (query) => query.queryKey[0] !== 'session' });
  };
  const act = (id: string) => {
    if (id === 'password') setChanging(true);
    else if (id === 'keys') openKeys();
    else void leave();
  };
  return (
    <>
      <MenuTrigger>
        <AriaButton className="account" aria-label={`Account of ${name}`}><Avatar name={name} /></AriaButton>
        <Popover className="popover" placement="bottom end" offset={6}>
          <Menu className="menu" aria-label="Account" onAction={(id) => act(String(id))}>
            <MenuSection>
              <Header className="menu-head account-head">
                <strong>{name}</strong>
                <span>{neutral(session.operator.role)}{session.site ? ` at ${neutral(session.site)}` : ''}</span>
                <span>Version {neutral(session.version)}</span>
              </Header>
              {!session.operator.setup && <MenuItem id="password" className="menu-item" textValue="Change password"><Icon name="lock" size={15} />Change password</MenuItem>}
              <MenuItem id="keys" className="menu-item" textValue="Keyboard shortcuts"><Icon name="question" size={15} />Keyboard shortcuts<kbd>?</kbd></MenuItem>
              <MenuItem id="out" className="menu-item" textValue="Sign out"><Icon name="out" size={15} />Sign out</MenuItem>
            </MenuSection>
          </Menu>
        </Popover>
      </MenuTrigger>
      {changing && <PasswordDialog onClose={() => setChanging(false)} name={session.operator.name} />}
    </>
  );
}

function PasswordDialog({ onClose, name }: { onClose: () => void; name: string }) {
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
          <Button kind="primary" type="submit" isPending={busy}>Change password</Button>
        </footer>
      </form>
    </Sheet>
  );
}
