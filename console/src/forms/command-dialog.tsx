// Running a command: whom it is for, what it asks, what it would cost, and, where it answers at once, what came of it.

import { useEffect, useRef, useState } from 'react';
import { problemOf, saveFile, startCommand } from '../api/http';
import { useConsole, whyNot, type CommandRequest, type Target } from '../console';
import { neutral } from '../model/neutral';
import { check, fieldsOf, isAsked, kindOf, pathOf, startValues, toInput, type FormField, type Values } from '../model/input';
import { holds } from '../model/predicate';
import type { Json, OutputSchema, Problem } from '../model/schema';
import { FileLook } from '../jobs/file-look';
import { JobPanel } from '../jobs/job-panel';
import { titleFor } from '../table/start';
import { Button, Note, ProblemNote, Spinner } from '../ui/controls';
import { Sheet } from '../ui/dialog';
import { toast } from '../ui/toast';
import { InputForm } from './input-form';
import { planOf, type Plan } from './plan';
import { TargetPicker, type Picked } from './target-picker';

interface Props {
  request: CommandRequest;
  onClose: () => void;
}

export default function CommandDialog({ request, onClose }: Props) {
  const { registry } = useConsole();
  const [job, setJob] = useState<string>();
  const [file, setFile] = useState<string>();
  const plan = planOf(request, registry);
  const title = titleFor(request.found, plan.targets.length);
  const looking = request.found.command.streams?.find((one) => one.as === 'preview');
  return (
    <Sheet title={neutral(file || title)} onClose={onClose} dismissable={job !== undefined} wide={job !== undefined && (looking !== undefined || listsThings(request.found.command.output))}>
      {job !== undefined && looking
        ? <div className="form"><FileLook job={job} stream={looking.name} onName={setFile} /></div>
        : job === undefined
        ? <CommandForm {...{ request, plan, onClose, title }} onStarted={setJob} />
        : (
          <div className="form">
            <JobPanel id={job} onPick={setJob} brief />
            <footer className="form-foot"><Button kind="primary" onPress={onClose}>Done</Button></footer>
          </div>
        )}
    </Sheet>
  );
}

