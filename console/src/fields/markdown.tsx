// A small reader of markdown: headings, paragraphs, lists, quotes, rules, code, emphasis and links to the web. It makes
// React elements and nothing else; HTML in the text is shown as the text it is, and images are not loaded.

import { Fragment, type ReactNode } from 'react';
import { neutral, neutralLines } from '../model/neutral';

const LONGEST = 64 * 1024;

/** `under` is the level of the heading it stands below. */
export function Markdown({ text, under = 1 }: { text: string; under?: number }) {
  return <div className="markdown">{blocks(neutralLines(text.slice(0, LONGEST)).split('\n'), { top: under, last: under }, 0)}</div>;
}

/** Where the headings are: none may be more than one level below the one before it. */
interface Outline {
  top: number;
  last: number;
}

function headingTag(outline: Outline, marks: number): 'h2' {
  outline.last = Math.min(6, outline.top + marks, outline.last + 1);
  return `h${outline.last}` as 'h2';
}

const BULLET = /^\s{0,3}[-*+]\s+/;
const NUMBER = /^\s{0,3}\d{1,9}[.)]\s+/;
const FENCE = /^\s{0,3}(```|~~~)/;
const HEADING = /^\s{0,3}(#{1,6})\s+(.*?)\s*#*$/;
const RULE = /^\s{0,3}([-*_])(\s*\1){2,}\s*$/;

function blocks(lines: string[], outline: Outline, depth: number): ReactNode[] {
  const out: ReactNode[] = [];
  let at = 0;
  const take = (test: (line: string) => boolean) => {
    const from = at;
    while (at < lines.length && test(lines[at]!)) at += 1;
    return lines.slice(from, at);
  };
  while (at < lines.length) {
    const line = lines[at]!;
    const key = out.length;
    const heading = HEADING.exec(line);
    if (line.trim() === '') at += 1;
    else if (FENCE.test(line)) {
      at += 1;
      const code = take((one) => !FENCE.test(one));
      at += 1;
      out.push(<pre key={key} tabIndex={0}><code>{code.join('\n')}</code></pre>);
    } else if (heading) {
      at += 1;
      const Tag = headingTag(outline, heading[1]!.length);
      out.push(<Tag key={key}>{inline(heading[2]!)}</Tag>);
    } else if (RULE.test(line)) {
      at += 1;
      out.push(<hr key={key} />);
    } else if (/^\s{0,3}>/.test(line) && depth < 4) {
      const quoted = take((one) => /^\s{0,3}>/.test(one)).map((one) => one.replace(/^\s{0,3}> ?/, ''));
      out.push(<blockquote key={key}>{blocks(quoted, outline, depth + 1)}</blockquote>);
    } else if (BULLET.test(line) || NUMBER.test(line)) {
      const mark = BULLET.test(line) ? BULLET : NUMBER;
      const items = take((one) => mark.test(one) || (/^\s{2,}\S/.test(one) && !FENCE.test(one)));
      const Tag = mark === BULLET ? 'ul' : 'ol';
      out.push(<Tag key={key}>{listItems(items, mark, outline, depth)}</Tag>);
    } else {
      const text = take((one) => one.trim() !== '' && !FENCE.test(one) && !HEADING.test(one) && !BULLET.test(one) && !NUMBER.test(one) && !/^\s{0,3}>/.test(one));
      if (text.length === 0) text.push(lines[at++]!);
      out.push(<p key={key}>{inline(text.join('\n'))}</p>);
    }
  }
  return out;
}

function listItems(lines: string[], mark: RegExp, outline: Outline, depth: number): ReactNode[] {
  const items: string[][] = [];
  for (const line of lines) {
    if (mark.test(line)) items.push([line.replace(mark, '')]);
    else items.at(-1)?.push(line.replace(/^\s{2,4}/, ''));
  }
  return items.map((item, n) => (
    <li key={n}>{inline(item[0]!)}{item.length > 1 && depth < 4 ? blocks(item.slice(1), outline, depth + 1) : null}</li>
  ));
}

const INLINE = /(`[^`\n]+`)|\*\*([^*\n]+)\*\*|__([^_\n]+)__|\*([^*\n]+)\*|\b_([^_\n]+)_\b|\[([^\]\n]{1,300})\]\(([^)\s]{1,2000})\)|<?(https?:\/\/[^\s<>)]+)>?/g;

function inline(text: string): ReactNode[] {
  const out: ReactNode[] = [];
  let from = 0;
  for (const match of text.matchAll(INLINE)) {
    if (match.index > from) out.push(text.slice(from, match.index));
    from = match.index + match[0].length;
    const [whole, code, bold, bold2, soft, soft2, name, target, bare] = match;
    const key = out.length;
    if (code) out.push(<code key={key}>{code.slice(1, -1)}</code>);
    else if (bold ?? bold2) out.push(<strong key={key}>{bold ?? bold2}</strong>);
    else if (soft ?? soft2) out.push(<em key={key}>{soft ?? soft2}</em>);
    else if (bare || (target && /^https?:\/\//i.test(target))) {
      const to = bare ?? target!;
      out.push(<a key={key} className="link" href={to} target="_blank" rel="noopener noreferrer" title={neutral(to)}>{name ?? bare}</a>);
    } else out.push(<Fragment key={key}>{whole}</Fragment>);
  }
  if (from < text.length) out.push(text.slice(from));
  return out;
}
