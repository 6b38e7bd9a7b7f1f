/** A time axis: where its ticks stand in the captain's zone, and how a span of time is moved and zoomed. */
import { language } from './locale';

/** From and to, in milliseconds since 1970. */
export interface Span {
  from: number;
  to: number;
}

export interface Tick {
  at: number;
  label: string;
  /** It begins a day, so its label is a date. */
  day: boolean;
}

const S = 1_000;
const MIN = 60 * S;
const H = 60 * MIN;
const D = 24 * H;
/** Steps that people count in. */
const STEPS: readonly number[] = [
  ...[1, 2, 5, 10, 15, 30].map((n) => n * S),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MIN),
  ...[1, 2, 3, 6, 12].map((n) => n * H),
  ...[1, 2, 7, 14, 28, 91, 182, 364].map((n) => n * D),
];
/** Ticks at most, whatever was asked for. */
const TICKS_MAX = 60;

const formats = {
  second: new Intl.DateTimeFormat(language, {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hour12: false,
  }),
  minute: new Intl.DateTimeFormat(language, { hour: '2-digit', minute: '2-digit', hour12: false }),
  day: new Intl.DateTimeFormat(language, { weekday: 'short', day: 'numeric', month: 'short' }),
  year: new Intl.DateTimeFormat(language, { day: 'numeric', month: 'short', year: 'numeric' }),
};

/** Ticks at round local times, at least `spacing` pixels apart on an axis of `width` pixels. */
export function ticks(span: Span, width: number, spacing: number): Tick[] {
  const length = span.to - span.from;
  const fits = Math.min(TICKS_MAX, Math.floor(width / spacing));
  if (!(length > 0) || fits < 1) return [];
  const step = STEPS.find((one) => length / one <= fits) ?? Math.ceil(length / fits / D) * D;
  const found: Tick[] = [];
  for (let at = floor(span.from, step); at <= span.to && found.length < 2 * TICKS_MAX; at = after(at, step)) {
    if (at >= span.from) found.push(tick(at, step));
  }
  return found;
}

/** The next tick. A day may have 23 or 25 hours, so days are counted, and hours rounded again. */
function after(at: number, step: number): number {
  if (step <= H) return at + step;
  if (step < D) return floor(at + step + H, step);
  const date = new Date(at);
  return new Date(date.getFullYear(), date.getMonth(), date.getDate() + step / D).getTime();
}

/** The last round local time at or before a moment. Steps below an hour are round in every zone's own minutes. */
function floor(at: number, step: number): number {
  const date = new Date(at);
  if (step < H) {
    const offset = date.getTimezoneOffset() * MIN;
    return Math.floor((at - offset) / step) * step + offset;
  }
  if (step < D) {
    const hours = step / H;
    const local = new Date(at);
    local.setHours(Math.floor(local.getHours() / hours) * hours, 0, 0, 0);
    return local.getTime();
  }
  const midnight = new Date(date.getFullYear(), date.getMonth(), date.getDate());
  // Counted from a Monday, so that weeks begin on one.
  const days = Math.round(
    (Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - Date.UTC(2001, 0, 1)) / D,
  );
  const over = ((days % (step / D)) + step / D) % (step / D);
  midnight.setDate(midnight.getDate() - over);
  return midnight.getTime();
}

function tick(at: number, step: number): Tick {
  const date = new Date(at);
  const day = date.getHours() === 0 && date.getMinutes() === 0 && date.getSeconds() === 0;
  const format =
    step >= 91 * D
      ? formats.year
      : day || step >= D
        ? formats.day
        : step < MIN
          ? formats.second
          : formats.minute;
  return { at, label: format.format(date), day: day || step >= D };
}

/** The shortest and the longest time that can be looked at. */
export const SPAN_MIN_MS = S;
export const SPAN_MAX_MS = 20 * 365 * D;

/** Shorter or longer by a factor, with the moment at one part of it (0 to 1) staying there. */
export function zoomedSpan(span: Span, by: number, part: number): Span {
  const length = Math.max(SPAN_MIN_MS, Math.min(SPAN_MAX_MS, (span.to - span.from) * by));
  const still = span.from + (span.to - span.from) * part;
  const from = still - length * part;
  return { from, to: from + length };
}

/** Later or earlier by a part of its length. */
export function movedSpan(span: Span, parts: number): Span {
  const by = (span.to - span.from) * parts;
  return { from: span.from + by, to: span.to + by };
}

/** Moved as little as needed to show a moment, with a little before it. */
export function spanWith(span: Span, from: number, to: number): Span {
  const length = span.to - span.from;
  if (to < span.from || from > span.to) {
    const start = from - length * 0.1;
    return { from: start, to: start + length };
  }
  return span;
}
