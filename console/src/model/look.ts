// What the first bytes of a file are: a picture of a kind that only shows, text, or neither. Names and claims of a type
// count for nothing.

export type Looked = { kind: 'picture'; type: string } | { kind: 'text'; text: string } | { kind: 'neither' };

const PICTURES: [string, (number | undefined)[]][] = [
  ['image/png', [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]],
  ['image/jpeg', [0xff, 0xd8, 0xff]],
  ['image/gif', [0x47, 0x49, 0x46, 0x38]],
  ['image/webp', [0x52, 0x49, 0x46, 0x46, undefined, undefined, undefined, undefined, 0x57, 0x45, 0x42, 0x50]],
  ['image/bmp', [0x42, 0x4d, undefined, undefined, undefined, undefined, 0, 0, 0, 0]],
];

/** Of letters that are none, text has few. */
const MOST_WRONG = 0.02;

export function lookAt(bytes: Uint8Array): Looked {
  const picture = PICTURES.find(([, magic]) => bytes.length >= magic.length && magic.every((one, n) => one === undefined || one === bytes[n]));
  if (picture) return { kind: 'picture', type: picture[0] };
  const wide = bytes[0] === 0xff && bytes[1] === 0xfe ? 'utf-16le' : bytes[0] === 0xfe && bytes[1] === 0xff ? 'utf-16be' : undefined;
  if (!wide && bytes.includes(0)) return { kind: 'neither' };
  const text = new TextDecoder(wide ?? 'utf-8').decode(bytes);
  // The last letter may be cut off.
  const wrong = (text.slice(0, -1).match(/[\uFFFD\u0001-\u0008\u000E-\u001A\u001C-\u001F]/g) ?? []).length;
  return wrong > text.length * MOST_WRONG ? { kind: 'neither' } : { kind: 'text', text };
}

/** As an address that needs no second request and runs nothing. */
export function dataAddress(type: string, bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return `data:${type};base64,${btoa(text)}`;
}
