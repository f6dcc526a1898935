// One job in full: how far it is, what it says, what came of it, and what can be done about it.

import { useState } from 'react';
import { cancelJob, problemOf, saveFile } from '../api/http';
import { useConsole } from '../console';
import { Value } from '../fields/value';
import { clock, count, label, relative, timeExact } from '../model/format';
import { neutral } from '../model/neutral';
import type { Job, JsonObject, Problem, Stream } from '../model/schema';
import { Bar, Button, ProblemNote, Spinner } from '../ui/controls';
import { ToneIcon } from '../ui/icon';
import { fractionOf, useMeter } from './meter';
import { Result } from './result';
import { hasProgress, isFinal, stateLook } from './states';
import { StreamView } from './stream-view';
import { useJob } from './use-job';

export function State({ state }: { state: Job['state'] }) {
  const { tone = 'neutral', icon, title } = stateLook(useConsole().registry, state);
  return <span className={`with-icon text-${tone}`}><ToneIcon tone={tone} icon={icon} />{neutral(title)}</span>;
}

interface Props {
  id: string;
  onPick: (id: string) => void;
  /** Only what came of it: its name is above, and it was started from here. */
  brief?: boolean;
}

export function JobPanel({ id, onPick, brief = false }: Props) {
  const { registry, run } = useConsole();
  const { job, problem } = useJob(id);
  const [cancelling, setCancelling] = useState(false);
  const [refused, setRefused] = useState<Problem>();
  if (problem) return <ProblemNote problem={problem} />;
  if (!job) return <Spinner label="Reading the job" />;
  const found = registry.command(job.command);
  const over = isFinal(job.state);
  const cancel = async () => {
    setCancelling(true);
    setRefused(undefined);
    try {
      await cancelJob(id);
    } catch (error) {
      setRefused(problemOf(error));
      setCancelling(false);
    }
  };
  const again = () => found && run({ found, values: (job.input ?? {}) as JsonObject, ...targetsOf(job) });
  const mayCancel = !over && found?.command.cancel !== 'no';
  return (
    <article className="job">
      <header className="job-head">
        <div>
          {!brief && <h2>{neutral(job.title || found?.command.title || job.command)}</h2>}
          <p className="faint small">
            {job.machine ? `${neutral(label(job.machine))} · ` : ''}
            {job.created_at && <time dateTime={job.created_at} title={timeExact(job.created_at)}>{relative(job.created_at)}</time>}
            {job.operator ? ` · ${neutral(label(job.operator))}` : ''}
          </p>
        </div>
        <State state={job.state} />
      </header>
      {!over && <Progress job={job} />}
      {job.problem && (job.state === 'incomplete' ? <ProblemNote problem={job.problem} tone="warning" title="Not all of it" /> : <ProblemNote problem={job.problem} />)}
      {refused && <ProblemNote problem={refused} />}
      {!(brief && job.state === 'succeeded') && <div className="job-actions">
        {mayCancel && <Button small icon="stop" isDisabled={cancelling} onPress={() => void cancel()}>{cancelling ? 'Cancelling…' : 'Cancel'}</Button>}
        {over && found && <Button small icon="refresh" onPress={again}>{job.state === 'succeeded' ? 'Run again' : 'Retry'}</Button>}
        {over && found?.command.undo && (job.state === 'succeeded' || job.state === 'incomplete') && <Undo job={job} id={found.command.undo} module={found.module} />}
      </div>}
      {found?.command.cancel === 'unsafe' && !over && <p className="faint small">Cancelling may leave what was begun half done.</p>}
      <Result command={found?.command} result={job.result} />
      <Children job={job} onPick={onPick} />
      {!over && streamsOf(job, found?.command.streams).map((stream) => <StreamView key={stream.name} job={id} {...stream} />)}
      {job.state === 'running' && found?.command.streams?.filter((one) => one.as === 'download').map(({ name }) => <div key={name}><Button small icon="download" onPress={() => saveFile(id, name)}>Save the file</Button></div>)}
      <Log job={job} />
      {!brief && <Input job={job} />}
    </article>
  );
}

