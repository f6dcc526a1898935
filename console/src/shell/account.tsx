// The operator's own menu: who they are, their password, the way out.

import { useQueryClient } from '@tanstack/react-query';
import { lazy, Suspense, useState } from 'react';
import { problemOf } from '../api/http';
import { sessionQuery, signOut } from '../api/session';
import { useConsole } from '../console';
import { Avatar } from '../fields/marks';
import { neutral } from '../model/neutral';
import { MenuButton, type MenuEntry } from '../ui/menu-button';
import { toast } from '../ui/toast';

const PasswordDialog = lazy(() => import('./password-dialog'));

export function Account() {
  const { session, openKeys } = useConsole();
  const client = useQueryClient();
  const [changing, setChanging] = useState(false);
  const { operator, site, version } = session;
  const name = neutral(operator.name || 'First operator');
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
  const entries: MenuEntry[] = [
    ...(operator.setup ? [] : [{ id: 'password', icon: 'lock', title: 'Change password', act: () => setChanging(true) }]),
    { id: 'keys', icon: 'question', title: 'Keyboard shortcuts', shortcut: '?', act: openKeys },
    { id: 'out', icon: 'out', title: 'Sign out', act: () => void leave() },
  ];
  const lines = [site ? `${operator.role} at ${site}` : operator.role, `Version ${version}`];
  return (
    <>
      <MenuButton label={`Account of ${name}`} className="account" groups={[{ title: name, lines, entries }]}><Avatar name={name} /></MenuButton>
      {changing && <Suspense fallback={null}><PasswordDialog onClose={() => setChanging(false)} name={operator.name} /></Suspense>}
    </>
  );
}
