/** Health in words: states with their tone and shape, kinds of checks, and how much of the time something was in order. */
import type { Glyph, Tone } from '../../kit/tone';
import { NONE } from '../../kit/units';
import type { CheckKind, CheckSubjectKind, CheckView, HealthState } from '../../state/types';

export const STATES: Record<HealthState, { word: string; tone: Tone; glyph: Glyph }> = {
  failed: { word: 'failed', tone: 'bad', glyph: 'cross' },
  degraded: { word: 'degraded', tone: 'warn', glyph: 'bang' },
  unknown: { word: 'unknown', tone: 'idle', glyph: 'question' },
  ok: { word: 'ok', tone: 'ok', glyph: 'check' },
};
/** What needs somebody comes first. */
export const STATE_ORDER: readonly HealthState[] = ['failed', 'degraded', 'unknown', 'ok'];

export const KINDS: Record<CheckKind, string> = {
  engine: 'a part of the engine',
  agent: 'an agent',
  http: 'a page',
  tcp: 'a port',
  command: 'a command',
  file_age: 'a file’s age',
  disk: 'free disk space',
  certificate: 'a certificate',
  heartbeat: 'reports that must come',
};

export const SUBJECTS: readonly { kind: CheckSubjectKind; title: string }[] = [
  { kind: 'user', title: 'Your checks' },
  { kind: 'engine', title: 'The engine' },
  { kind: 'agent', title: 'Agents' },
];

export const byTrouble = (a: CheckView, b: CheckView): number =>
  STATE_ORDER.indexOf(a.state) - STATE_ORDER.indexOf(b.state) || a.name.localeCompare(b.name);

/** A share of time with as many nines as it has: `100 %`, `99.95 %`; never rounded up to all of it. */
export function shareText(share: number | null | undefined): string {
  if (share === null || share === undefined) return NONE;
  if (share === 1) return '100 %';
  const percent = Math.min(share * 100, 99.999);
  const digits = percent >= 99.9 ? 3 : percent >= 99 ? 2 : 1;
  return `${(Math.floor(percent * 10 ** digits) / 10 ** digits).toFixed(digits)} %`;
}

/** Why it is so, in one line; what is in order says what it looks at. */
export const reasonOf = ({ reason, target, maintenance }: CheckView): string =>
  maintenance ? 'under maintenance; nothing is reported' : reason || target;

/** A command line for the words of a command, quoted where it has to be. */
export const lineOf = (words: readonly string[]): string =>
  words
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(' ');
