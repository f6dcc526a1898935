// One row in full: its fields in sections, other views narrowed to it, and what can be done with it.

import { useQuery } from '@tanstack/react-query';
import { useEffect, useMemo, useState, type RefObject } from 'react';
import { Link } from 'wouter';
import { fetchColumns, problemOf, withKey } from '../api/http';
import { live } from '../api/live';
import { address, JOB_TYPE, useConsole } from '../console';
import { Value } from '../fields/value';
import { copyText, exact, format, isAbsent, isObject } from '../model/format';
import { JobPanel } from '../jobs/job-panel';
import { Markdown } from '../fields/markdown';
import { neutral } from '../model/neutral';
import { START, type Place } from '../model/place';
import { lowerFirst, plural, type Column, type FoundView } from '../model/registry';
import type { Columns, Filter, Json, JsonObject, Query, Section } from '../model/schema';
import { ActionBar } from '../table/action-bar';
import { RowsView } from '../table/rows-view';
import { titleFor } from '../table/start';
import { CopyButton, Empty, ProblemNote, Spinner } from '../ui/controls';
import { Icon } from '../ui/icon';
import { Heading } from './view-page';

interface Props {
  found: FoundView;
  rowKey: string | undefined;
  page: RefObject<HTMLElement | null>;
}

export default function DetailPage({ found, rowKey, page }: Props) {
  const { registry, openJob } = useConsole();
  const type = registry.typeOf(found)!;
  const columns = useMemo(() => registry.columnsOf(type.id), [registry, type.id]);
  const row = useRow(found, rowKey, columns);
  const list = registry.modules.flatMap((module) => module.shown).find((one) => one.id !== found.id && registry.typeOf(one)?.id === type.id);
  if (row.problem) return <><Heading found={found} /><ProblemNote problem={row.problem} /></>;
  if (row.state === 'reading') return <><Heading found={found} /><Spinner /></>;
  if (!row.values) {
    return (
      <Empty icon="question" title={`This ${type.type.title.toLowerCase()} is not here`} action={list && <Link className="button" href={address(list.module, list.view.id)}>All {plural(type.type).toLowerCase()}</Link>}>
        It may have been removed, or you may not see it.
      </Empty>
    );
  }
  const values = row.values;
  const title = format(type.type.fields[type.type.label] ?? { type: 'text' }, values[type.type.label]) || rowKey || found.view.title;
  // The status stands beside the title.
  const facts = columns.filter((one) => one.name !== type.type.status);
  const sections = sectionsOf(found, columns, type.type.label);
  return (
    <div className="detail">
      <DetailHead {...{ found, values, title, list }} rowKey={row.key ?? ''} />
      {type.id === JOB_TYPE && <div className="panel"><JobPanel id={row.key ?? ''} onPick={openJob} brief /></div>}
      {sections.map((section, n) => (section.view
        ? <SubView key={n} section={section} found={found} values={values} rowKey={row.key ?? ''} page={page} />
        : <Facts key={n} section={section} columns={facts} values={values} />))}
    </div>
  );
}

function DetailHead({ found, values, title, list, rowKey }: { found: FoundView; values: JsonObject; title: string; list: FoundView | undefined; rowKey: string }) {
  const { registry, run } = useConsole();
  const type = registry.typeOf(found)!;
  const status = type.type.status;
  const named = registry.commands([...new Set([...(found.view.actions ?? []), ...(found.view.row ?? [])])], found.module);
  const offered = registry.commandsOn(list ?? found, 'one');
  const commands = [...offered.filter((one) => one.module !== found.module), ...(named.length > 0 ? named : offered.filter((one) => one.module === found.module))];
  useEffect(() => { document.title = `${title} · ${found.view.title} · Bailiwick`; }, [title, found]);
  const target = { type: type.id, targets: [{ key: rowKey, label: title }], values: [{ ...values, $key: rowKey }] };
  return (
    <header className="page-head detail-head">
      {list && <p className="crumbs"><Link className="link" href={address(list.module, list.view.id)}><Icon name="chevron-left" size={14} />{neutral(list.view.title)}</Link></p>}
      <div className="detail-title">
        <h1>{title}</h1>
        {status && <Value field={type.type.fields[status]!} value={values[status]} />}
        <span className="toolbar-space" />
        <ActionBar commands={commands} run={(one) => run({ found: one, rows: target })} title={(one) => titleFor(one, 1)} most={2} primary="first" />
      </div>
      {found.view.description && <p>{neutral(found.view.description)}</p>}
    </header>
  );
}

const WIDE: ReadonlySet<string> = new Set(['markdown', 'code', 'json']);

/** The declared sections; all fields in one where there are none. Columns of other modules always have their place. */
function sectionsOf({ view }: FoundView, columns: Column[], label: string): Section[] {
  const declared = view.sections ?? [];
  const named = new Set(declared.flatMap((one) => one.fields ?? []));
  const plain = columns.filter((one) => !one.name.includes(':') && one.name !== label);
  // What takes the whole width comes after what stands side by side.
  const own = [...plain.filter((one) => !WIDE.has(one.field.type)), ...plain.filter((one) => WIDE.has(one.field.type))].map((one) => one.name);
  const added = columns.filter((one) => one.name.includes(':') && !named.has(one.name)).map((one) => one.name);
  const unnamed = own.filter((name) => !named.has(name));
  // A section that names neither fields nor a view has all that no other names.
  const first: Section[] = declared.length > 0
    ? declared.map((one) => (one.view === undefined && !one.fields?.length ? { ...one, fields: unnamed } : one))
    : [{ title: '', fields: own }];
  if (added.length === 0) return first;
  const at = first.findIndex((one) => (one.fields?.length ?? 0) > 0);
  if (at < 0) return [{ title: '', fields: added }, ...first];
  return first.map((one, n) => (n === at ? { ...one, fields: [...(one.fields ?? []), ...added] } : one));
}