/** The same without a dialog around it, for a view that is a form. */
export function CommandForm({ request, plan, onClose, onStarted, title }: { request: CommandRequest; plan: Plan; onClose?: () => void; onStarted: (job: string) => void; title: string }) {
  const console_ = useConsole();
  const { command } = request.found;
  const all = fieldsOf(command.input);
  const fields = all.filter((one) => !(one.path in plan.bound));
  const [values, setValues] = useState<Values>(() => startValues(all, { ...request.values, ...plan.given, ...plan.bound }));
  const [shown, setShown] = useState(false);
  const [typed, setTyped] = useState<Record<string, string>>({});
  const [picked, setPicked] = useState<Picked>({ kind: 'machines', machines: [] });
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const [preview, setPreview] = useState<string>();
  const [confirmation, setConfirmation] = useState('');

  const wrong = { ...check(fields, values), ...typed };
  const input = toInput(all, values);
  const danger = command.danger && (command.danger.when === undefined || holds(command.danger.when, input)) ? command.danger : undefined;
  const word = confirmWord(plan.targets);
  const confirmed = danger?.confirm !== 'type' || confirmation.trim() === word;
  const missingTarget = plan.needsTarget && (picked.kind === 'machines' ? picked.machines.length === 0 : !picked.group);
  const placed = pathOf(problem?.field, fields);
  const refusal = whyNot(console_, request.found);

  const submit = async () => {
    setShown(true);
    if (Object.keys(wrong).length > 0 || missingTarget || !confirmed) return focusFirstWrong();
    setBusy(true);
    setProblem(undefined);
    try {
      const jobs = await Promise.all(plan.bodies(input, plan.needsTarget ? picked : undefined).map((body) => startCommand(request.found.id, body)));
      finish(jobs);
    } catch (error) {
      setProblem(problemOf(error));
      setBusy(false);
      focusFirstWrong();
    }
    return undefined;
  };
  const finish = (jobs: string[]) => {
    setBusy(false);
    const saved = command.streams?.find((one) => one.as === 'download');
    if (saved) for (const job of jobs) saveFile(job, saved.name);
    if (jobs.length === 1 && command.streams?.some((one) => one.as === 'preview')) return onStarted(jobs[0]!);
    if (saved && onClose) return onClose();
    if (jobs.length === 1 && (answers(plan, command.output) || !onClose)) return onStarted(jobs[0]!);
    onClose?.();
    const started = jobs.length === 1 ? neutral(title) : `${neutral(title)}: ${jobs.length} jobs`;
    toast({ tone: 'active', title: `${started} started`, action: { label: 'Show', run: () => console_.openJob(jobs.length === 1 ? jobs[0] : undefined) } });
    return undefined;
  };
  // What sends a file and has nothing to ask is what was asked for already.
  const plain = isPlain(request, plan, fields, values) && refusal === undefined && !danger;
  const begun = useRef(false);
  useEffect(() => {
    if (!plain || begun.current) return;
    begun.current = true;
    void submit();
    // Once, as the dialog opens.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, []);
  const look = async () => {
    const found = console_.registry.command(command.preview!, request.found.module);
    if (!found) return undefined;
    setShown(true);
    if (Object.keys(wrong).length > 0 || missingTarget) return focusFirstWrong();
    setProblem(undefined);
    try {
      setPreview(await startCommand(found.id, plan.bodies(input, plan.needsTarget ? picked : undefined)[0]!));
    } catch (error) {
      setProblem(problemOf(error));
    }
    return undefined;
  };

  if (plain && !problem) return <div className="form"><Spinner label={neutral(title)} /></div>;
  return (
    <form className="form" noValidate onSubmit={(event) => { event.preventDefault(); void submit(); }}>
      {command.description && <p className="form-lead">{neutral(command.description)}</p>}
      {refusal && <Note tone="warning" icon="lock" title={refusal} />}
      {plan.targets.length > 0 && <Targets targets={plan.targets} />}
      {plan.needsTarget && <TargetPicker picked={picked} setPicked={setPicked} onlyGroup={command.target?.on === 'group'} wrong={shown && missingTarget} />}
      <InputForm
        fields={fields}
        values={values}
        problems={{ ...(shown ? wrong : typed), ...(placed && problem ? { [placed]: problem.message } : {}) }}
        onChange={(path, value) => setValues((before) => ({ ...before, [path]: value as Json }))}
        onTyped={(path, text) => setTyped(({ [path]: _, ...rest }) => (text ? { ...rest, [path]: text } : rest))}
        autoFocus={!plan.needsTarget}
        from={{ module: request.found.module, machines: plan.machines.length > 0 ? plan.machines : picked.kind === 'machines' ? picked.machines.map((one) => one.key) : [] }}
      />
      {danger && (
        <Note tone="danger" title={neutral(danger.text)}>
          {danger.confirm === 'type' && (
            <label className="field">
              <span className="field-label">Type <b className="mono">{neutral(word)}</b> to confirm</span>
              <input value={confirmation} autoComplete="off" spellCheck={false} aria-invalid={shown && !confirmed} onChange={(event) => setConfirmation(event.target.value)} />
            </label>
          )}
        </Note>
      )}
      {problem && <ProblemNote problem={placed ? { ...problem, message: 'One field needs another look.' } : problem} />}
      {preview && <section className="preview"><h2>Preview</h2><JobPanel key={preview} id={preview} onPick={() => undefined} brief /></section>}
      <footer className="form-foot">
        {command.preview && <Button onPress={() => void look()}>Preview</Button>}
        <span className="toolbar-space" />
        {onClose && <Button onPress={onClose}>Cancel</Button>}
        <Button kind={danger ?? command.effect === 'destroy' ? 'danger' : 'primary'} type="submit" reason={refusal} isDisabled={busy || (danger?.confirm === 'type' && !confirmed)}>
          {busy ? 'Starting…' : neutral(submitTitle(request, plan, picked))}
        </Button>
      </footer>
    </form>
  );
}

/** A table needs room. */
function listsThings(output: OutputSchema | undefined): boolean {
  return Object.values(output?.properties ?? {}).some((one) => kindOf(one) === 'array' && Object.keys(one.items?.properties ?? {}).length > 2);
}

/** Whether it reads a file and everything that it asks is known from where it was called. */
function isPlain({ rows, found: { command } }: CommandRequest, plan: Plan, fields: FormField[], values: Values): boolean {
  const sends = command.streams?.some((one) => one.as !== undefined) ?? false;
  return sends && rows !== undefined && (command.effect ?? 'read') === 'read' && !plan.needsTarget && fields.every((one) => one.advanced || !isAsked(one, values));
}

function Targets({ targets }: { targets: Target[] }) {
  const some = targets.slice(0, 6);
  return (
    <ul className="targets" aria-label="Runs on">
      {some.map((one) => <li key={one.key} className="pill">{neutral(one.label)}</li>)}
      {targets.length > some.length && <li className="faint">and {targets.length - some.length} more</li>}
    </ul>
  );
}

/** What must be typed before something is lost: the name of the one, the number of the many. */
function confirmWord(targets: Target[]): string {
  if (targets.length === 1) return neutral(targets[0]!.label);
  return targets.length > 1 ? String(targets.length) : 'confirm';
}

function submitTitle(request: CommandRequest, plan: Plan, picked: Picked): string {
  const n = plan.needsTarget && picked.kind === 'machines' ? picked.machines.length : plan.targets.length;
  return titleFor(request.found, Math.max(1, n));
}

/** Whether the command answers with something to look at here, rather than work that is watched elsewhere. */
function answers(plan: Plan, output: unknown): boolean {
  return !plan.onMachines && output !== undefined && output !== null;
}

function focusFirstWrong(): void {
  requestAnimationFrame(() => document.querySelector<HTMLElement>('.form [aria-invalid=true]')?.focus());
}
