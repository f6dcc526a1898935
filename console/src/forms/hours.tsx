// Hours of the day, as two moments of the clock.

import { useState } from 'react';

interface Props {
  id: string;
  /** As in `21:00-05:00`; empty for none. */
  value: string;
  title: string;
  described: string | undefined;
  invalid: boolean;
  autoFocus: boolean;
  onChange: (value: string) => void;
  onTyped: (problem: string | undefined) => void;
}

export function Hours({ id, value, title, described, invalid, autoFocus, onChange, onTyped }: Props) {
  const [[from, to], setEnds] = useState(() => endsOf(value));
  const change = (from: string, to: string) => {
    setEnds([from, to]);
    const hours = hoursOf(from, to);
    onTyped(hours === undefined ? 'Give both, when they begin and when they end.' : undefined);
    if (hours !== undefined) onChange(hours);
  };
  const shared = { type: 'time', step: 60, 'aria-describedby': described, 'aria-invalid': invalid };
  return (
    <span className="hours" role="group" aria-label={title}>
      <input {...shared} id={id} aria-label={`${title}: from`} value={from} autoFocus={autoFocus} onChange={(event) => change(event.target.value, to)} />
      <span className="faint">to</span>
      <input {...shared} aria-label={`${title}: to`} value={to} onChange={(event) => change(from, event.target.value)} />
    </span>
  );
}

/** The two ends as `<input type="time">` wants them: midnight at the end of a day is the one at its beginning. */
function endsOf(value: string): [string, string] {
  const [from = '', to = ''] = value.split('-');
  return [from, to === '24:00' ? '00:00' : to];
}

/** Nothing where one end is missing; from midnight to midnight is the whole day. */
export function hoursOf(from: string, to: string): string | undefined {
  if (from === '' && to === '') return '';
  if (from === '' || to === '') return undefined;
  if (from !== to) return `${from}-${to}`;
  return from === '00:00' ? '00:00-24:00' : undefined;
}
