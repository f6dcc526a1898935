// A stream of a job read as text, as it comes. It grants the sender as much as it has shown, so that a fast sender
// waits instead of filling the memory of the page.

import { useEffect, useRef, useState } from 'react';
import { socketAddress } from '../api/http';
import { neutralLines } from '../model/neutral';
import type { Problem } from '../model/schema';
import { CopyButton } from '../ui/controls';

const KEPT = 256 * 1024;

export function StreamView({ job, name, title }: { job: string; name: string; title: string }) {
  const { text, ended, problem } = useStream(job, name);
  const box = useRef<HTMLPreElement>(null);
  const following = useRef(true);
  useEffect(() => {
    if (following.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [text]);
  return (
    <section className="job-section">
      <h3>{title} <span className="faint">{ended ? 'ended' : 'open'}</span>{text && <CopyButton text={text} label={`Copy ${title}`} />}</h3>
      {problem && <p className="field-problem">{problem.message}</p>}
      <pre
        className="stream"
        ref={box}
        tabIndex={0}
        aria-label={title}
        onScroll={(event) => {
          const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
          following.current = scrollHeight - scrollTop - clientHeight < 24;
        }}
      >{text === '' ? 'Nothing yet' : neutralLines(text)}</pre>
    </section>
  );
}

function useStream(job: string, name: string): { text: string; ended: boolean; problem: Problem | undefined } {
  const [state, setState] = useState<{ text: string; ended: boolean; problem: Problem | undefined }>({ text: '', ended: false, problem: undefined });
  useEffect(() => {
    const socket = new WebSocket(socketAddress(`/api/v1/jobs/${encodeURIComponent(job)}/streams/${encodeURIComponent(name)}`));
    socket.binaryType = 'arraybuffer';
    const decoder = new TextDecoder();
    socket.onmessage = (event) => {
      if (event.data instanceof ArrayBuffer) {
        const { byteLength } = event.data;
        const more = decoder.decode(event.data, { stream: true });
        setState((before) => ({ ...before, text: (before.text + more).slice(-KEPT) }));
        socket.send(JSON.stringify({ credit: byteLength }));
        return;
      }
      const said = JSON.parse(String(event.data)) as { end?: boolean; error?: Problem };
      if (said.end || said.error) setState((before) => ({ ...before, ended: true, problem: said.error }));
    };
    socket.onclose = () => setState((before) => ({ ...before, ended: true }));
    return () => socket.close();
  }, [job, name]);
  return state;
}
