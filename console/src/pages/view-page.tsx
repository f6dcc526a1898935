// The page of one view: picks the renderer for its kind, or says calmly that this console has none yet.

import { lazy, Suspense, useCallback, useEffect, useMemo, type ReactNode, type RefObject } from 'react';
import { Link, useLocation, useSearch } from 'wouter';
import { address, useConsole } from '../console';
import { Markdown } from '../fields/markdown';
import { neutral } from '../model/neutral';
import { readPlace, START, writePlace, type Place } from '../model/place';
import type { FoundView } from '../model/registry';
import { Empty, Note, Spinner } from '../ui/controls';
import { RowsView } from '../table/rows-view';

const DetailPage = lazy(() => import('./detail-page'));
const FormPage = lazy(() => import('./form-page'));
const TreeView = lazy(() => import('../tree/tree-view'));
const ParamRows = lazy(() => import('../params/param-rows'));
const SettingsPage = lazy(() => import('./settings-page'));

interface Props {
  module: string;
  view: string;
  rowKey?: string;
  page: RefObject<HTMLElement | null>;
}

export function ViewPage({ module, view, rowKey, page }: Props) {
  const { registry } = useConsole();
  const found = registry.view(view, module);
  const title = found?.view.title ?? 'Not found';
  useEffect(() => { document.title = `${title} · Bailiwick`; }, [title]);
  if (!found) return <NotFound />;
  const shown = registry.shownAs(found);
  return (
    <div className={`page ${shown?.as === 'rows' || shown?.as === 'tree' ? 'page-rows' : ''}`}>
      <FailureNote module={module} />
      <Suspense fallback={<Spinner />}>
        {!shown && <NoRenderer found={found} />}
        {shown?.as === 'rows' && <RowsPage found={shown.found} page={page} />}
        {shown?.as === 'tree' && <TreePage found={shown.found} page={page} />}
        {shown?.as === 'detail' && <DetailPage found={shown.found} rowKey={rowKey} page={page} />}
        {shown?.as === 'form' && <FormPage found={shown.found} />}
        {shown?.as === 'settings' && <SettingsPage found={shown.found} />}
        {shown?.as === 'markdown' && (
          <>
            <Heading found={shown.found} />
            <Markdown text={shown.found.view.text ?? ''} />
          </>
        )}
      </Suspense>
    </div>
  );
}

/** Why a module does not run, with the way to what can be done about it. */
export function FailureNote({ module }: { module: string }) {
  const { registry } = useConsole();
  const failure = registry.module(module)?.failure;
  if (!failure) return null;
  const plugins = registry.view('fleet.plugins');
  const own = writePlace({ ...START, where: [{ field: 'name', op: 'eq', value: module }] });
  return (
    <Note
      tone={failure.state === 'disabled' ? 'warning' : 'danger'}
      title={neutral(failure.cause)}
      action={plugins && <Link className="button small" href={`${address(plugins.module, plugins.view.id)}?${own}`}>{neutral(plugins.view.title)}</Link>}
    >
      {failure.remedy && <p>{neutral(failure.remedy)}</p>}
    </Note>
  );
}

export function Heading({ found, children }: { found: FoundView; children?: ReactNode }) {
  return (
    <header className="page-head">
      <h1>{neutral(found.view.title)}{children}</h1>
      {found.view.description && <p>{neutral(found.view.description)}</p>}
    </header>
  );
}

/** What is shown is in the address. */
function usePlace(): [Place, (place: Place) => void] {
  const search = useSearch();
  const [path, navigate] = useLocation();
  const place = useMemo(() => readPlace(search), [search]);
  const setPlace = useCallback((next: Place) => {
    const text = writePlace(next);
    navigate(path + (text ? `?${text}` : ''), { replace: true });
  }, [navigate, path]);
  return [place, setPlace];
}

function TreePage({ found, page }: { found: FoundView; page: RefObject<HTMLElement | null> }) {
  const [place, setPlace] = usePlace();
  return <TreeView found={found} place={place} setPlace={setPlace} page={page} heading={<Heading found={found} />} />;
}

function RowsPage({ found, page }: { found: FoundView; page: RefObject<HTMLElement | null> }) {
  const [place, setPlace] = usePlace();
  if (Object.keys(found.view.params ?? {}).length > 0) return <ParamRows found={found} place={place} setPlace={setPlace} page={page} heading={<Heading found={found} />} />;
  return <RowsView found={found} place={place} setPlace={setPlace} page={page} heading={(count) => <Heading found={found}>{count}</Heading>} />;
}

function NoRenderer({ found }: { found: FoundView }) {
  const { registry } = useConsole();
  const { view, module } = found;
  const others = registry.module(module)!.shown.filter((one) => one.id !== found.id && registry.shownAs(one));
  return (
    <>
      <Heading found={found} />
      <Empty icon="monitor" title={`This console cannot show “${neutral(view.title)}” yet`}>
        <p>It is a view of the kind “{view.kind}”. What it shows is reachable on the command line and over the API: <code>bailiwick {module} {view.id}</code></p>
        {others.length > 0 && <p>Also from this module: {others.map((one, n) => <span key={one.id}>{n > 0 && ', '}<Link className="link" href={`/${one.module}/${one.view.id}`}>{neutral(one.view.title)}</Link></span>)}</p>}
      </Empty>
    </>
  );
}

export function NotFound() {
  return (
    <div className="page">
      <Empty icon="question" title="There is nothing at this address" action={<Link className="button primary" href="/">To the first view</Link>}>
        A view may have gone with its module, or the address was mistyped.
      </Empty>
    </div>
  );
}
