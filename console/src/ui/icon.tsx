// The console's own drawings: strokes on a grid of 24, named by what they mean. A manifest names them in `icon`.

import type { Tone } from '../model/schema';

const DRAWINGS: Record<string, string> = {
  server: 'M5 4h14a1.5 1.5 0 0 1 1.5 1.5v4A1.5 1.5 0 0 1 19 11H5a1.5 1.5 0 0 1-1.5-1.5v-4A1.5 1.5 0 0 1 5 4ZM5 13h14a1.5 1.5 0 0 1 1.5 1.5v4A1.5 1.5 0 0 1 19 20H5a1.5 1.5 0 0 1-1.5-1.5v-4A1.5 1.5 0 0 1 5 13ZM7.5 7.5h.01M7.5 16.5h.01',
  users: 'M9 11.5a3.75 3.75 0 1 0 0-7.5 3.75 3.75 0 0 0 0 7.5ZM2.5 20c.4-3.6 3-5.5 6.5-5.5s6.1 1.9 6.5 5.5M15.5 4.3a3.75 3.75 0 0 1 0 6.9M18 14.9c2 .7 3.2 2.4 3.5 5.1',
  user: 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM4.5 20.5c.5-4 3.5-6 7.5-6s7 2 7.5 6',
  list: 'M9 6h11.500M9 12h11.500M9 18h11.500M4 6h.01M4 12h.01M4 18h.01',
  puzzle: 'M4 8.500h4.300V7.200a2.2 2.2 0 1 1 4.4 0v1.300H17v4.300h1.300a2.2 2.2 0 1 1 0 4.400H17v3.800H4v-4.300h1.100a2.1 2.1 0 1 0 0-4.200H4Z',
  scroll: 'M7 4h12v13.500a2.5 2.5 0 0 1-2.5 2.500H6.500A2.5 2.5 0 0 1 4 17.500V16h10v1.500a2.5 2.5 0 0 0 2.5 2.500M7 16V4M10.5 8H16M10.5 12H16',
  key: 'M8 19.500a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9ZM11.2 11.8 20 3.500M16.2 7.100l2.8 2.700M13.7 9.500l1.8 1.8',
  shield: 'M12 3.5 19.5 6v5.500c0 4.5-3 7.7-7.5 9.5-4.5-1.8-7.5-5-7.5-9.500V6Z',
  monitor: 'M4.5 4.500h15A1.5 1.5 0 0 1 21 6v9a1.5 1.5 0 0 1-1.5 1.500h-15A1.5 1.5 0 0 1 3 15V6a1.5 1.5 0 0 1 1.5-1.500ZM8.5 20.500h7M12 16.500v4',
  package: 'm12 3.3 8 4.400v8.600l-8 4.4-8-4.400V7.700ZM4.2 7.8 12 12.200l7.8-4.400M12 12.200v8.300M8 5.500l8 4.5',
  activity: 'M3 12h4l2.5-7 5 14 2.5-7h4',
  alert: 'M12 4 21.3 20H2.700ZM12 10v4.500M12 17.300h.01',
  check: 'm5 12.5 4.7 4.700L19.5 7',
  x: 'm6 6 12 12M18 6 6 18',
  clock: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 7v5.200l3.3 2',
  search: 'M10.8 17.600a6.8 6.8 0 1 0 0-13.6 6.8 6.8 0 0 0 0 13.600ZM15.8 15.800l4.7 4.7',
  play: 'M7.5 4.8 19 12 7.5 19.200Z',
  stop: 'M7 6h10a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H7a1 1 0 0 1-1-1V7a1 1 0 0 1 1-1Z',
  download: 'M12 4v11M7.5 11l4.5 4.5 4.5-4.500M4.5 20h15',
  copy: 'M9.5 8.500h9A1.5 1.5 0 0 1 20 10v9a1.5 1.5 0 0 1-1.5 1.500h-9A1.5 1.5 0 0 1 8 19v-9a1.5 1.5 0 0 1 1.5-1.500ZM16 8.500V5A1.5 1.5 0 0 0 14.5 3.500h-9A1.5 1.5 0 0 0 4 5v9a1.5 1.5 0 0 0 1.5 1.500H8',
  plus: 'M12 5v14M5 12h14',
  minus: 'M5 12h14',
  trash: 'M4.5 6.500h15M9.5 6.500V4h5v2.500M6.5 6.500l.8 13a1 1 0 0 0 1 .9h7.400a1 1 0 0 0 1-.9l.8-13M10 10.500v6M14 10.500v6',
  edit: 'm4.5 19.5.9-4L16 4.900a1.4 1.4 0 0 1 2 0l1.1 1.100a1.4 1.4 0 0 1 0 2L8.5 18.600ZM13.7 7.200l3.1 3.1',
  moon: 'M19.8 14.300A8.3 8.3 0 1 1 9.7 4.200a6.7 6.7 0 0 0 10.1 10.100Z',
  sun: 'M12 16.200a4.2 4.2 0 1 0 0-8.4 4.2 4.2 0 0 0 0 8.400ZM12 2.800v2M12 19.200v2M2.8 12h2M19.2 12h2M5.5 5.500l1.4 1.400M17.1 17.100l1.4 1.400M18.5 5.500l-1.4 1.400M6.9 17.100l-1.4 1.4',
  menu: 'M4 7h16M4 12h16M4 17h16',
  terminal: 'M4.5 4.500h15A1.5 1.5 0 0 1 21 6v12a1.5 1.5 0 0 1-1.5 1.500h-15A1.5 1.5 0 0 1 3 18V6a1.5 1.5 0 0 1 1.5-1.500ZM7 9l3 3-3 3M12.5 15.500H17',
  settings: 'M4 7.500h9M17.5 7.500H20M15.2 9.800a2.3 2.3 0 1 0 0-4.6 2.3 2.3 0 0 0 0 4.600ZM20 16.500h-9M6.5 16.500H4M8.8 18.800a2.3 2.3 0 1 0 0-4.6 2.3 2.3 0 0 0 0 4.600Z',
  tag: 'M4 4.500h7.500l8.7 8.700a1.3 1.3 0 0 1 0 1.900l-5.6 5.600a1.3 1.3 0 0 1-1.9 0L4 12ZM8.3 8.800h.01',
  box: 'M4 8.500h16V19a1.5 1.5 0 0 1-1.5 1.500h-13A1.5 1.5 0 0 1 4 19ZM3 4h18v4.500H3ZM9.5 12.500h5',
  disk: 'M5.5 4h13A1.5 1.5 0 0 1 20 5.500v13a1.5 1.5 0 0 1-1.5 1.500h-13A1.5 1.5 0 0 1 4 18.500v-13A1.5 1.5 0 0 1 5.5 4ZM12 13.500a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM12 10h.01M7.5 16.800h4',
  network: 'M9.5 3.500h5v5h-5ZM3.5 15.500h5v5h-5ZM15.5 15.500h5v5h-5ZM12 8.500V12M6 15.500V12h12v3.5',
  bell: 'M6 10.500a6 6 0 0 1 12 0c0 5 2 6.5 2 6.500H4s2-1.5 2-6.500ZM10 20a2.2 2.2 0 0 0 4 0',
  question: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM9.5 9.500a2.5 2.5 0 1 1 3.7 2.200c-.8.4-1.2 1-1.2 1.900M12 16.700h.01',
  info: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 11v5.500M12 7.800h.01',
  file: 'M6.5 3.500h7.300L19 8.700v10.800a1 1 0 0 1-1 1H6.500a1 1 0 0 1-1-1v-15a1 1 0 0 1 1-1ZM13.5 3.800V9H19',
  folder: 'M4.5 5h5l2.2 2.500h7.800A1.5 1.5 0 0 1 21 9v9a1.5 1.5 0 0 1-1.5 1.500h-15A1.5 1.5 0 0 1 3 18V6.500A1.5 1.5 0 0 1 4.5 5Z',
  'folder-open': 'M3 17V6.5A1.5 1.5 0 0 1 4.5 5h5l2.2 2.5h6.3A1.5 1.5 0 0 1 19.5 9v1.500M3.2 18.600l2.2-7.100a1.5 1.5 0 0 1 1.4-1h13.800a1 1 0 0 1 1 1.300l-2 6.600a1.5 1.5 0 0 1-1.4 1.100H3.900a.8.8 0 0 1-.7-.9Z',
  archive: 'M4.5 8.5h15v10A1.5 1.5 0 0 1 18 20H6a1.5 1.5 0 0 1-1.5-1.500ZM3.5 4h17v4.500h-17ZM12 11.500V17M9.500 14.600 12 17l2.5-2.400',
  restore: 'M4 4.700v4.800h4.800M4.3 9.500A8.1 8.1 0 1 1 4 13.300M12 7.800v4.500l3 1.800',
  chart: 'M4.5 4v14A1.5 1.5 0 0 0 6 19.500h14M9 15.500v-4M13.500 15.500v-8M18 15.500V10',
  collapse: 'M4 12h16M8 4l4 4 4-4M8 20l4-4 4 4',
  eye: 'M2.500 12S6 5.500 12 5.500 21.500 12 21.500 12 18 18.500 12 18.500 2.500 12 2.500 12ZM12 14.800a2.800 2.800 0 1 0 0-5.600 2.800 2.800 0 0 0 0 5.600Z',
  refresh: 'M19.8 11A8 8 0 0 0 5.3 7.700L4 9.500M4 5v4.500h4.500M4.2 13a8 8 0 0 0 14.5 3.300l1.3-1.800M20 19v-4.500h-4.5',
  link: 'M10 14a4 4 0 0 0 5.7 0l3.1-3.100a4 4 0 0 0-5.7-5.700l-1 1M14 10a4 4 0 0 0-5.7 0l-3.1 3.100a4 4 0 0 0 5.7 5.700l1-1',
  lock: 'M6 10.500h12a1 1 0 0 1 1 1v8a1 1 0 0 1-1 1H6a1 1 0 0 1-1-1v-8a1 1 0 0 1 1-1ZM8 10.500V8a4 4 0 0 1 8 0v2.500M12 14.500v2.5',
  filter: 'M4 6h16M7 12h10M10 18h4',
  columns: 'M4.5 4.500h15A1.5 1.5 0 0 1 21 6v12a1.5 1.5 0 0 1-1.5 1.500h-15A1.5 1.5 0 0 1 3 18V6a1.5 1.5 0 0 1 1.5-1.500ZM9 4.500v15M15 4.500v15',
  more: 'M5.5 12h.01M12 12h.01M18.5 12h.01',
  'chevron-up': 'm6 14.5 6-6 6 6',
  'chevron-down': 'm6 9.5 6 6 6-6',
  'chevron-right': 'm9.5 6 6 6-6 6',
  'chevron-left': 'm14.5 6-6 6 6 6',
  'arrow-right': 'M4.5 12h15M13.5 6l6 6-6 6',
  out: 'M14 4H6.500A1.5 1.5 0 0 0 5 5.500v13A1.5 1.5 0 0 0 6.5 20H14M10.5 12H21M17 8l4 4-4 4',
  'circle-check': 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM8 12.300l2.8 2.8 5.2-5.7',
  'circle-x': 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM9 9l6 6M15 9l-6 6',
  'circle-off': 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 7.500V12M9 9.800a4 4 0 1 0 6 0',
  'circle-dash': 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM8.5 12h7',
  ban: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM5.7 5.7l12.6 12.6',
  spinner: 'M12 3a9 9 0 1 0 9 9',
  cpu: 'M7 7h10v10H7ZM10 10h4v4h-4ZM9.5 4v3M14.5 4v3M9.5 17v3M14.5 17v3M4 9.500h3M4 14.500h3M17 9.500h3M17 14.500h3',
  printer: 'M7 9V3.500h10V9M7 17.500H4.500A1.5 1.5 0 0 1 3 16v-5.500A1.5 1.5 0 0 1 4.5 9h15a1.5 1.5 0 0 1 1.5 1.500V16a1.5 1.5 0 0 1-1.5 1.500H17M7 14h10v6.500H7Z',
  calendar: 'M5 5.500h14A1.5 1.5 0 0 1 20.5 7v12a1.5 1.5 0 0 1-1.5 1.500H5A1.5 1.5 0 0 1 3.5 19V7A1.5 1.5 0 0 1 5 5.500ZM3.5 10h17M8 3v4M16 3v4',
  globe: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM3.3 12h17.400M12 3c2.5 2.5 3.8 5.5 3.8 9s-1.3 6.5-3.8 9c-2.5-2.5-3.8-5.5-3.8-9S9.5 5.5 12 3Z',
};

