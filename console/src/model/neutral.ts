// Text from machines and plugins is data. Here every character that could steer the direction of a line, hide what
// follows or pass for nothing is made visible. Markup is never an issue: React escapes, and nothing here is parsed.

// eslint-disable-next-line no-control-regex
const STEERING = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;
// eslint-disable-next-line no-control-regex
const STEERING_IN_LINES = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

const MARK = '\ufffd';

/** `text` on one line. */
export function neutral(text: string): string {
  return text.replace(/\s*[\t\r\n]\s*/g, ' ').replace(STEERING, MARK);
}

/** `text` that keeps its line breaks and tabs. */
export function neutralLines(text: string): string {
  return text.replace(/\r\n/g, '\n').replace(STEERING_IN_LINES, MARK);
}
