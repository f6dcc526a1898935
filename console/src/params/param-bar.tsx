// What a view is asked with, above it: each param is chosen among what there is.

import { useState, type ReactNode } from 'react';
import { useConsole } from '../console';
import { format } from '../model/format';
import { neutral } from '../model/neutral';
import { RowPicker } from '../forms/row-picker';
import { PanelButton } from '../ui/panel-button';
import '../styles/params.css';
import type { Param } from './resolve';
import { TimeSlider } from './time-slider';
import type { Params } from './use-params';

export function ParamBar({ params, children }: { params: Params; children?: ReactNode }) {
  const shown = params.list.filter((one) => one.list || one.field.ref === undefined);
  if (shown.length === 0 && !children) return null;
  return (
    <div className="param-bar">
      {shown.map((one) => (
        one.time !== undefined && one.options.length > 0
          ? <TimeSlider key={one.name} param={one} onChoose={(value) => params.choose(one.name, value)} />
          : one.list
            ? <Chosen key={one.name} param={one} onChoose={(value) => params.choose(one.name, value)} />
            : <Typed key={one.name} param={one} onChoose={(value) => params.choose(one.name, value)} />
      ))}
      {children && <span className="param-tools">{children}</span>}
    </div>
  );
}

function Chosen({ param, onChoose }: { param: Param; onChoose: (value: string) => void }) {
  const { registry } = useConsole();
  const { field, list } = param;
  const type = registry.typeOf(list!)!;
  const text = param.value === undefined ? `Choose ${neutral(field.title).toLowerCase()}` : neutral(param.label || param.value);
  return (
    <PanelButton icon={list!.view.icon ?? type.type.icon ?? 'list'} text={text} label={neutral(field.title)}>
      {(close) => (
        <RowPicker
          label={neutral(field.title)}
          view={list!.id}
          value={type.type.key?.length === 1 ? type.type.key[0] : undefined}
          autoFocus
          chosen={[]}
          onChange={([one]) => { if (one) { onChoose(one.key); close(); } }}
        />
      )}
    </PanelButton>
  );
}

function Typed({ param: { field, value }, onChoose }: { param: Param; onChoose: (value: string | undefined) => void }) {
  const [text, setText] = useState(value ?? '');
  const title = neutral(field.title);
  const values = Object.keys(field.values ?? {});
  if (values.length > 0) {
    return (
      <select aria-label={title} value={value ?? ''} onChange={(event) => onChoose(event.target.value || undefined)}>
        <option value="">{title}: any</option>
        {values.map((one) => <option key={one} value={one}>{format(field, one)}</option>)}
      </select>
    );
  }
  return (
    <input
      aria-label={title}
      placeholder={title}
      value={text}
      autoComplete="off"
      spellCheck={false}
      onChange={(event) => setText(event.target.value)}
      onBlur={() => onChoose(text || undefined)}
      onKeyDown={(event) => { if (event.key === 'Enter') onChoose(text || undefined); }}
    />
  );
}
