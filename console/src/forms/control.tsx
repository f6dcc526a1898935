// The control for one property of an input.

import { useId, useState } from 'react';
import { label as labelOf, refId } from '../model/format';
import { choicesOf, kindOf, readControl, titleOf, type Choice, type FormField } from '../model/input';
import type { InputProperty, Json } from '../model/schema';
import { typedText } from '../model/typed';
import { Hours } from './hours';
import { RowPicker } from './row-picker';

interface Props {
  field: FormField;
  value: Json | undefined;
  problem: string | undefined;
  onChange: (value: Json | undefined) => void;
  onTyped: (problem: string | undefined) => void;
  autoFocus: boolean;
  from: Surroundings;
}

/** What choices depend on beside the input itself. */
export interface Surroundings {
  /** Module that views without one are of. */
  module: string;
  /** What the command is to run on. */
  machines: string[];
}

/** What each control is given to be named and described by. */
interface Wired extends Props {
  id: string;
  described: string | undefined;
  title: string;
}

export function Control(props: Props) {
  const { field: { property, path, required }, problem, value, onChange, autoFocus } = props;
  const id = useId();
  const title = property.title ?? titleOf(path);
  const wired: Wired = { ...props, id, title, described: describedBy(id, property.description, problem) };
  const options = property['x-options'] ?? property.items?.['x-options'];
  const kind = kindOf(property);
  if (options) {
    const list = Array.isArray(value) ? value : value === undefined || value === null || value === '' ? [] : [value];
    return (
      <RowPicker
        label={title}
        view={options.view}
        from={props.from.module}
        machines={props.from.machines}
        value={options.value}
        shown={options.label}
        many={kind === 'array'}
        required={required}
        chosen={list.map((one) => ({ key: refId(one), label: labelOf(one) }))}
        onChange={(chosen) => onChange(kind === 'array' ? chosen.map((one) => one.key) : (chosen[0]?.key ?? ''))}
        description={property.description}
        problem={problem}
        autoFocus={autoFocus}
      />
    );
  }
  if (kind === 'boolean' && !choicesOf(property)) return <Toggle {...wired} />;
  const few = segmentsOf(props.field);
  if (few) return <Segments {...wired} choices={few} />;
  const several = kind === 'array' ? choicesOf(property.items ?? {}) : undefined;
  if (several) return <Several {...wired} choices={several} />;
  return (
    <div className="field">
      <label className="field-label" htmlFor={id}>{title}{required && <span className="required" aria-hidden="true"> *</span>}</label>
      <Bare {...wired} />
      <Help id={id} description={chosenText(property, value) ?? property.description} problem={problem} />
    </div>
  );
}

/** What the choice that is made means, where that is said. */
function chosenText(property: InputProperty, value: Json | undefined): string | undefined {
  return choicesOf(property)?.find((one) => one.value === value)?.description;
}

function describedBy(id: string, description: string | undefined, problem: string | undefined): string | undefined {
  const ids = [description ? `${id}-help` : '', problem ? `${id}-problem` : ''].filter(Boolean);
  return ids.length > 0 ? ids.join(' ') : undefined;
}

function Help({ id, description, problem }: { id: string; description: string | undefined; problem: string | undefined }) {
  return (
    <>
      {description && <p className="field-help" id={`${id}-help`}>{description}</p>}
      {problem && <p className="field-problem" id={`${id}-problem`} role="alert">{problem}</p>}
    </>
  );
}

function Bare(props: Wired) {
  const { property } = props.field;
  const choices = choicesOf(property);
  if (choices) return <Choose {...props} choices={choices} />;
  if (kindOf(property) === 'array') return <Lines {...props} />;
  if (property['x-type'] === 'hours') {
    const { value, problem, ...wired } = props;
    return <Hours {...wired} value={typeof value === 'string' ? value : ''} invalid={problem !== undefined} />;
  }
  return <Text {...props} />;
}

function Toggle({ id, described, title, field, value, onChange, problem, autoFocus }: Wired) {
  return (
    <div className="field">
      <label className="switch" htmlFor={id}>
        <input id={id} type="checkbox" role="switch" checked={value === true} aria-describedby={described} autoFocus={autoFocus} onChange={(event) => onChange(event.target.checked)} />
        <i aria-hidden="true" />
        <span>{title}</span>
      </label>
      <Help id={id} description={field.property.description} problem={problem} />
    </div>
  );
}

function Several({ id, described, title, field, value, onChange, problem, choices }: Wired & { choices: Choice[] }) {
  const list = Array.isArray(value) ? value : [];
  const has = (one: Choice) => list.some((each) => each === one.value);
  return (
    <fieldset className="field several" aria-describedby={described} aria-invalid={problem !== undefined}>
      <legend className="field-label">{title}{field.required && <span className="required" aria-hidden="true"> *</span>}</legend>
      {choices.map((one) => (
        <label key={String(one.value)} className="check">
          <input type="checkbox" checked={has(one)} onChange={() => onChange(choices.filter((each) => (each === one ? !has(each) : has(each))).map((each) => each.value))} />
          <span>{one.title}{one.description && <small>{one.description}</small>}</span>
        </label>
      ))}
      <Help id={id} description={field.property.description} problem={problem} />
    </fieldset>
  );
}

