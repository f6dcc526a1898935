// The beginning of a file that a command sends: text as text, pictures of kinds that only show. Nothing of it is run.

import { useEffect, useState } from 'react';
import { problemOf, readBeginning, type Beginning } from '../api/http';
import { bytes as size } from '../model/format';
import { dataAddress, lookAt } from '../model/look';
import { neutral, neutralLines } from '../model/neutral';
import type { Problem } from '../model/schema';
import { CopyButton, Empty, ProblemNote, Spinner } from '../ui/controls';

/** More than this is not shown, whatever comes. */
const MOST = 256 * 1024;

export function FileLook({ job, stream, onName }: { job: string; stream: string; onName?: (name: string) => void }) {
  const [read, setRead] = useState<Beginning>();
  const [problem, setProblem] = useState<Problem>();
  useEffect(() => {
    const leaving = new AbortController();
    readBeginning(job, stream, MOST, leaving.signal).then(
      (one) => {
        setRead(one);
        onName?.(one.name);
      },
      (error: unknown) => { if (!leaving.signal.aborted) setProblem(problemOf(error)); },
    );
    return () => leaving.abort();
    // A stream is taken once: whoever is told the name does not matter to that.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [job, stream]);
  if (problem) return <ProblemNote problem={problem} />;
  if (!read) return <Spinner label="Reading" />;
  return (
    <div className="file-look">
      <Shown read={read} />
      {read.cut && <p className="faint small" role="status">Only the first {size(MOST)} are shown.</p>}
    </div>
  );
}

function Shown({ read: { bytes, name } }: { read: Beginning }) {
  if (bytes.length === 0) return <Empty icon="file" title="The file is empty" />;
  const looked = lookAt(bytes);
  if (looked.kind === 'picture') return <img src={dataAddress(looked.type, bytes)} alt={neutral(name)} />;
  if (looked.kind === 'neither') return <Empty icon="file" title="This is neither text nor a picture">Download it to open it with a program that knows it.</Empty>;
  return (
    <div className="code-block">
      <pre tabIndex={0} aria-label={neutral(name)}>{neutralLines(looked.text)}</pre>
      <CopyButton text={neutralLines(looked.text)} />
    </div>
  );
}
