import { expect, test } from 'vitest';
import { dataAddress, lookAt } from '../src/model/look';

const bytes = (...list: number[]) => Uint8Array.from(list);
const text = (said: string) => new TextEncoder().encode(said);

test('pictures are known by their first bytes, whatever they are called', () => {
  expect(lookAt(bytes(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 1))).toEqual({ kind: 'picture', type: 'image/png' });
  expect(lookAt(bytes(0xff, 0xd8, 0xff, 0xe0))).toEqual({ kind: 'picture', type: 'image/jpeg' });
  expect(lookAt(text('GIF89a'))).toEqual({ kind: 'picture', type: 'image/gif' });
  expect(lookAt(text('RIFF....WEBPVP8 '))).toEqual({ kind: 'picture', type: 'image/webp' });
  expect(lookAt(text('RIFF....WAVEfmt ')).kind).not.toBe('picture');
});

test('a drawing that can run something is text', () => {
  expect(lookAt(text('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')).kind).toBe('text');
  expect(lookAt(text('<!doctype html><script>')).kind).toBe('text');
});

test('text of any script is text, also where the end cuts a letter', () => {
  expect(lookAt(text('größe, 大きさ\n'))).toEqual({ kind: 'text', text: 'größe, 大きさ\n' });
  expect(lookAt(text('大きさ').slice(0, -1)).kind).toBe('text');
  expect(lookAt(bytes(0xff, 0xfe, 0x61, 0, 0x62, 0))).toEqual({ kind: 'text', text: 'ab' });
});

test('programs and packed files are neither', () => {
  expect(lookAt(bytes(0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0)).kind).toBe('neither');
  expect(lookAt(Uint8Array.from({ length: 4000 }, (_, n) => (n * 89 + 130) % 255 + 1)).kind).toBe('neither');
});

test('a picture is an address of its own', () => {
  expect(dataAddress('image/png', bytes(1, 2, 255))).toBe('data:image/png;base64,AQL/');
});