/** Letters that fit side by side on a phone. */
const SEGMENTS_LENGTH = 34;

/** Choices that are so few and short that all are in sight. */
function segmentsOf({ property, required }: FormField): Choice[] | undefined {
  const choices = choicesOf(property);
  const always = required || (property.default !== undefined && property.default !== null);
  const letters = choices?.reduce((sum, one) => sum + one.title.length, 0) ?? 0;
  return choices && always && choices.length <= 3 && letters <= SEGMENTS_LENGTH ? choices : undefined;
}

function Segments({ id, described, title, field, value, onChange, problem, choices }: Wired & { choices: Choice[] }) {
  return (
    <fieldset className="field" aria-describedby={described}>
      <legend className="field-label">{title}</legend>
      <div className="segments">
        {choices.map((one, n) => (
          <label key={n} className={one.value === value ? 'chosen' : ''}>
            <input type="radio" name={id} className="unseen" checked={one.value === value} onChange={() => onChange(one.value)} />
            {one.title}
          </label>
        ))}
      </div>
      <Help id={id} description={field.property.description} problem={problem} />
    </fieldset>
  );
}

function Choose({ id, described, field, value, onChange, problem, choices, autoFocus }: Wired & { choices: Choice[] }) {
  const at = choices.findIndex((one) => one.value === value);
  return (
    <select
      id={id}
      value={at < 0 ? '' : String(at)}
      required={field.required}
      aria-describedby={described}
      aria-invalid={problem !== undefined}
      autoFocus={autoFocus}
      onChange={(event) => onChange(event.target.value === '' ? undefined : choices[Number(event.target.value)]!.value)}
    >
      {(at < 0 || !field.required) && <option value="">{field.required ? 'Choose…' : 'Not set'}</option>}
      {choices.map((one, n) => <option key={n} value={n}>{one.title}</option>)}
    </select>
  );
}

/** A list of texts or numbers, one a line. */
function Lines({ id, described, field, value, onChange, onTyped, problem, autoFocus }: Wired) {
  const items: InputProperty = field.property.items ?? { type: 'string' };
  const [text, setText] = useState(() => (Array.isArray(value) ? value.map((one) => typedText(items['x-type'], one)).join('\n') : ''));
  const change = (now: string) => {
    setText(now);
    const read = now.split('\n').map((line) => line.trim()).filter(Boolean).map((line) => readControl(items, line));
    const bad = read.find((one) => 'problem' in one);
    onTyped(bad && 'problem' in bad ? bad.problem : undefined);
    if (!bad) onChange(read.map((one) => ('value' in one ? one.value : null)));
  };
  return (
    <textarea
      id={id}
      rows={Math.min(6, Math.max(2, text.split('\n').length))}
      value={text}
      placeholder="One a line"
      required={field.required}
      aria-describedby={described}
      aria-invalid={problem !== undefined}
      autoFocus={autoFocus}
      spellCheck={false}
      onChange={(event) => change(event.target.value)}
    />
  );
}

const HINTS: Partial<Record<string, string>> = { bytes: '10 GiB', rate: '5 MiB/s', duration: '1h 30m', cidr: '10.0.0.0/24', ip: '10.0.0.7', mac: '00:1b:44:11:3a:b7', url: 'https://', path: '/' };
const TECHNICAL = new Set(['id', 'ip', 'mac', 'cidr', 'url', 'path', 'hash', 'code', 'json', 'version', 'secret', 'port']);

function Text({ id, described, field: { property, required }, value, onChange, onTyped, problem, autoFocus }: Wired) {
  const domain = property['x-type'];
  const kind = kindOf(property);
  const [text, setText] = useState(() => typedText(domain, value));
  const change = (now: string) => {
    setText(now);
    const read = readControl(property, now);
    onTyped('problem' in read ? read.problem : undefined);
    if ('value' in read) onChange(read.value);
  };
  const shared = {
    id,
    value: text,
    required,
    'aria-describedby': described,
    'aria-invalid': problem !== undefined,
    autoFocus,
    className: domain !== undefined && TECHNICAL.has(domain) ? 'mono' : '',
    spellCheck: !(domain !== undefined && TECHNICAL.has(domain)),
    autoComplete: 'off',
    onChange: (event: { target: { value: string } }) => change(event.target.value),
  };
  if (property['x-ui']?.multiline || domain === 'markdown' || domain === 'code' || domain === 'json' || kind === 'object') return <textarea rows={4} {...shared} />;
  const number = kind === 'integer' || kind === 'number';
  const input = (
    <input
      {...shared}
      type={domain === 'time' ? 'datetime-local' : domain === 'secret' ? 'password' : 'text'}
      inputMode={number && domain !== 'bytes' && domain !== 'duration' ? 'decimal' : undefined}
      placeholder={HINTS[domain ?? ''] ?? rangeHint(property)}
      autoComplete={domain === 'secret' ? 'new-password' : 'off'}
    />
  );
  return domain === 'percent' ? <span className="in-percent">{input}</span> : input;
}

function rangeHint({ minimum, maximum }: InputProperty): string | undefined {
  return minimum !== undefined && maximum !== undefined && maximum < 1e6 ? `${minimum} to ${maximum}` : undefined;
}
