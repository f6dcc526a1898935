// A view that is the form of one command.

import { useState } from 'react';
import { useConsole } from '../console';
import { CommandForm } from '../forms/command-dialog';
import { planOf } from '../forms/plan';
import { JobPanel } from '../jobs/job-panel';
import type { FoundView } from '../model/registry';
import { titleFor } from '../table/start';
import { Button } from '../ui/controls';
import { Heading } from './view-page';

export default function FormPage({ found }: { found: FoundView }) {
  const { registry } = useConsole();
  const [job, setJob] = useState<string>();
  const command = registry.command(found.view.command!, found.module)!;
  const request = { found: command };
  return (
    <>
      <Heading found={found} />
      <div className="panel form-page">
        {job === undefined
          ? <CommandForm request={request} plan={planOf(request, registry)} title={titleFor(command, 1)} onStarted={setJob} />
          : <><JobPanel id={job} onPick={setJob} brief /><div className="form-foot"><Button onPress={() => setJob(undefined)}>Back to the form</Button></div></>}
      </div>
    </>
  );
}
