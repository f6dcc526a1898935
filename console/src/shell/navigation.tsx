// The way to every view, from the manifests. The core's views come first; a module that does not run keeps its place,
// marked, with the cause and the remedy.

import { useEffect } from 'react';
import { Link, useLocation } from 'wouter';
import { address, useConsole } from '../console';
import { neutral } from '../model/neutral';
import { CORE, iconOf, type FoundView, type Module } from '../model/registry';
import { Tip } from '../ui/controls';
import { Icon } from '../ui/icon';
import { Button as AriaButton } from 'react-aria-components';

export function Navigation({ open, onClose }: { open: boolean; onClose: () => void }) {
  const { registry } = useConsole();
  useEffect(() => {
    if (!open) return undefined;
    const onKey = (event: KeyboardEvent) => { if (event.key === 'Escape') onClose(); };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, [open, onClose]);
  return (
    <>
      {open && <div className="nav-shade" onClick={onClose} aria-hidden="true" />}
      <nav className={open ? 'open' : ''} aria-label="Modules">
        {registry.modules.map((module) => <ModuleLinks key={module.name} module={module} />)}
      </nav>
    </>
  );
}

function ModuleLinks({ module }: { module: Module }) {
  const [place] = useLocation();
  const { registry } = useConsole();
  const { shown, failure } = module;
  const core = module.name === CORE;
  if (shown.length === 0 && !failure && core) return null;
  if (!core && shown.length <= 1) {
    const only = shown[0];
    return (
      <ul className="nav-group">
        <NavItem
          to={only && !failure ? address(module.name, only.view.id) : `/${module.name}`}
          icon={module.icon}
          title={module.title}
          current={inModule(place, module.name)}
          failure={failure}
        />
      </ul>
    );
  }
  const titleId = `nav-${module.name}`;
  return (
    <>
      {!core && (
        <div className="nav-title" id={titleId}>
          <Link href={`/${module.name}`} aria-current={place === `/${module.name}` ? 'page' : undefined}>{neutral(module.title)}</Link>
          {failure && <FailureMark failure={failure} />}
        </div>
      )}
      <ul className="nav-group" aria-labelledby={core ? undefined : titleId}>
        {shown.map((found) => (
          <NavItem
            key={found.id}
            to={address(found.module, found.view.id)}
            icon={iconOf(found, registry)}
            title={found.view.title}
            current={isCurrent(place, found, shown, registry.view.bind(registry))}
          />
        ))}
      </ul>
    </>
  );
}

function inModule(place: string, name: string): boolean {
  return place === `/${name}` || place.startsWith(`/${name}/`);
}

/** The view itself, or the first that leads to what is shown. */
function isCurrent(place: string, found: FoundView, shown: FoundView[], view: (id: string, from: string) => FoundView | undefined): boolean {
  const [, module, id] = place.split('/');
  if (module !== found.module) return false;
  if (id === found.view.id) return true;
  if (shown.some((one) => one.view.id === id)) return false;
  const leading = shown.find((one) => one.view.drill && view(one.view.drill, one.module)?.view.id === id);
  return leading === found;
}

function NavItem({ to, icon, title, current, failure }: { to: string; icon: string; title: string; current: boolean; failure?: Module['failure'] }) {
  return (
    <li className="nav-item">
      <Link href={to} aria-current={current ? 'page' : undefined}>
        <Icon name={icon} size={17} />
        <span>{neutral(title)}</span>
      </Link>
      {failure && <FailureMark failure={failure} />}
    </li>
  );
}

function FailureMark({ failure }: { failure: NonNullable<Module['failure']> }) {
  const text = neutral([failure.cause, failure.remedy].filter(Boolean).join(' '));
  const off = failure.state === 'disabled';
  return (
    <Tip text={text}>
      <AriaButton className={`nav-failure ${off ? 'off' : ''}`} aria-label={`${off ? 'Switched off' : 'Not running'}: ${text}`}>
        <Icon name={off ? 'circle-off' : 'alert'} size={15} />
      </AriaButton>
    </Tip>
  );
}
