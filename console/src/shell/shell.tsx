// The frame around every view: top bar, navigation, and what opens over them.

import { lazy, Suspense, useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { Redirect, Route, Switch, useLocation } from 'wouter';
import type { Session } from '../api/session';
import { ConsoleContext, type CommandRequest, type Console } from '../console';
import { useJobs } from '../jobs/use-jobs';
import { neutral } from '../model/neutral';
import type { Registry } from '../model/registry';
import { ModulePage } from '../pages/module-page';
import { SetUp } from '../pages/set-up';
import { NotFound, ViewPage } from '../pages/view-page';
import { Boundary } from '../ui/boundary';
import { Toasts } from '../ui/toast';
import { Navigation } from './navigation';
import { useShortcuts } from './shortcuts';
import { TopBar } from './top-bar';

const CommandDialog = lazy(() => import('../forms/command-dialog'));
const JobDrawer = lazy(() => import('../jobs/drawer'));
const Palette = lazy(() => import('./palette'));
const Keys = lazy(() => import('./keys'));

type Over = { kind: 'command'; request: CommandRequest } | { kind: 'jobs'; id?: string | undefined } | { kind: 'palette' } | { kind: 'keys' };

export function Shell({ registry, session }: { registry: Registry; session: Session }) {
  const [over, setOver] = useState<Over>();
  const [menu, setMenu] = useState(false);
  const [place] = useLocation();
  const main = useRef<HTMLElement>(null);
  const close = useCallback(() => setOver(undefined), []);
  const openJob = useCallback((id?: string) => setOver({ kind: 'jobs', id }), []);
  const jobs = useJobs(registry, session.operator.name, openJob);
  const value = useMemo<Console>(() => ({
    registry,
    session,
    run: (request) => setOver({ kind: 'command', request }),
    openJob,
    openPalette: () => setOver({ kind: 'palette' }),
    openKeys: () => setOver({ kind: 'keys' }),
  }), [registry, session, openJob]);
  useShortcuts(value, over !== undefined);
  useEffect(() => setMenu(false), [place]);

  const first = registry.modules.flatMap((module) => module.shown)[0];
  return (
    <ConsoleContext value={value}>
      <div className={`shell ${menu ? 'menu-open' : ''}`}>
        <a className="skip" href="#main">Skip to content</a>
        <TopBar running={jobs.running} onMenu={() => setMenu(!menu)} menuOpen={menu} />
        <Navigation open={menu} onClose={() => setMenu(false)} />
        <main id="main" ref={main} tabIndex={-1}>
          {session.operator.setup && <SetUp session={session} />}
          <Boundary of={place}>
            <Switch>
              <Route path="/">{first ? <Redirect to={`/${first.module}/${first.view.id}`} replace /> : <NotFound />}</Route>
              <Route path="/jobs/:id">{({ id }) => <OpenJob id={id} open={openJob} />}</Route>
              <Route path="/:module">{({ module }) => <ModulePage key={module} name={module} />}</Route>
              <Route path="/:module/:view">{(at) => <ViewPage key={`${at.module}/${at.view}`} module={at.module} view={at.view} page={main} />}</Route>
              <Route path="/:module/:view/:key">{(at) => <ViewPage key={`${at.module}/${at.view}/${at.key}`} module={at.module} view={at.view} rowKey={decode(at.key)} page={main} />}</Route>
              <Route><NotFound /></Route>
            </Switch>
          </Boundary>
        </main>
        <Toasts />
        <Boundary of={over?.kind ?? ''}><Suspense fallback={null}>
          {over?.kind === 'command' && <CommandDialog request={over.request} onClose={close} />}
          {over?.kind === 'jobs' && <JobDrawer jobs={jobs} id={over.id} onPick={(id) => setOver({ kind: 'jobs', id })} onClose={close} />}
          {over?.kind === 'palette' && <Palette onClose={close} />}
          {over?.kind === 'keys' && <Keys onClose={close} />}
        </Suspense></Boundary>
      </div>
    </ConsoleContext>
  );
}

function OpenJob({ id, open }: { id: string; open: (id: string) => void }) {
  useEffect(() => open(id), [id, open]);
  return <Redirect to="/" replace />;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return neutral(text);
  }
}
