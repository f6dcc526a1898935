// The few controls everything is made of.

import { useEffect, useState, type ReactNode, type Ref } from 'react';
import { Button as AriaButton, type ButtonProps, Tooltip as AriaTooltip, TooltipTrigger } from 'react-aria-components';
import type { Problem } from '../model/schema';
import { neutral } from '../model/neutral';
import { Icon } from './icon';

interface Props extends Omit<ButtonProps, 'className' | 'children' | 'style'> {
  kind?: 'plain' | 'primary' | 'danger' | 'quiet';
  icon?: string | undefined;
  small?: boolean | undefined;
  className?: string | undefined;
  children?: ReactNode;
  /** Why it cannot be pressed: the button stays reachable and says so. */
  reason?: string | undefined;
  ref?: Ref<HTMLButtonElement>;
}

export function Button({ kind = 'plain', icon, small, className, children, reason, ref, ...rest }: Props) {
  const button = (
    <AriaButton
      {...rest}
      ref={ref}
      {...(reason ? { onPress: undefined, 'aria-disabled': true, type: 'button' as const } : {})}
      className={['button', kind, small ? 'small' : '', children ? '' : 'square', reason ? 'unavailable' : '', className ?? ''].join(' ')}
    >
      {icon && <Icon name={icon} size={small ? 15 : 16} />}
      {children}
    </AriaButton>
  );
  return reason ? <Tip text={reason}>{button}</Tip> : button;
}

/** A button that is only an icon; its name is shown as a tooltip. */
export function IconButton({ label, icon, shortcut, ...rest }: Props & { label: string; icon: string; shortcut?: string }) {
  return (
    <Tip text={label} shortcut={shortcut}>
      <Button {...rest} kind={rest.kind ?? 'quiet'} icon={icon} aria-label={label} />
    </Tip>
  );
}

export function Tip({ text, shortcut, children }: { text: string; shortcut?: string | undefined; children: ReactNode }) {
  return (
    <TooltipTrigger delay={500} closeDelay={100}>
      {children}
      <AriaTooltip className="tooltip" offset={6}>
        {text}
        {shortcut && <kbd>{shortcut}</kbd>}
      </AriaTooltip>
    </TooltipTrigger>
  );
}

/** Copies a text and says so. Works without the clipboard permission that plain HTTP lacks. */
export function CopyButton({ text, label = 'Copy', small = true, children }: { text: string; label?: string; small?: boolean; children?: ReactNode }) {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return undefined;
    const timer = setTimeout(() => setDone(false), 1600);
    return () => clearTimeout(timer);
  }, [done]);
  const press = () => void copy(text).then(setDone);
  const icon = done ? 'check' : 'copy';
  return (
    <>
      {children ? (
        <Button icon={icon} small={small} onPress={press}>{done ? 'Copied' : children}</Button>
      ) : (
        <IconButton icon={icon} small={small} label={done ? 'Copied' : label} onPress={press} />
      )}
      <span className="unseen" role="status">{done ? 'Copied' : ''}</span>
    </>
  );
}

export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement('textarea');
    area.value = text;
    area.className = 'unseen';
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}

/** What went wrong, in a sentence, with the way out. */
export function ProblemNote({ problem, onRetry, title, tone = 'danger' }: { problem: Problem; onRetry?: (() => void) | undefined; title?: string; tone?: 'danger' | 'warning' }) {
  return (
    <div className={`note ${tone}`} role="alert">
      <Icon name="alert" size={18} />
      <div>
        {title && <strong>{title}</strong>}
        <p>{neutral(problem.message)}</p>
        {problem.fix && <p className="fix">{neutral(problem.fix)}</p>}
        {problem.causes && problem.causes.length > 0 && (
          <ul>{problem.causes.map((cause, n) => <li key={n}>{neutral(cause.message)}{cause.fix ? ` ${neutral(cause.fix)}` : ''}</li>)}</ul>
        )}
        {problem.trace_id && <p className="faint">Trace {neutral(problem.trace_id)}</p>}
      </div>
      {onRetry && <Button small icon="refresh" onPress={onRetry}>Try again</Button>}
    </div>
  );
}

export function Note({ tone = 'info', icon, title, children, action }: { tone?: 'info' | 'warning' | 'danger' | 'success'; icon?: string; title?: string; children?: ReactNode; action?: ReactNode }) {
  return (
    <div className={`note ${tone}`}>
      <Icon name={icon ?? (tone === 'info' ? 'info' : tone === 'success' ? 'circle-check' : 'alert')} size={18} />
      <div>
        {title && <strong>{title}</strong>}
        {children}
      </div>
      {action}
    </div>
  );
}

export function Spinner({ label = 'Loading' }: { label?: string }) {
  return <span className="spinner" role="status"><Icon name="spinner" size={16} className="turning" /><span>{label}…</span></span>;
}

export function Empty({ icon, title, children, action }: { icon: string; title: string; children?: ReactNode; action?: ReactNode }) {
  return (
    <div className="empty">
      <span className="empty-mark"><Icon name={icon} size={26} /></span>
      <h2>{title}</h2>
      {children && <div className="empty-body">{children}</div>}
      {action && <div className="empty-action">{action}</div>}
    </div>
  );
}

export function Bar({ fraction, tone }: { fraction: number | null | undefined; tone?: string }) {
  const known = typeof fraction === 'number' && Number.isFinite(fraction);
  const part = known ? Math.max(0, Math.min(1, fraction)) : 0;
  return (
    <span className={`bar ${tone ?? ''} ${known ? '' : 'unknown'}`} aria-hidden="true">
      <b style={{ inlineSize: known ? `${part * 100}%` : undefined }} />
    </span>
  );
}
