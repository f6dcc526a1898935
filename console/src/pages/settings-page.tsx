// The settings of a module: each with the control of its type, and where a group or machine has a value of its own.

import { useEffect, useMemo, useState } from 'react';
import { problemOf, startCommand } from '../api/http';
import { useConsole, whyNot } from '../console';
import { Control } from '../forms/control';
import { format, label as labelOf, refId } from '../model/format';
import { checkValue, type FormField } from '../model/input';
import { neutral } from '../model/neutral';
import type { FoundView } from '../model/registry';
import type { FieldType, InputProperty, Json, JsonObject, Problem, Setting } from '../model/schema';
import { useRows } from '../table/use-rows';
import { Button, Empty, ProblemNote, Spinner } from '../ui/controls';
import { toast } from '../ui/toast';
import { Heading } from './view-page';

/** The view's rows as this page reads them. */
const FIELDS = ['id', 'setting', 'title', 'description', 'name', 'place', 'group', 'machine', 'value', 'default', 'is_set', 'changed_at', 'changed_by'];

/** A setting is chosen from nothing that depends on where it is. */
const NOWHERE = { module: '', machines: [] };

export default function SettingsPage({ found }: { found: FoundView }) {
  const { registry } = useConsole();
  const at = useMemo(() => ({ name: found.module, view: found.view.id }), [found.module, found.view.id]);
  const query = useMemo(() => ({ fields: FIELDS, page: { limit: 1000 } }), []);
  const { snapshot, window } = useRows(at, query);
  // Every value is on screen at once; there are few.
  useEffect(() => { if (snapshot.state === 'ready') window.show(0, snapshot.length); }, [window, snapshot.state, snapshot.length]);
  const declared = registry.module(found.module)?.manifest.settings ?? {};
  const rows = Array.from({ length: snapshot.length }, (_, n) => window.row(n)).filter((row) => row !== undefined).map((row) => window.object(row));
  const of = (name: string) => rows.filter((row) => row.name === name);
  return (
    <>
      <Heading found={found} />
      {snapshot.problem && <ProblemNote problem={snapshot.problem} />}
      {snapshot.state === 'reading' && rows.length === 0 && <Spinner />}
      {Object.keys(declared).length === 0 && <Empty icon="settings" title="This module has no settings">It does as its commands say.</Empty>}
      {rows.length > 0 && Object.entries(declared).map(([name, setting]) => {
        const site = of(name).find((row) => row.place === 'site');
        return site && <SettingPanel key={`${name} ${JSON.stringify(site.value)}`} found={found} setting={setting} site={site} others={of(name).filter((row) => row !== site)} />;
      })}
    </>
  );
}

function SettingPanel({ found, setting, site, others }: { found: FoundView; setting: Setting; site: JsonObject; others: JsonObject[] }) {
  const console_ = useConsole();
  const [change, reset] = (found.view.row ?? []).map((id) => console_.registry.command(id, found.module));
  const field: FormField = { path: 'value', property: propertyOf(setting), required: false, advanced: false, group: undefined };
  const [value, setValue] = useState<Json | undefined>(site.value);
  const [typed, setTyped] = useState<string>();
  const [problem, setProblem] = useState<Problem>();
  const [busy, setBusy] = useState(false);
  const refusal = change && whyNot(console_, change);
  const wrong = typed ?? (value === undefined ? 'A value is needed.' : checkValue(field.property, value));
  const changed = JSON.stringify(value) !== JSON.stringify(site.value);
  const send = async (id: string, body: JsonObject) => {
    setBusy(true);
    setProblem(undefined);
    try {
      await startCommand(id, { setting: site.setting ?? '', ...body });
      toast({ tone: 'success', title: `${neutral(setting.title)}: saved` });
    } catch (error) {
      setProblem(problemOf(error));
    }
    setBusy(false);
  };
  const elsewhere = (row?: JsonObject) => change && console_.run({
    found: change,
    values: { setting: site.setting ?? '', value: asText(row?.value ?? value), group: refId(row?.group), machine: refId(row?.machine) },
  });
  return (
    <section className="panel setting" aria-label={neutral(setting.title)}>
      <form className="form" noValidate onSubmit={(event) => { event.preventDefault(); if (change && !wrong) void send(change.id, { value: asText(value) }); }}>
        <Control field={field} value={value} problem={typed ?? (changed ? wrong : undefined)} onChange={setValue} onTyped={setTyped} autoFocus={false} from={NOWHERE} />
        {problem && <ProblemNote problem={problem} />}
        <footer className="setting-foot">
          <span className="faint">{site.is_set ? <>Set by {neutral(labelOf(site.changed_by))}. </> : 'Not changed. '}Default: {shownAs(setting, setting.default)}</span>
          <span className="toolbar-space" />
          <span className="setting-buttons">
            {site.is_set === true && reset && <Button reason={refusal} isDisabled={busy} onPress={() => void send(reset.id, {})}>Reset</Button>}
            {change && <Button kind={changed ? 'primary' : 'plain'} type="submit" reason={refusal} isDisabled={busy || !changed || wrong !== undefined}>Save</Button>}
          </span>
        </footer>
      </form>
      {others.length > 0 && (
        <ul className="setting-others" aria-label="Values of groups and machines">
          {others.map((row) => (
            <li key={String(row.id)}>
              <span>{row.place === 'group' ? 'Group' : 'Machine'} <b>{neutral(labelOf(row.place === 'group' ? row.group : row.machine))}</b></span>
              <span>{shownAs(setting, row.value)}</span>
              <span className="toolbar-space" />
              <Button reason={refusal} onPress={() => elsewhere(row)}>Change</Button>
              {reset && <Button reason={refusal} isDisabled={busy} onPress={() => void send(reset.id, { group: refId(row.group), machine: refId(row.machine) })}>Reset</Button>}
            </li>
          ))}
        </ul>
      )}
      {change && <p className="setting-more"><Button kind="quiet" icon="plus" reason={refusal} onPress={() => elsewhere()}>Another value for a group or machine</Button></p>}
    </section>
  );
}

const WHOLE: ReadonlySet<FieldType> = new Set(['int', 'port', 'bytes', 'rate', 'duration']);
const BROKEN: ReadonlySet<FieldType> = new Set(['decimal', 'percent']);
const LISTS: ReadonlySet<FieldType> = new Set(['tags', 'refs']);

/** The input whose control fits a setting. */
export function propertyOf({ type, title, description }: Setting): InputProperty {
  const named = { title, ...(description ? { description } : {}) };
  if (type === 'bool') return { ...named, type: 'boolean' };
  if (WHOLE.has(type)) return { ...named, type: 'integer', 'x-type': type };
  if (BROKEN.has(type)) return { ...named, type: 'number', 'x-type': type };
  if (LISTS.has(type)) return { ...named, type: 'array', items: { type: 'string' } };
  return { ...named, type: 'string', 'x-type': type };
}

function shownAs({ type }: Setting, value: Json | undefined): string {
  return neutral(format({ type }, value)) || 'none';
}

/** The text in which a value is sent. */
export function asText(value: Json | undefined): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? '');
}
