// What is due for some rows of a list, offered above it: each row that has not been thought of yet, with the command.

import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { fetchColumns } from '../api/http';
import { useConsole, whyNot, type Target } from '../console';
import { format } from '../model/format';
import { neutral } from '../model/neutral';
import type { FoundOffer, FoundView } from '../model/registry';
import type { Filter, JsonObject } from '../model/schema';
import { Button, IconButton, Note } from '../ui/controls';
import { titleFor } from './start';

/** Rows that are offered together; of more, the list is the better place. */
const MOST = 500;

/** Rows for which an offer was put away, by its command; until the page is loaded anew. */
const putAway = new Map<string, Set<string>>();

/** `show` narrows the list on this page to the rows of an offer. */
export function Offers({ found, show }: { found: FoundView; show: (where: Filter[]) => void }) {
  const { registry } = useConsole();
  return registry.offersOn(found).map((one) => <Offer key={one.command.id} show={one.list.id === found.id ? show : undefined} {...one} />);
}

function Offer({ command, offer, list, where, show }: FoundOffer & { show: ((where: Filter[]) => void) | undefined }) {
  const console_ = useConsole();
  const [, again] = useState(0);
  const type = console_.registry.typeOf(list)!;
  const name = type.type.label;
  const due = useQuery({
    queryKey: ['rows', list.id, 'offer', command.id],
    queryFn: () => fetchColumns({ name: list.module, view: list.view.id }, { where, fields: [name], page: { limit: MOST } }),
    placeholderData: (before) => before,
    refetchInterval: 20_000,
  });
  const away = putAway.get(command.id);
  if (!due.data?.keys.some((key) => !away?.has(key))) return null;
  const { keys, rows, columns } = due.data;
  const targets = keys.map((key, n): Target => ({ key, label: format(type.type.fields[name] ?? { type: 'text' }, rows[n]![columns.indexOf(name)]) || key }));
  const more = due.data.next ? '+' : '';
  const text = keys.length === 1
    ? offer.text.replaceAll('{name}', targets[0]!.label)
    : offer.text_many.replaceAll('{n}', keys.length.toLocaleString() + more);
  const values = targets.map(({ key, label }): JsonObject => ({ $key: key, [name]: label }));
  const start = () => console_.run({
    found: command,
    ...(offer.of === undefined ? { rows: { type: type.id, targets, values } } : {}),
  });
  return (
    <Note icon={command.command.icon ?? 'info'} title={neutral(text)} action={
      <span className="offer-buttons">
        {keys.length > 1 && show && <Button small kind="quiet" onPress={() => show(where)}>Show</Button>}
        <Button small kind="primary" reason={whyNot(console_, command)} onPress={start}>{neutral(titleFor(command, offer.of === undefined ? keys.length : 1))}</Button>
        <IconButton small icon="x" label="Not now" onPress={() => { putAway.set(command.id, new Set(keys)); again((n) => n + 1); }} />
      </span>
    } />
  );
}
