// Prints what a first visit loads, compressed as the administrator sends it.

import { readFileSync } from 'node:fs';
import { brotliCompressSync, constants } from 'node:zlib';

const GOAL_KB = 150;
const root = new URL('../dist/', import.meta.url);
const page = readFileSync(new URL('index.html', root));
const named = [...page.toString().matchAll(/(?:src|href)="\/([^"]+)"/g)].map((match) => match[1]);
const files = [['index.html', page], ...named.map((name) => [name, readFileSync(new URL(name, root))])];
let total = 0;
for (const [name, bytes] of files) {
  const size = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }).length;
  total += size;
  console.log(`${(size / 1000).toFixed(1).padStart(7)} kB  ${name}`);
}
console.log(`${(total / 1000).toFixed(1).padStart(7)} kB  first load, brotli, ${files.length} requests (goal ${GOAL_KB} kB)`);
