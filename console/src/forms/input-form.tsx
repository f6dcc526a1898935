// The fields of an input, the rare ones behind "More options".

import { useState } from 'react';
import { isAsked, type FormField, type Values } from '../model/input';
import type { Json } from '../model/schema';
import { Icon } from '../ui/icon';
import { Control, type Surroundings } from './control';

interface Props {
  fields: FormField[];
  values: Values;
  problems: Record<string, string>;
  onChange: (path: string, value: Json | undefined) => void;
  /** What was typed is not yet a value: why; nothing once it is. */
  onTyped: (path: string, problem: string | undefined) => void;
  autoFocus: boolean;
  from: Surroundings;
}

export function InputForm(props: Props) {
  const asked = props.fields.filter((one) => isAsked(one, props.values));
  const usual = asked.filter((one) => !one.advanced);
  const rare = asked.filter((one) => one.advanced);
  const wrong = rare.some((one) => one.path in props.problems);
  const [open, setOpen] = useState(false);
  return (
    <>
      <Group {...props} fields={usual} />
      {rare.length > 0 && (
        <details className="more-options" open={open || wrong} onToggle={(event) => setOpen(event.currentTarget.open)}>
          <summary><Icon name="chevron-right" size={14} />More options</summary>
          <div className="more-fields"><Group {...props} fields={rare} autoFocus={false} /></div>
        </details>
      )}
    </>
  );
}

/** Fields in order; those of one object together under its title. */
function Group({ fields, ...props }: Props) {
  const runs: { group: string | undefined; fields: FormField[] }[] = [];
  for (const one of fields) {
    const last = runs.at(-1);
    if (last && last.group === one.group) last.fields.push(one);
    else runs.push({ group: one.group, fields: [one] });
  }
  return runs.map(({ group, fields: list }, n) => {
    const controls = list.map((one, m) => (
      <Control
        key={one.path}
        field={one}
        value={props.values[one.path]}
        problem={props.problems[one.path]}
        onChange={(value) => props.onChange(one.path, value)}
        onTyped={(problem) => props.onTyped(one.path, problem)}
        autoFocus={props.autoFocus && n === 0 && m === 0}
        from={props.from}
      />
    ));
    return group === undefined ? controls : <fieldset key={group} className="field-group"><legend>{group}</legend>{controls}</fieldset>;
  });
}
