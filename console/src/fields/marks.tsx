// Small pictures inside cells.

import type { Json } from '../model/schema';
import { format } from '../model/format';
import { neutral } from '../model/neutral';

/** Backgrounds that white letters stand out from by at least 4.5 to 1. */
const AVATARS = 12;

export function Avatar({ name }: { name: string }) {
  const words = neutral(name).replace(/^.*\\/, '').split(/[\s._@-]+/).filter(Boolean);
  const letters = [...(words[0] ?? '?')][0]! + ([...(words.length > 1 ? words.at(-1)! : '')][0] ?? '');
  // The letters are drawn by the style sheet: they are a picture, not text to be read or found.
  return <span className={`avatar avatar-${hash(name) % AVATARS}`} aria-hidden="true" data-letters={letters.toUpperCase()} />;
}

function hash(text: string): number {
  let h = 0;
  for (let n = 0; n < text.length; n++) h = (h * 31 + text.charCodeAt(n)) >>> 0;
  return h;
}

const WIDE = 100;
const HIGH = 22;

export function Spark({ values }: { values: Json[] }) {
  const numbers = values.map((value) => (typeof value === 'number' && Number.isFinite(value) ? value : null));
  const known = numbers.filter((n) => n !== null);
  if (known.length < 2) return <span className="faint">{known.length === 1 ? known[0] : '–'}</span>;
  const low = Math.min(0, ...known);
  const high = Math.max(...known, low + 1e-9, known.every((n) => n >= 0 && n <= 100) && Math.max(...known) > 20 ? 100 : 0);
  const x = (n: number) => ((n * WIDE) / (numbers.length - 1)).toFixed(1);
  const y = (n: number) => (HIGH - 1.5 - ((n - low) / (high - low)) * (HIGH - 3)).toFixed(1);
  const parts: string[] = [];
  let joined = false;
  numbers.forEach((n, at) => {
    if (n === null) joined = false;
    else {
      parts.push(`${joined ? 'L' : 'M'}${x(at)} ${y(n)}`);
      joined = true;
    }
  });
  const whole = known.length === numbers.length;
  return (
    <svg className="spark" viewBox={`0 0 ${WIDE} ${HIGH}`} preserveAspectRatio="none" role="img" aria-label={format({ type: 'series' }, values)}>
      {whole && <path className="spark-area" d={`${parts.join('')}L${WIDE} ${HIGH}L0 ${HIGH}Z`} />}
      <path className="spark-line" d={parts.join('')} />
    </svg>
  );
}
