// An invented value for every domain type.

import type { Field, Json } from '../src/model/schema';
import { between, pick, type Random } from './random';

export const PEOPLE = ['Grace Goldwasser', 'Radia Ahlgren', 'Ada Dijkstra', 'Alan Hamilton', 'Frances Backus', 'Leslie Liskov', 'Dennis Lovelace', 'Shafi Lamarr', 'Edsger Allen', 'Barbara Thompson', 'Ken Perlman', 'Jean Bartik'];
const SITES = ['ber', 'syd', 'nyc', 'tyo', 'par', 'ams', 'lon', 'sfo'];
const KINDS = ['pc', 'fs', 'lap', 'web', 'pos', 'db'];
const WORDS = ['lathe', 'harbour', 'signal', 'orchard', 'granite', 'copper', 'meadow', 'lantern', 'quarry', 'sail'];
const SYSTEMS = ['Ubuntu 24.04', 'Debian 13', 'RHEL 9', 'FreeBSD 14', 'Windows 11 Pro', 'macOS 15'];

/** Text that tries to be more than text. */
export const HOSTILE = ['<img src=x onerror=alert(1)>', 'ok\u202Egpj.exe', 'a\u0000b\u001b[31mred', '{{7*7}}', '"><script>alert(1)</script>', '=HYPERLINK("http://x")', '\u200bzero\ufeffwidth', 'e\u0301'.repeat(40)];

export function machineName(n: number, random: Random): string {
  return `${pick(random, SITES)}-${pick(random, KINDS)}-${String(n).padStart(6, '0')}`;
}

export function system(random: Random): string {
  return pick(random, SYSTEMS);
}

export function words(random: Random, n: number): string {
  return Array.from({ length: n }, () => pick(random, WORDS)).join(' ');
}

export function series(random: Random, length = 24): number[] {
  let at = random() * 60 + 10;
  return Array.from({ length }, () => {
    at = Math.max(1, Math.min(99, at + (random() - 0.5) * 18));
    return Math.round(at);
  });
}

export function time(random: Random, withinSeconds = 40 * 86400, now = Date.now()): string {
  return new Date(now - Math.floor(random() ** 3 * withinSeconds * 1000)).toISOString().replace(/\.\d+Z/, 'Z');
}

function hex(random: Random, n: number): string {
  return Array.from({ length: n }, () => '0123456789abcdef'[Math.floor(random() * 16)]).join('');
}

export function valueOf(field: Field, random: Random, refs: { id: string; label: string }[]): Json {
  if (random() < 0.04) return null;
  if (field.many) return Array.from({ length: between(random, 0, 4) }, () => one(field, random, refs));
  return one(field, random, refs);
}

function one(field: Field, random: Random, refs: { id: string; label: string }[]): Json {
  const values = Object.keys(field.values ?? {});
  switch (field.type) {
    case 'text': return words(random, between(random, 1, 3));
    case 'markdown': return `## ${words(random, 2)}\n\nSome **bold** and [a link](https://example.com/) with \`code\`.\n\n- one\n- two`;
    case 'code': return `if [ -d /srv ]; then\n  echo "${words(random, 1)}"\nfi`;
    case 'id': return hex(random, 8);
    case 'int': return between(random, 0, 5000);
    case 'decimal': return Math.round(random() * 10000) / 100;
    case 'bool': return random() < 0.5;
    case 'bytes': return Math.floor(2 ** (random() * 42));
    case 'rate': return Math.floor(2 ** (random() * 30));
    case 'percent': return Math.round(random() * 1000) / 10;
    case 'duration': return Math.floor(random() ** 4 * 4e6);
    case 'time': return time(random);
    case 'period': return { from: time(random), to: random() < 0.4 ? null : new Date().toISOString() };
    case 'hours': return `${String(between(random, 0, 23)).padStart(2, '0')}:30-${String(between(random, 0, 23)).padStart(2, '0')}:00`;
    case 'ip': return random() < 0.8 ? `10.${between(random, 0, 3)}.${between(random, 0, 255)}.${between(random, 1, 254)}` : `fe80::${hex(random, 4)}:${hex(random, 4)}`;
    case 'mac': return hex(random, 12).match(/../g)!.join(':');
    case 'cidr': return `10.${between(random, 0, 255)}.0.0/${between(random, 12, 28)}`;
    case 'port': return between(random, 1, 65535);
    case 'url': return `https://${words(random, 1)}.example.com/${hex(random, 4)}`;
    case 'path': return `/srv/${words(random, 2).replaceAll(' ', '/')}.dat`;
    case 'version': return `${between(random, 1, 9)}.${between(random, 0, 20)}.${between(random, 0, 9)}`;
    case 'hash': return hex(random, 32);
    case 'enum': return values.length > 0 ? pick(random, values) : pick(random, ['a4', 'letter', 'legal']);
    case 'status': return pick(random, values.length > 0 ? values : ['unknown']);
    case 'tags': return Array.from({ length: between(random, 0, 4) }, () => words(random, 1));
    case 'user': return pick(random, PEOPLE);
    case 'group': return `${words(random, 1)} team`;
    case 'ref': return refs.length > 0 ? { ...pick(random, refs) } : { id: hex(random, 6), label: words(random, 1) };
    case 'refs': return Array.from({ length: between(random, 0, 3) }, () => (refs.length > 0 ? { ...pick(random, refs) } : { id: hex(random, 6), label: words(random, 1) }));
    case 'series': return series(random);
    case 'progress': return { fraction: Math.round(random() * 100) / 100, text: words(random, 2) };
    case 'money': return { amount: (random() * 5000).toFixed(2), currency: pick(random, ['EUR', 'USD', 'JPY']) };
    case 'secret': return null;
    case 'icon': return pick(random, ['disk', 'server', 'lock', 'box']);
    case 'json': return { [words(random, 1)]: between(random, 0, 9), list: [1, 'two', null] };
  }
}
