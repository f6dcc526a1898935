// What a command gave back. Every text in it can be copied; code is set apart; a secret is shown this once.

import { CodeBlock, Value } from '../fields/value';
import { isObject } from '../model/format';
import { titleOf } from '../model/input';
import type { Command, Field, FieldType, InputProperty, Json } from '../model/schema';
import { CopyButton, Note } from '../ui/controls';

export function Result({ command, result }: { command: Command | undefined; result: Json | undefined }) {
  if (result === null || result === undefined) return null;
  if (!isObject(result)) return <div className="result"><ResultValue value={result} property={undefined} name="Result" /></div>;
  const declared = command?.output?.properties ?? {};
  const names = [...new Set([...Object.keys(declared).filter((name) => name in result), ...Object.keys(result)])]
    .filter((name) => result[name] !== null && result[name] !== '');
  if (names.length === 0) return null;
  const ordered = [...names].sort((a, b) => rank(declared[a], result[a]) - rank(declared[b], result[b]));
  const secret = names.some((name) => declared[name]?.['x-type'] === 'secret');
  return (
    <div className="result">
      {secret && <Note tone="warning" icon="key" title="Shown once"><p>Copy it now: it is not kept and cannot be shown again.</p></Note>}
      {ordered.map((name) => <ResultValue key={name} name={name} value={result[name]!} property={declared[name]} />)}
    </div>
  );
}

/** What is to be taken away comes first. */
function rank(property: InputProperty | undefined, value: Json | undefined): number {
  const domain = property?.['x-type'];
  // A line to paste before the single word in it.
  if (domain === 'code' || domain === 'secret') return typeof value === 'string' && /\s/.test(value) ? 0 : 1;
  return typeof value === 'string' ? 2 : 3;
}

function ResultValue({ name, value, property }: { name: string; value: Json; property: InputProperty | undefined }) {
  const type = property?.['x-type'] ?? typeByValue(value);
  const title = property?.title ?? titleOf(name);
  const block = type === 'code' || type === 'secret' || (typeof value === 'string' && (value.includes('\n') || value.length > 80));
  const field: Field = { title, type, many: Array.isArray(value) && !['tags', 'refs', 'series', 'json'].includes(type) };
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

function typeByValue(value: Json): FieldType {
  if (typeof value === 'number') return 'decimal';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'string') return /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value) ? 'time' : 'text';
  return 'json';
}
