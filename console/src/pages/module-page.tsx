// What a module is, how it is, and what it offers.

import { useEffect } from 'react';
import { Link } from 'wouter';
import { address, useConsole, whyNot } from '../console';
import { neutral } from '../model/neutral';
import { iconOf } from '../model/registry';
import { Button } from '../ui/controls';
import { Icon } from '../ui/icon';
import { FailureNote, NotFound } from './view-page';

export function ModulePage({ name }: { name: string }) {
  const console_ = useConsole();
  const { registry, run } = console_;
  const module = registry.module(name);
  useEffect(() => { document.title = `${module?.title ?? 'Not found'} · Bailiwick`; }, [module]);
  if (!module) return <NotFound />;
  const { plugin, commands = [] } = module.manifest;
  const free = commands.map((one) => registry.command(one.id, name)!).filter((one) => Object.keys(one.command.bind ?? {}).length === 0);
  return (
    <div className="page">
      <header className="page-head">
        <h1><Icon name={module.icon} size={22} />{neutral(plugin.title)}</h1>
      </header>
      <FailureNote module={name} />
      {plugin.description && <p className="lead">{neutral(plugin.description)}</p>}
      <dl className="facts">
        <div><dt>Version</dt><dd>{neutral(plugin.version)}</dd></div>
        {plugin.vendor && <div><dt>Vendor</dt><dd>{neutral(plugin.vendor)}</dd></div>}
        <div><dt>Id</dt><dd className="mono">{neutral(plugin.id)}</dd></div>
      </dl>
      {module.shown.length > 0 && (
        <section>
          <h2>Views</h2>
          <ul className="tiles">
            {module.shown.map((found) => (
              <li key={found.id}>
                <Link className="tile" href={address(found.module, found.view.id)}>
                  <Icon name={iconOf(found, registry)} size={18} />
                  <span><strong>{neutral(found.view.title)}</strong>{found.view.description && <small>{neutral(found.view.description)}</small>}</span>
                </Link>
              </li>
            ))}
          </ul>
        </section>
      )}
      {free.length > 0 && (
        <section>
          <h2>Commands</h2>
          <ul className="command-list">
            {free.map((one) => (
              <li key={one.id}>
                <span><strong>{neutral(one.command.title)}</strong>{one.command.description && <small>{neutral(one.command.description)}</small>}</span>
                <Button small icon={one.command.icon ?? 'play'} reason={whyNot(console_, one)} onPress={() => run({ found: one })} aria-label={one.command.title}>Run</Button>
              </li>
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}
