// One value of a domain type, as it is shown in a cell and in a detail.

import { memo, type ReactNode } from 'react';
import { Link } from 'wouter';
import { rowAddress, useConsole } from '../console';
import { exact, format, isAbsent, isMono, isObject, label, refId } from '../model/format';
import { neutral, neutralLines } from '../model/neutral';
import type { Field, Json } from '../model/schema';
import { Bar, CopyButton } from '../ui/controls';
import { Icon, isIcon, ToneIcon } from '../ui/icon';
import { Markdown } from './markdown';
import { Avatar, Spark } from './marks';

interface Props {
  field: Field;
  value: Json | undefined;
  /** In a detail there is room: several lines, whole lists, buttons to copy. */
  roomy?: boolean;
  /** Whether links in it can be reached with the tabulator key. */
  reachable?: boolean;
}

export const Value = memo(function Value({ field, value, roomy = false, reachable = true }: Props): ReactNode {
  if (isAbsent(value)) {
    return <span className="absent">{roomy ? '–' : ''}</span>;
  }
  if (field.many && Array.isArray(value)) return <Many field={field} list={value} roomy={roomy} reachable={reachable} />;
  return <One field={field} value={value!} roomy={roomy} reachable={reachable} />;
});

function One({ field, value, roomy = false, reachable = true }: Props & { value: Json }) {
  switch (field.type) {
    case 'status':
      return <Status field={field} value={value} />;
    case 'enum':
      return toneOf(field, value) ? <Status field={field} value={value} /> : <Plain field={field} value={value} />;
    case 'bool':
      return <span className="with-icon"><Icon name={value === true ? 'check' : 'minus'} size={14} className={value === true ? 'tone-success' : 'tone-neutral'} />{format(field, value)}</span>;
    case 'percent':
      return <Percent field={field} value={value} />;
    case 'progress':
      return isObject(value) ? <span className="bar-cell"><Bar fraction={typeof value.fraction === 'number' ? value.fraction : null} /><span title={roomy ? undefined : format(field, value)}><bdi>{format(field, value)}</bdi></span></span> : <bdi>{format(field, value)}</bdi>;
    case 'series':
      return Array.isArray(value) ? <Spark values={value} /> : <bdi>{format(field, value)}</bdi>;
    case 'user':
      return <span className="with-icon"><Avatar name={label(value)} /><bdi className="clip">{format(field, value)}</bdi></span>;
    case 'ref':
      return <Reference field={field} value={value} reachable={reachable} />;
    case 'tags':
    case 'refs':
      return Array.isArray(value) ? <Many field={{ ...field, type: field.type === 'refs' ? 'ref' : 'tags' }} list={value} roomy={roomy} reachable={reachable} /> : <bdi>{format(field, value)}</bdi>;
    case 'url':
      return <Url value={value} reachable={reachable} />;
    case 'icon':
      return typeof value === 'string' && isIcon(value) ? <Icon name={value} label={value} /> : <bdi>{format(field, value)}</bdi>;
    case 'markdown':
      return roomy && typeof value === 'string' ? <Markdown text={value} under={3} /> : <bdi>{format(field, value)}</bdi>;
    case 'code':
      return roomy ? <CodeBlock text={String(value)} /> : <code className="mono">{format(field, value)}</code>;
    case 'json':
      return roomy ? <CodeBlock text={typeof value === 'object' ? JSON.stringify(value, null, 2) : String(value)} /> : <code className="mono">{format(field, value)}</code>;
    case 'secret':
      return <span className="faint" aria-label="hidden">••••••</span>;
    default:
      return <Plain field={field} value={value} />;
  }
}

function Plain({ field, value }: { field: Field; value: Json }) {
  const text = format(field, value);
  const tone = typeof value === 'number' ? numberTone(field, value) : undefined;
  const title = exact(field, value);
  const shown = field.type === 'time' && typeof value === 'string' ? <time dateTime={value} title={title}>{text}</time> : text;
  if (!tone && !isMono(field.type) && field.type !== 'time' && !title) return <bdi>{text}</bdi>;
  return (
    <span className={`${isMono(field.type) ? 'mono' : ''} ${tone ? `text-${tone}` : ''}`} title={field.type === 'time' ? undefined : title}>
      {tone && <Icon name="alert" size={13} className={`tone-${tone}`} />}
      <bdi>{shown}</bdi>
    </span>
  );
}

