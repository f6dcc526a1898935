// What stands in place of a view while one of its params is nothing yet.

import { useConsole } from '../console';
import { neutral } from '../model/neutral';
import { iconOf, lowerFirst, type FoundView } from '../model/registry';
import { EmptyView } from '../table/blank';
import { Empty } from '../ui/controls';
import type { Param } from './resolve';

export function MissingParam({ found, param }: { found: FoundView; param: Param }) {
  const { registry } = useConsole();
  // Of what has a time the newest is chosen by itself, so there is none.
  if (param.time !== undefined) return <EmptyView found={param.list!} />;
  return <Empty icon={iconOf(found, registry)} title={`Choose ${lowerFirst(neutral(param.field.title))}`}>What is shown here belongs to one of them.</Empty>;
}
