// A list that a command gave back: of texts a line each, of objects a row each. All of it can be taken away.

import { useState } from 'react';
import { Value } from '../fields/value';
import { copyText, count, isAlignedEnd, isObject } from '../model/format';
import { titleOf } from '../model/input';
import type { Field, InputProperty, Json } from '../model/schema';
import { Button, CopyButton } from '../ui/controls';
import { typeByValue } from './result-types';

/** Lines in sight until the rest is asked for. */
const FIRST = 50;

export function isList(value: Json): value is Json[] {
  return Array.isArray(value) && value.length > 0 && (value.every(isObject) || value.every((one) => typeof one === 'string'));
}

export function ResultList({ list, items, title }: { list: Json[]; items: InputProperty | undefined; title: string }) {
  const [all, setAll] = useState(false);
  const columns = columnsOf(list, items);
  const shown = all ? list : list.slice(0, FIRST);
  const cell = (one: Json, name: string) => (isObject(one) ? one[name] : one);
  const text = () => list.map((one) => columns.map(({ name, field }) => copyText(field, cell(one, name))).join('\t')).join('\n');
  return (
    <div className="result-value block">
      <h3>{title} <span className="faint">{count(list.length)}</span><CopyButton text={text()} label={`Copy ${title.toLowerCase()}`} /></h3>
      <div className="result-rows" tabIndex={0} role="group" aria-label={title}>
        <table>
          {columns.length > 1 && <thead><tr>{columns.map(({ name, field }) => <th key={name} scope="col">{field.title}</th>)}</tr></thead>}
          <tbody>
            {shown.map((one, n) => (
              <tr key={n}>{columns.map(({ name, field }) => <td key={name} className={isAlignedEnd(field) ? 'end' : ''}><Value field={field} value={cell(one, name)} /></td>)}</tr>
            ))}
          </tbody>
        </table>
      </div>
      {shown.length < list.length && <Button small onPress={() => setAll(true)}>Show all {count(list.length)}</Button>}
    </div>
  );
}

function columnsOf(list: Json[], items: InputProperty | undefined): { name: string; field: Field }[] {
  if (!isObject(list[0])) return [{ name: '', field: { title: '', type: items?.['x-type'] ?? 'text' } }];
  const declared = items?.properties ?? {};
  const names = [...new Set([...Object.keys(declared), ...Object.keys(list[0])])].filter((name) => list.some((one) => isObject(one) && one[name] !== null && one[name] !== undefined));
  return names.map((name) => {
    const sample = list.map((one) => (isObject(one) ? one[name] : null)).find((one) => one !== null && one !== undefined);
    const { title, 'x-type': type, 'x-ref': ref } = declared[name] ?? {};
    return { name, field: { title: title ?? titleOf(name), type: type ?? typeByValue(sample ?? null), ...(ref === undefined ? {} : { ref }) } };
  });
}