function numberTone(field: Field, value: number): 'warning' | 'danger' | undefined {
  if (field.danger !== undefined && value >= field.danger) return 'danger';
  if (field.warn !== undefined && value >= field.warn) return 'warning';
  return undefined;
}

function Status({ field, value }: { field: Field; value: Json }) {
  const meaning = typeof value === 'string' ? field.values?.[value] : undefined;
  const tone = meaning?.tone ?? 'neutral';
  return (
    <span className={`with-icon text-${tone}`}>
      <ToneIcon tone={tone} {...(meaning?.icon ? { icon: meaning.icon } : {})} />
      <bdi className="clip">{format(field, value)}</bdi>
    </span>
  );
}

/** What a value of an enum means, where it means anything. */
function toneOf(field: Field, value: Json): string | undefined {
  const tone = typeof value === 'string' ? field.values?.[value]?.tone : undefined;
  return tone === 'neutral' ? undefined : tone;
}

function Percent({ field, value }: { field: Field; value: Json }) {
  if (typeof value !== 'number') return <bdi>{format(field, value)}</bdi>;
  const tone = numberTone(field, value);
  return (
    <span className="bar-cell">
      <Bar fraction={value / 100} tone={tone} />
      <span className={tone ? `text-${tone}` : ''}><bdi>{format(field, value)}</bdi></span>
    </span>
  );
}

function Reference({ field, value, reachable }: Props & { value: Json }) {
  const { registry } = useConsole();
  const id = refId(value);
  const to = field.ref && id ? rowAddress(registry, field.ref, id) : undefined;
  const text = label(value);
  if (!to) return <bdi>{text}</bdi>;
  return <Link className="link" href={to} tabIndex={reachable ? 0 : -1}><bdi>{text}</bdi></Link>;
}

function Url({ value, reachable }: { value: Json; reachable: boolean | undefined }) {
  const text = neutral(String(value));
  // Only web addresses become links: `javascript:` and its like stay text.
  if (!/^https?:\/\//i.test(text)) return <bdi>{text}</bdi>;
  return (
    <a className="link" href={text} target="_blank" rel="noopener noreferrer" tabIndex={reachable ? 0 : -1}>
      <bdi>{text.replace(/^https?:\/\//i, '').replace(/\/$/, '')}</bdi>
    </a>
  );
}

function Many({ field, list, roomy, reachable }: Omit<Props, 'value'> & { list: Json[] }) {
  const pills = field.type === 'tags' || field.type === 'group' || field.type === 'enum';
  const some = roomy ? list : pills ? list.slice(0, 3) : asManyAsFit(field, list);
  const rest = list.length - some.length;
  const single = { ...field, many: false };
  const items = some.map((one, n) => (
    <span key={n} className={pills ? 'pill' : 'piece'}>
      {field.type === 'tags' || field.type === 'group' ? neutral(label(one)) : <One field={single} value={one} roomy={false} reachable={reachable} />}
    </span>
  ));
  return (
    <span className={`many ${roomy ? 'roomy' : ''} ${pills ? 'pills' : 'comma'}`} title={roomy ? undefined : rest > 0 ? format(field, list) : undefined}>
      {items}
      {rest > 0 && <span className="more-of"><bdi>+{rest}</bdi></span>}
    </span>
  );
}

const LINE = 28;
const LINE_MONO = 19;

/** Whole values while they fit a cell; at least one. */
function asManyAsFit(field: Field, list: Json[]): Json[] {
  const room = isMono(field.type) ? LINE_MONO : LINE;
  let length = 0;
  const fitting = list.findIndex((one) => (length += format({ ...field, many: false }, one).length + 2) > room);
  return list.slice(0, fitting < 0 ? list.length : Math.max(1, fitting));
}

/** A text that is meant to be taken away: set apart, kept in its lines, with a button that copies it. */
export function CodeBlock({ text }: { text: string }) {
  return (
    <div className="code-block">
      <pre tabIndex={0}><code>{neutralLines(text)}</code></pre>
      <CopyButton text={text} />
    </div>
  );
}
