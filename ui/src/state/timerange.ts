/** The stretch of time that is looked at: as it is typed, as it is shown, and as moments. */

/** From and to, in milliseconds since 1970. */
export interface Span {
  from: number;
  to: number;
}

/** The time up to now, which goes on, or a stretch that stands still. */
export type Range = { kind: 'last'; ms: number } | { kind: 'between'; from: number; to: number };

const S = 1_000;
const MIN = 60 * S;
const H = 60 * MIN;
const D = 24 * H;
const UNITS: readonly [RegExp, number][] = [
  [/^(?:s|sec|secs|seconds?)$/, S],
  [/^(?:m|min|mins|minutes?)$/, MIN],
  [/^(?:h|hrs?|hours?)$/, H],
  [/^(?:d|days?)$/, D],
  [/^(?:w|weeks?)$/, 7 * D],
];
/** The shortest and the longest stretch, as the engine answers them. */
export const RANGE_MIN_MS = 10 * S;
export const RANGE_MAX_MS = 3_653 * D;
const EXAMPLES = 'Write “last 2h”, “last 7 days”, “today”, “since 9:30” or “2026-01-31 9:00 to 17:00”.';

/** The stretch as it is now. */
export const spanOf = (range: Range, now: number): Span =>
  range.kind === 'last' ? { from: now - range.ms, to: now } : { from: range.from, to: range.to };

/** What was typed as a stretch of time, or what is wrong with it. */
export function readRange(typed: string, now: number): { range: Range } | { problem: string } {
  const text = typed.trim().toLowerCase().replace(/\s+/g, ' ');
  const range = last(text) ?? named(text, now) ?? since(text, now) ?? between(text, now);
  if (range === null) return { problem: EXAMPLES };
  const { from, to } = spanOf(range, now);
  if (!(to > from)) return { problem: 'It ends before it begins.' };
  if (to - from < RANGE_MIN_MS) return { problem: 'At least 10 seconds can be shown.' };
  if (to - from > RANGE_MAX_MS) return { problem: 'At most ten years can be shown.' };
  if (from > now) return { problem: 'Nothing was measured in the future.' };
  return { range };
}

/** `last 2h`, `90 min`, `1h 30m`, `last hour`. */
function last(text: string): Range | null {
  const one = /^last ([a-z]+)$/.exec(text);
  const parts = one ? `1 ${one[1]}` : text.replace(/^last /, '');
  if (!/^(?:\d+(?:\.\d+)? ?[a-z]+ ?)+$/.test(parts)) return null;
  let ms = 0;
  for (const [, number, word = ''] of parts.matchAll(/(\d+(?:\.\d+)?) ?([a-z]+)/g)) {
    const unit = UNITS.find(([words]) => words.test(word));
    if (!unit) return null;
    ms += Number(number) * unit[1];
  }
  return { kind: 'last', ms };
}

function named(text: string, now: number): Range | null {
  const midnight = new Date(now);
  midnight.setHours(0, 0, 0, 0);
  const before = new Date(midnight);
  before.setDate(before.getDate() - 1);
  if (text === 'today') return { kind: 'between', from: midnight.getTime(), to: now };
  if (text === 'yesterday') return { kind: 'between', from: before.getTime(), to: midnight.getTime() };
  return null;
}

function since(text: string, now: number): Range | null {
  const from = text.startsWith('since ') ? moment(text.slice(6), now) : null;
  return from === null ? null : { kind: 'between', from, to: now };
}

function between(text: string, now: number): Range | null {
  const parts = text.split(/ (?:to|until|-|–|—|\.\.) |\.\.|–/);
  if (parts.length !== 2) return null;
  const from = moment(parts[0] ?? '', now);
  if (from === null) return null;
  // A time of day alone is that day's, whose start was named.
  const to = moment(parts[1] ?? '', now, from);
  return to === null ? null : { kind: 'between', from, to };
}

/** `now`, `9:30`, `2026-01-31`, `2026-01-31 9:30`, or as RFC 3339 writes it. */
function moment(text: string, now: number, day = now): number | null {
  if (text.trim() === 'now') return now;
  const local = /^(?:(\d{4})-(\d{1,2})-(\d{1,2}))?[ t]?(?:(\d{1,2}):(\d{2})(?::(\d{2}))?)?$/.exec(
    text.trim(),
  );
  if (local && text.trim() !== '') {
    const [, year, month, date, hour = '0', minute = '0', second = '0'] = local;
    if (Number(hour) > 24 || Number(minute) > 59 || Number(second) > 59) return null;
    const on = new Date(day);
    if (year) {
      on.setFullYear(Number(year), Number(month) - 1, Number(date));
      if (on.getMonth() !== Number(month) - 1) return null;
    }
    return on.setHours(Number(hour), Number(minute), Number(second), 0);
  }
  if (!/^\d{4}-\d{2}-\d{2}t/.test(text.trim())) return null;
  const at = Date.parse(text.trim());
  return Number.isNaN(at) ? null : at;
}

/** A length with as few units as it takes: `90 s` stays, `2 h`, `1 h 30 min`, `7 d`. */
function lengthText(ms: number): string {
  const words: string[] = [];
  let left = Math.round(ms / S) * S;
  for (const [unit, word] of [
    [D, 'd'],
    [H, 'h'],
    [MIN, 'min'],
    [S, 's'],
  ] as const) {
    const n = Math.floor(left / unit);
    if (n > 0) words.push(`${n} ${word}`);
    left -= n * unit;
  }
  return words.join(' ');
}

const two = (n: number): string => String(n).padStart(2, '0');
function stamp(ms: number, withDay: boolean): string {
  const at = new Date(ms);
  const time = `${two(at.getHours())}:${two(at.getMinutes())}${at.getSeconds() === 0 ? '' : `:${two(at.getSeconds())}`}`;
  return withDay ? `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}` : time;
}

/** A stretch as it could be typed; what is shorter than a second is left away. */
export function rangeText(range: Range): string {
  if (range.kind === 'last') return `last ${lengthText(range.ms)}`;
  const sameDay = new Date(range.from).toDateString() === new Date(range.to).toDateString();
  return `${stamp(range.from, true)} to ${stamp(range.to, !sameDay)}`;
}