const ALIASES: Record<string, string> = {
  machine: 'server', host: 'server', people: 'users', person: 'user', jobs: 'list', plugin: 'puzzle', warning: 'alert',
  error: 'circle-x', close: 'x', delete: 'trash', add: 'plus', desktop: 'monitor', question_mark: 'question', help: 'question',
  audit: 'scroll', token: 'key', group: 'folder', groups: 'folder', scan: 'search', shell: 'terminal',
};

export const ICON_NAMES = Object.keys(DRAWINGS);

export function isIcon(name: string): boolean {
  return Object.hasOwn(DRAWINGS, name) || Object.hasOwn(ALIASES, name);
}

interface Props {
  name: string;
  size?: number;
  className?: string;
  label?: string;
}

/** One drawing. Without a label it is decoration and hidden from screen readers. */
export function Icon({ name, size = 17, className, label }: Props) {
  const drawn = DRAWINGS[Object.hasOwn(DRAWINGS, name) ? name : Object.hasOwn(ALIASES, name) ? ALIASES[name]! : 'puzzle'];
  return (
    <svg
      className={`icon ${className ?? ''}`}
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth={name === 'more' ? 2.6 : 1.75}
      strokeLinecap="round"
      strokeLinejoin="round"
      {...(label ? { role: 'img', 'aria-label': label } : { 'aria-hidden': true })}
    >
      <path d={drawn} />
    </svg>
  );
}

const TONES: Record<Tone, string> = {
  success: 'circle-check',
  warning: 'alert',
  danger: 'circle-x',
  neutral: 'circle-dash',
  info: 'info',
  active: 'spinner',
};

/** The mark of a tone: a shape of its own, so that the meaning does not hang on the colour. */
export function ToneIcon({ tone = 'neutral', icon, size = 15 }: { tone?: Tone; icon?: string | undefined; size?: number }) {
  return <Icon name={icon && isIcon(icon) ? icon : TONES[tone]} size={size} className={`tone-${tone}`} />;
}
