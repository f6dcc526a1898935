// Decides between sign-in and the console. The address stays as it is while somebody signs in, so the place is kept.

import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useMemo } from 'react';
import { Route, Switch } from 'wouter';
import { onSignedOut, problemOf, request } from './api/http';
import { live } from './api/live';
import { sessionQuery, type Session } from './api/session';
import { Registry } from './model/registry';
import type { Manifest } from './model/schema';
import { LinkSignIn, SignIn } from './pages/sign-in';
import { Shell } from './shell/shell';
import { ProblemNote, Spinner } from './ui/controls';

export function App() {
  return (
    <Switch>
      <Route path="/sign-in/:token">{({ token }) => <LinkSignIn token={token} />}</Route>
      <Route><Gate /></Route>
    </Switch>
  );
}

function Gate() {
  const client = useQueryClient();
  const session = useQuery(sessionQuery);
  useEffect(() => onSignedOut(() => client.setQueryData(sessionQuery.queryKey, null)), [client]);
  if (session.data) return <SignedIn session={session.data} key={session.data.operator.id} />;
  if (session.data === null) return <SignIn />;
  if (session.error) return <div className="alone"><ProblemNote problem={problemOf(session.error)} onRetry={() => void session.refetch()} /></div>;
  return <div className="alone"><Spinner label="Connecting" /></div>;
}

function SignedIn({ session }: { session: Session }) {
  const client = useQueryClient();
  const manifests = useQuery({ queryKey: ['manifests'], queryFn: () => request<Manifest[]>('GET', '/api/v1/manifests'), staleTime: Infinity });
  useEffect(() => {
    live.onManifests = () => void client.invalidateQueries({ queryKey: ['manifests'] });
    live.onLost = () => void client.invalidateQueries({ queryKey: sessionQuery.queryKey });
    live.start();
    return () => live.stop();
  }, [client]);
  const registry = useMemo(() => new Registry(manifests.data ?? []), [manifests.data]);
  if (manifests.data) return <Shell registry={registry} session={session} />;
  if (manifests.error) return <div className="alone"><ProblemNote problem={problemOf(manifests.error)} onRetry={() => void manifests.refetch()} /></div>;
  return <div className="alone"><Spinner label="Reading modules" /></div>;
}
