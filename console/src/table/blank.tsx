// A list without rows: nothing there, or nothing yet.

import { useConsole, whyNot } from '../console';
import { iconOf, type FoundView } from '../model/registry';
import { Button, Empty } from '../ui/controls';

export function EmptyView({ found }: { found: FoundView }) {
  const console_ = useConsole();
  const { registry, run } = console_;
  const { empty, title } = found.view;
  const action = empty?.action ? registry.command(empty.action, found.module) : undefined;
  return (
    <Empty
      icon={iconOf(found, registry)}
      title={empty?.title ?? `${title}: nothing yet`}
      action={action && <Button kind="primary" icon={action.command.icon ?? 'play'} reason={whyNot(console_, action)} onPress={() => run({ found: action })}>{action.command.title}</Button>}
    >
      {empty?.body ?? (empty ? null : 'Rows appear here by themselves as soon as there are any.')}
    </Empty>
  );
}

export function Skeleton({ label }: { label: string }) {
  return (
    <div className="skeleton" role="status" aria-label={`Loading ${label}`}>
      {Array.from({ length: 12 }, (_, n) => <i key={n} />)}
    </div>
  );
}
