/** Bars on lanes of time: which of them are drawn, and where. */
import type { Span } from './timeaxis';
import type { Glyph, Tone } from './tone';

export interface Bar {
  id: string;
  /** In milliseconds since 1970. */
  from: number;
  /** Nothing while it goes on. */
  to: number | null;
  tone: Tone;
  glyph: Glyph;
  /** On the bar, as far as there is space. */
  title: string;
  /** Lines of the tooltip below the title. */
  about: readonly string[];
}

export interface Lane {
  id: string;
  title: string;
  sub?: string;
  /** In any order. */
  bars: readonly Bar[];
}

/** One bar, or several that would be too small to tell apart, in pixels from the left end of the axis. */
export interface PlacedBar {
  key: string;
  left: number;
  width: number;
  /** Which part of the lane's height it has, from the top. */
  track: number;
  bars: readonly Bar[];
}

export interface PlacedLane {
  bars: readonly PlacedBar[];
  tracks: number;
}

/** Parts of a lane's height at most; what overlaps even more is drawn over each other. */
export const TRACKS_MAX = 3;
/** Bars narrower than this are drawn so wide. */
const BAR_MIN = 4;
/** Small bars this close together become one. */
const GAP = 2;
/** Until it is so wide. */
const MANY_MAX = 24;

export const ends = (bar: Bar, now: number): number => Math.max(bar.from, bar.to ?? now);

/** The bars of a lane that can be seen in a span. */
export function placed(bars: readonly Bar[], span: Span, width: number, now: number): PlacedLane {
  const scale = width / Math.max(1, span.to - span.from);
  const seen = bars
    .filter((bar) => bar.from <= span.to && ends(bar, now) >= span.from)
    .sort((a, b) => a.from - b.from || ends(a, now) - ends(b, now));
  const found: (PlacedBar & { bars: Bar[] })[] = [];
  // Where each track is free in time, and where on the axis: bars are drawn wider than they last.
  const free: number[] = [];
  const drawn: number[] = [];
  for (const bar of seen) {
    const left = Math.max(-1, (bar.from - span.from) * scale);
    const right = Math.max(left, Math.min(width + 1, (ends(bar, now) - span.from) * scale));
    const wide = Math.max(BAR_MIN, right - left);
    const last = found.at(-1);
    const one = last && wide <= BAR_MIN && joins(last, left) ? last : null;
    const track = one?.track ?? trackFor(free, left);
    const start = one?.left ?? Math.max(left, Math.min(drawn[track] ?? left, left + BAR_MIN));
    const end = Math.max(left + wide, start + BAR_MIN, one ? one.left + one.width : 0);
    free[track] = Math.max(free[track] ?? 0, right);
    drawn[track] = end;
    if (one) {
      one.width = end - start;
      one.bars.push(bar);
    } else found.push({ key: bar.id, left: start, width: end - start, track, bars: [bar] });
  }
  return { bars: found, tracks: Math.max(1, free.length) };
}

/** Whether a small bar at a place becomes one with the bars before it. */
const joins = (bar: PlacedBar, left: number): boolean =>
  (bar.bars.length > 1 || bar.width <= BAR_MIN) &&
  bar.width < MANY_MAX &&
  left - (bar.left + bar.width) < GAP;

/** The tone of a bar: that of what it stands for, where all of it has the same. */
export const toneOf = ({ bars: [first, ...others] }: PlacedBar): Tone =>
  first !== undefined && others.every(({ tone }) => tone === first.tone) ? first.tone : 'idle';

/** The first part of the height that is free at a place; the one that is free soonest where none is. */
function trackFor(free: readonly number[], left: number): number {
  const first = free.findIndex((end) => end <= left + 0.5);
  if (first >= 0) return first;
  if (free.length < TRACKS_MAX) return free.length;
  return free.indexOf(Math.min(...free));
}

/** The time that all bars take, with a little around it; the hour before now when there are none. */
export function wholeSpan(lanes: readonly Lane[], now: number): Span {
  let [from, to] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const { bars } of lanes) {
    for (const bar of bars) {
      from = Math.min(from, bar.from);
      to = Math.max(to, ends(bar, now));
    }
  }
  if (!Number.isFinite(from)) return { from: now - 3_600_000, to: now };
  const around = Math.max(1_000, (to - from) * 0.02);
  return { from: from - around, to: to + around };
}

/** Where the keyboard is: a lane, and one of its bars in the order of time. */
export interface Spot {
  lane: number;
  bar: string | null;
}

const inTime = (lane: Lane | undefined): Bar[] => [...(lane?.bars ?? [])].sort((a, b) => a.from - b.from);

/** Where a key leads: left and right along a lane, up and down to the bar nearest in time. */
export function stepped(lanes: readonly Lane[], at: Spot, key: string, page: number): Spot {
  if (lanes.length === 0) return { lane: 0, bar: null };
  const bars = inTime(lanes[at.lane]);
  const index = bars.findIndex((bar) => bar.id === at.bar);
  const along = (to: number): Spot => ({
    lane: at.lane,
    bar: bars[Math.max(0, Math.min(to, bars.length - 1))]?.id ?? null,
  });
  if (key === 'ArrowRight') return along(index + 1);
  if (key === 'ArrowLeft') return along(index - 1);
  if (key === 'Home') return along(0);
  if (key === 'End') return along(bars.length - 1);
  const by = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page }[key] ?? 0;
  const lane = Math.max(0, Math.min(at.lane + by, lanes.length - 1));
  if (lane === at.lane) return at;
  return { lane, bar: nearest(inTime(lanes[lane]), bars[index]?.from) };
}

function nearest(bars: readonly Bar[], to: number | undefined): string | null {
  const [first, ...rest] = bars;
  if (first === undefined) return null;
  if (to === undefined) return bars.at(-1)?.id ?? null;
  return rest.reduce((a, b) => (Math.abs(b.from - to) < Math.abs(a.from - to) ? b : a), first).id;
}
