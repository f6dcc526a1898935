// Chooses among rows of a view, found by typing. What the administrator knows is offered, never typed.

import { useQuery } from '@tanstack/react-query';
import { useMemo, useState, type Key } from 'react';
import { Button as AriaButton, ComboBox, Input, Label, ListBox, ListBoxItem, Popover } from 'react-aria-components';
import { fetchColumns } from '../api/http';
import { useConsole, type Target } from '../console';
import { format, refId } from '../model/format';
import { neutral } from '../model/neutral';
import type { Query } from '../model/schema';
import { Icon } from '../ui/icon';

interface Props {
  label: string;
  /** Id of the view whose rows are offered. */
  view: string;
  from?: string;
  /** Field whose value is put in; the key where absent. */
  value?: string | undefined;
  /** Field that is shown; the type's label where absent. */
  shown?: string | undefined;
  many?: boolean;
  required?: boolean;
  chosen: Target[];
  onChange: (chosen: Target[]) => void;
  description?: string | undefined;
  problem?: string | undefined;
  autoFocus?: boolean;
}

const OFFERED = 50;

export function RowPicker(props: Props) {
  const { label, many, chosen, onChange, problem } = props;
  const [text, setText] = useState<string>();
  const { options, failed, unknown } = useOptions(props, text ?? '');
  const keys = new Set(chosen.map((one) => one.key));
  const offered = many ? options.filter((one) => !keys.has(one.key)) : options;
  const single = many ? undefined : chosen[0];
  const singleLabel = single ? (options.find((one) => one.key === single.key)?.label ?? single.label) : '';
  const pick = (key: Key | null) => {
    const one = offered.find((each) => each.key === key);
    if (!one) return;
    onChange(many ? [...chosen, one] : [one]);
    setText(many ? '' : undefined);
  };
  return (
    <div className="field">
      <ComboBox
        className="combo"
        items={offered}
        inputValue={text ?? singleLabel}
        onInputChange={setText}
        selectedKey={many ? null : (single?.key ?? null)}
        onSelectionChange={pick}
        onBlur={() => setText(many ? '' : undefined)}
        menuTrigger="focus"
        allowsEmptyCollection
        isInvalid={problem !== undefined}
        defaultFilter={() => true}
        autoFocus={props.autoFocus ?? false}
      >
        <Label className="field-label">{label}{props.required && <span className="required" aria-hidden="true"> *</span>}</Label>
        <div className="combo-box">
          {many && chosen.map((one) => (
            <span key={one.key} className="pill removable">
              {neutral(one.label)}
              <button type="button" aria-label={`Remove ${one.label}`} onClick={() => onChange(chosen.filter((each) => each.key !== one.key))}><Icon name="x" size={12} /></button>
            </span>
          ))}
          <Input
            placeholder={chosen.length === 0 ? 'Type to find' : many ? 'Add another' : ''}
            onKeyDown={(event) => { if (many && event.key === 'Backspace' && !text && chosen.length > 0) onChange(chosen.slice(0, -1)); }}
          />
          <AriaButton className="combo-open" aria-label={`Show ${label.toLowerCase()}`}><Icon name="chevron-down" size={15} /></AriaButton>
        </div>
        <Popover className="popover combo-popover" offset={4}>
          <ListBox<Target> className="menu" renderEmptyState={() => <p className="menu-empty">{unknown ? 'These choices are not available here.' : failed ?? (text ? 'Nothing matches' : 'Nothing to choose from')}</p>}>
            {(one) => <ListBoxItem id={one.key} textValue={one.label} className="menu-item">{neutral(one.label)}</ListBoxItem>}
          </ListBox>
        </Popover>
      </ComboBox>
      {props.description && <p className="field-help">{props.description}</p>}
      {problem && <p className="field-problem" role="alert">{problem}</p>}
    </div>
  );
}

function useOptions({ view, from, value, shown }: Props, text: string): { options: Target[]; failed: string | undefined; unknown: boolean } {
  const { registry } = useConsole();
  const found = registry.view(view, from);
  const type = found && registry.typeOf(found);
  const labelName = shown ?? type?.type.label;
  const query: Query = { ...(text ? { q: text } : {}), page: { limit: OFFERED }, sort: found?.view.sort ?? [], fields: [...new Set([value, labelName].filter((one) => one !== undefined))] };
  const rows = useQuery({
    queryKey: ['options', view, from, query],
    queryFn: () => fetchColumns({ name: found!.module, view: found!.view.id }, query),
    enabled: found !== undefined,
    placeholderData: (before) => before,
  });
  const options = useMemo(() => {
    const { columns = [], rows: list = [], keys = [] } = rows.data ?? {};
    const field = (labelName && type?.type.fields[labelName]) || { type: 'text' as const };
    return list.map((cells, n) => {
      const own = keys[n] ?? '';
      const put = value === undefined ? own : refId(cells[columns.indexOf(value)] ?? own) || own;
      return { key: put, label: (labelName && format(field, cells[columns.indexOf(labelName)])) || put };
    });
  }, [rows.data, labelName, type, value]);
  return { options, failed: rows.error ? rows.error.message : undefined, unknown: found === undefined };
}
