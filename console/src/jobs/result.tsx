// What a command gave back. Every text in it can be copied; code is set apart; a secret is shown this once.

import { CodeBlock, Value } from '../fields/value';
import { isObject } from '../model/format';
import { titleOf } from '../model/input';
import type { Command, Field, InputProperty, Json } from '../model/schema';
import { CopyButton, Note } from '../ui/controls';
import { isList, ResultList } from './result-list';
import { typeByValue } from './result-types';

export function Result({ command, result }: { command: Command | undefined; result: Json | undefined }) {
  if (result === null || result === undefined) return null;
  if (!isObject(result)) return <div className="result"><ResultValue value={result} property={undefined} name="Result" /></div>;
  const declared = command?.output?.properties ?? {};
  const names = [...new Set([...Object.keys(declared).filter((name) => name in result), ...Object.keys(result)])]
    .filter((name) => result[name] !== null && result[name] !== '' && !(Array.isArray(result[name]) && result[name].length === 0));
  if (names.length === 0) return null;
  const ordered = [...names].sort((a, b) => rank(declared[a], result[a]) - rank(declared[b], result[b]));
  // Figures stand side by side, once there are some; of many, those that are nothing are left out.
  const figures = ordered.filter((name) => typeof result[name] === 'number' || typeof result[name] === 'boolean');
  const some = figures.filter((name) => result[name] !== 0 && result[name] !== false);
  const plain = figures.length <= 2 ? [] : figures.length > 4 && some.length > 0 ? some : figures;
  const rest = ordered.filter((name) => figures.length <= 2 || !figures.includes(name));
  const secret = names.some((name) => declared[name]?.['x-type'] === 'secret');
  return (
    <div className="result">
      {secret && <Note tone="warning" icon="key" title="Shown once"><p>Copy it now: it is not kept and cannot be shown again.</p></Note>}
      {plain.length > 0 && (
        <dl className="facts result-facts">
          {plain.map((name) => <div key={name}><dt title={declared[name]?.description}>{titleFor(name, declared[name])}</dt><dd><Value field={fieldFor(name, result[name]!, declared[name])} value={result[name]!} roomy /></dd></div>)}
        </dl>
      )}
      {rest.map((name) => <ResultValue key={name} name={name} value={result[name]!} property={declared[name]} />)}
    </div>
  );
}

function titleFor(name: string, property: InputProperty | undefined): string {
  return property?.title ?? titleOf(name);
}

function fieldFor(name: string, value: Json, property: InputProperty | undefined): Field {
  const type = property?.['x-type'] ?? typeByValue(value);
  return { title: titleFor(name, property), type, many: Array.isArray(value) && !['tags', 'refs', 'series', 'json'].includes(type) };
}

/** What is to be taken away comes first. */
function rank(property: InputProperty | undefined, value: Json | undefined): number {
  const domain = property?.['x-type'];
  // A line to paste before the single word in it.
  if (domain === 'code' || domain === 'secret') return typeof value === 'string' && /\s/.test(value) ? 0 : 1;
  if (Array.isArray(value)) return 1.5;
  return typeof value === 'string' ? 2 : 3;
}

function ResultValue({ name, value, property }: { name: string; value: Json; property: InputProperty | undefined }) {
  const field = fieldFor(name, value, property);
  const { type, title } = field;
  if (property?.['x-type'] === undefined && isList(value)) return <ResultList list={value} items={property?.items} title={title} />;
  const block = type === 'code' || type === 'secret' || (typeof value === 'string' && (value.includes('\n') || value.length > 80));
  return (
    <div className={`result-value ${block ? 'block' : ''}`}>
      <h3>{title}</h3>
      {property?.description && <p className="faint small">{property.description}</p>}
      {block && typeof value === 'string' && type !== 'markdown'
        ? <CodeBlock text={value} />
        : <div className="result-line"><Value field={field} value={value} roomy />{typeof value === 'string' && type !== 'time' && <CopyButton text={value} label={`Copy ${title.toLowerCase()}`} />}</div>}
    </div>
  );
}
