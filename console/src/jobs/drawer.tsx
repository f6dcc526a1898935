// The job drawer: the operator's recent jobs, and one of them in full.

import { neutral } from '../model/neutral';
import { label, relative } from '../model/format';
import { Bar, Button, Empty } from '../ui/controls';
import { Sheet } from '../ui/dialog';
import { JobPanel, State } from './job-panel';
import { fractionOf } from './meter';
import { hasProgress, isFinal } from './states';
import type { Jobs } from './use-jobs';

interface Props {
  jobs: Jobs;
  id: string | undefined;
  onPick: (id: string | undefined) => void;
  onClose: () => void;
}

export default function JobDrawer({ jobs, id, onPick, onClose }: Props) {
  return (
    <Sheet kind="drawer" title="Jobs" onClose={onClose}>
      <div className="drawer-body">
        {id === undefined ? <List jobs={jobs} onPick={onPick} /> : (
          <>
            <div><Button small kind="quiet" icon="chevron-left" onPress={() => onPick(undefined)}>All my jobs</Button></div>
            <JobPanel key={id} id={id} onPick={onPick} />
          </>
        )}
      </div>
    </Sheet>
  );
}

function List({ jobs, onPick }: { jobs: Jobs; onPick: (id: string) => void }) {
  if (jobs.list.length === 0) return <Empty icon="list" title="No jobs yet">What you run appears here, with its progress and its result.</Empty>;
  return (
    <ul className="job-list">
      {jobs.list.slice(0, 100).map((job) => (
        <li key={job.id}>
          <button type="button" onClick={() => onPick(job.id)}>
            <span className="job-list-head"><strong>{neutral(job.title || job.command)}</strong><State state={job.state} /></span>
            <span className="faint small">
              {job.machine ? `${neutral(label(job.machine))} · ` : ''}{relative(job.created_at)}
              {job.progress?.text && !isFinal(job.state) ? ` · ${neutral(job.progress.text)}` : ''}
            </span>
            {hasProgress(job) && <Bar fraction={fractionOf(job.progress) ?? null} />}
          </button>
        </li>
      ))}
    </ul>
  );
}