function Facts({ section, columns, values }: { section: Section; columns: Column[]; values: JsonObject }) {
  const own = [...new Set(section.fields)].map((name) => columns.find((one) => one.name === name)).filter((one) => one !== undefined);
  const absent = own.filter(({ name }) => isAbsent(values[name]));
  const shown = own.filter((one) => !absent.includes(one));
  if (own.length === 0) return null;
  return (
    <section className="panel">
      <h2 className={section.title ? '' : 'unseen'}>{neutral(section.title || 'Fields')}</h2>
      {shown.length > 0 && <dl className="facts">{shown.map((one) => <Fact key={one.name} column={one} value={values[one.name]} />)}</dl>}
      {absent.length > 0 && (
        <details className="absent-facts">
          <summary>{absent.length === 1 ? '1 empty field' : `${absent.length} empty fields`}</summary>
          <dl className="facts">{absent.map((one) => <Fact key={one.name} column={one} value={undefined} />)}</dl>
        </details>
      )}
    </section>
  );
}

function Fact({ column: { field }, value }: { column: Column; value: Json | undefined }) {
  const text = copyText(field, value);
  const copied = text !== '' && !WIDE.has(field.type) && !['status', 'bool', 'series', 'percent', 'progress'].includes(field.type);
  return (
    <div className={WIDE.has(field.type) && value !== undefined ? 'wide' : ''}>
      <dt title={field.description || undefined}>{neutral(field.title)}</dt>
      <dd className={copied ? 'copied' : ''}>
        {field.type === 'markdown' && typeof value === 'string' ? <Markdown text={value} under={2} /> : <Value field={field} value={value} roomy />}
        {copied && <CopyButton text={text} label={`Copy ${field.title.toLowerCase()}`} />}
        {exact(field, value) && <small className="faint">{exact(field, value)}</small>}
      </dd>
    </div>
  );
}

function SubView({ section, found, values, rowKey, page }: { section: Section; found: FoundView; values: JsonObject; rowKey: string; page: RefObject<HTMLElement | null> }) {
  const { registry } = useConsole();
  const [place, setPlace] = useState<Place>(START);
  const other = registry.view(section.view!, found.module);
  const shown = other && registry.shownAs(other);
  const text = JSON.stringify(section.bind);
  const bound = useMemo(() => {
    const where: Filter[] = [];
    const params: JsonObject = {};
    for (const [name, from] of Object.entries(section.bind ?? {})) {
      const value = from === '$key' ? rowKey : values[from];
      const plain = isObject(value) && 'id' in value ? (value.id ?? null) : (value ?? null);
      if (other?.view.params && name in other.view.params) params[name] = plain;
      else where.push({ field: name, op: 'eq', value: plain });
    }
    return { where, params };
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [text, rowKey, other]);
  if (!shown || shown.as !== 'rows') return null;
  return (
    <section className="detail-view">
      <h2>{neutral(section.title || shown.found.view.title)}</h2>
      <RowsView found={shown.found} place={place} setPlace={setPlace} bound={bound} page={page} within={lowerFirst(registry.typeOf(found)!.type.title)} />
    </section>
  );
}

/** The row a detail is of, live. */
function useRow(found: FoundView, key: string | undefined, columns: Column[]) {
  const fields = useMemo(() => columns.filter(({ field }) => field.type !== 'secret').map((one) => one.name), [columns]);
  const at = useMemo(() => ({ name: found.module, view: found.view.id }), [found.module, found.view.id]);
  const query: Query = useMemo(() => ({ page: { limit: 1 }, fields, ...(key === undefined ? {} : { where: [withKey(key)] }) }), [key, fields]);
  const read = useQuery({
    queryKey: ['row', found.id, key],
    queryFn: async () => first(await fetchColumns(at, query), key),
  });
  const [patch, setPatch] = useState<{ key: string; set: JsonObject; gone: boolean }>();
  const shownKey = read.data?.key;
  useEffect(() => {
    setPatch(undefined);
    if (shownKey === undefined) return undefined;
    return live.rows(at.name, at.view, { ...query, where: [withKey(shownKey)] }, (message) => {
      const now = message.rows ? first(message.rows, shownKey) : undefined;
      if (now) setPatch({ key: shownKey, set: now.values, gone: false });
      for (const one of message.patches ?? []) {
        if (one.key !== shownKey) continue;
        setPatch((before) => ('gone' in one ? { key: shownKey, set: {}, gone: true } : { key: shownKey, set: { ...before?.set, ...one.set }, gone: false }));
      }
    });
  }, [at, query, shownKey]);
  const values = read.data && !patch?.gone ? { ...read.data.values, ...patch?.set } : undefined;
  return { state: read.isPending ? 'reading' as const : 'ready' as const, values, key: shownKey, problem: read.error ? notFoundAside(read.error) : undefined };
}

function notFoundAside(error: Error) {
  const problem = problemOf(error);
  return problem.code === 'not_found' ? undefined : problem;
}

function first({ columns, rows, keys }: Columns, key: string | undefined): { key: string; values: JsonObject } | null {
  const at = key === undefined ? 0 : Math.max(0, keys.indexOf(key));
  const cells = rows[at];
  if (!cells) return null;
  return { key: keys[at] ?? key ?? '', values: Object.fromEntries(columns.map((name, n) => [name, cells[n] ?? null])) };
}