function Progress({ job }: { job: Job }) {
  const { text } = job.progress ?? {};
  const said = useMeter(job.progress);
  if (!hasProgress(job)) return text ? <p className="faint small">{neutral(text)}</p> : null;
  const fraction = fractionOf(job.progress);
  return (
    <div className="job-progress" role="progressbar" aria-label="Progress" aria-valuemin={0} aria-valuemax={100} aria-valuenow={fraction === undefined ? undefined : Math.floor(fraction * 100)} aria-valuetext={text || undefined}>
      <Bar fraction={fraction ?? null} />
      {said.length > 0 && <span className="job-amounts">{said.join(' · ')}</span>}
      <span>{neutral(text ?? '')}</span>
    </div>
  );
}

function Children({ job, onPick }: { job: Job; onPick: (id: string) => void }) {
  const children = job.children ?? [];
  if (children.length === 0) return null;
  const done = children.filter((one) => isFinal(one.state)).length;
  return (
    <section className="job-section">
      <h3>Machines <span className="faint">{count(done)} of {count(children.length)} done</span></h3>
      <ul className="job-children">
        {children.map((one) => (
          <li key={one.id}>
            <button type="button" onClick={() => onPick(one.id)}>
              <span>{neutral(label(one.machine ?? null) || one.id)}</span>
              {hasProgress(one) && <Bar fraction={one.progress?.fraction ?? null} />}
              <State state={one.state} />
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Log({ job }: { job: Job }) {
  const lines = job.log ?? [];
  if (lines.length === 0) return null;
  return (
    <section className="job-section">
      <h3>Log</h3>
      <div className="log" role="log" tabIndex={0} aria-label="Log">
        {lines.map((line, n) => (
          <p key={n} className={`log-${['error', 'warn'].includes(line.level) ? line.level : 'info'}`}>
            <time dateTime={line.at} title={timeExact(line.at)}>{clock(line.at)}</time>
            {line.level !== 'info' && <b>{neutral(line.level)}</b>}
            <span>{neutral(line.text)}</span>
          </p>
        ))}
      </div>
    </section>
  );
}

function Input({ job }: { job: Job }) {
  const names = Object.keys(job.input ?? {});
  if (names.length === 0) return null;
  return (
    <details className="job-section">
      <summary>What it was started with</summary>
      <Value field={{ title: 'Input', type: 'json' }} value={job.input!} roomy />
    </details>
  );
}

function Undo({ job, id, module }: { job: Job; id: string; module: string }) {
  const { registry, run } = useConsole();
  const undo = registry.command(id, module);
  if (!undo) return null;
  return <Button small icon="refresh" onPress={() => run({ found: undo, values: (job.input ?? {}) as JsonObject, ...targetsOf(job) })}>{undo.command.title}</Button>;
}

/** The machines a job ran on, for running it again. */
function targetsOf(job: Job) {
  const machines = job.machine ? [job.machine] : (job.children ?? []).map((one) => one.machine).filter((one) => one !== null && one !== undefined);
  if (machines.length === 0) return {};
  return { rows: { type: 'fleet.machine', targets: machines.map((one) => ({ key: one.id, label: one.label ?? one.id })), values: machines.map((one) => ({ $key: one.id })) } };
}

function streamsOf(job: Job, declared: Stream[] | undefined): { name: string; title: string }[] {
  const open = job.streams?.map((one) => (typeof one === 'string' ? one : one.name)) ?? declared?.map((one) => one.name) ?? [];
  return open
    .map((name): Stream => ({ name, ...declared?.find((one) => one.name === name) }))
    .filter((one) => one.direction !== 'in' && one.as === undefined)
    .map((one) => ({ name: one.name, title: one.title || one.name }));
}
