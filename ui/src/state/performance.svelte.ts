/**
 * The performance view: one stretch of time for all panels, and what those panels show that are in sight.
 *
 * Everything that was read is shown together, at most once in 250 ms. While the captain looks at a moment, the time
 * stands still; it goes on by itself afterwards.
 */
import type { Api } from '../backend/api';
import { type Curve, readSource, type Source } from './signals';
import { RANGE_MAX_MS, RANGE_MIN_MS, type Range, type Span, spanOf } from './timerange';

/** Between two frames. */
export const FRAME_MS = 250;
/** Between two readings while time goes on: as often as there is something new to see. */
const PERIOD_MS = { min: 1_000, max: 15_000 };
/** Before something that failed is read again. */
const AGAIN_MS = 3_000;
/** Columns at most and at least, however wide a panel is. */
const POINTS = { min: 60, max: 1_000 };
const DEFAULT: Range = { kind: 'last', ms: 3_600_000 };

/** What one panel shows. */
export class Feed {
  /** The curves of each source; nothing where the engine does not know its signal. */
  curves = $state.raw<readonly (readonly Curve[] | null)[]>([]);
  /** The stretch of time they were read for. */
  span = $state.raw<Span | null>(null);
  problem = $state<string | null>(null);

  /** Whether it is on the screen. */
  visible = false;
  points = POINTS.max;
  busy = false;
  /** What was asked for last, and when that was. */
  asked = '';
  failedAt = Number.NEGATIVE_INFINITY;

  constructor(readonly sources: readonly Source[]) {}
}

interface Found {
  feed: Feed;
  span: Span;
  curves: readonly (readonly Curve[] | null)[] | null;
  problem: string | null;
}

export class Performance {
  range = $state.raw<Range>(DEFAULT);
  span = $state.raw<Span>({ from: 0, to: 1 });
  /** The captain looks at a moment: time stands still. */
  held = $state(false);
  /** Whether the mouse or a key changed what was chosen. */
  zoomed = $state(false);

  #feeds = new Set<Feed>();
  /** What was chosen, before it was zoomed or moved. */
  #chosen: Range = DEFAULT;
  #found: Found[] = [];
  #movedAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly api: Pick<Api, 'range'>,
    private readonly now: () => number = () => Date.now(),
    private readonly hidden: () => boolean = () => document.hidden,
  ) {
    this.#move();
  }

  /** Time goes on, as far as it is looked at. */
  get following(): boolean {
    return this.range.kind === 'last';
  }

  /** Shows a panel's sources until the answer is called. */
  feed(sources: readonly Source[]): { feed: Feed; close: () => void } {
    const feed = new Feed(sources);
    this.#feeds.add(feed);
    return { feed, close: () => this.#feeds.delete(feed) };
  }

  /** Begins to read, until the answer is called. */
  start(): () => void {
    const timer = setInterval(() => this.turn(), FRAME_MS);
    this.turn();
    return () => clearInterval(timer);
  }

  /** Another stretch of time, as it was typed or chosen. */
  show(range: Range): void {
    this.#chosen = range;
    this.#set(range);
  }

  /** A part of what is shown, as it was marked with the mouse. */
  zoomTo({ from, to }: Span): void {
    const length = Math.max(RANGE_MIN_MS, to - from);
    const middle = (from + to) / 2;
    this.#set({ kind: 'between', ...this.#upToNow({ from: middle - length / 2, to: middle + length / 2 }) });
  }

  /** Shorter or longer, with the moment at one part of it staying where it is. */
  zoom(by: number, part: number): void {
    const now = this.span.to - this.span.from;
    const length = Math.min(RANGE_MAX_MS, Math.max(RANGE_MIN_MS, now * by));
    const from = this.span.from + (now - length) * part;
    const span = this.#upToNow({ from, to: from + length });
    this.#set({ kind: 'between', ...span });
  }

  /** Earlier or later by a part of its length. */
  pan(parts: number): void {
    const by = (this.span.to - this.span.from) * parts;
    const span = this.#upToNow({ from: this.span.from + by, to: this.span.to + by });
    this.#set({ kind: 'between', ...span });
  }

  /** As it was before the mouse changed it. */
  reset(): void {
    this.#set(this.#chosen);
  }

  /** Time goes on from now, over a length as the one that is shown. */
  follow(): void {
    this.show({ kind: 'last', ms: Math.round((this.span.to - this.span.from) / 1_000) * 1_000 });
  }

  /** One turn: what was read is shown, time moves, and what is in sight and not current is read. */
  turn(): void {
    this.#flush();
    if (this.hidden()) return;
    if (this.following && !this.held && this.now() - this.#movedAt >= this.#period()) this.#move();
    for (const feed of this.#feeds) if (feed.visible && !feed.busy) void this.#read(feed);
  }

  #period(): number {
    const step = (this.span.to - this.span.from) / POINTS.max;
    return Math.min(PERIOD_MS.max, Math.max(PERIOD_MS.min, step));
  }

  /** Nothing lies ahead of now. */
  #upToNow(span: Span): Span {
    const over = span.to - this.now();
    return over > 0 ? { from: span.from - over, to: span.to - over } : span;
  }

  #set(range: Range): void {
    this.range = range;
    this.zoomed = range !== this.#chosen;
    this.#move();
    this.turn();
  }

  #move(): void {
    this.#movedAt = this.now();
    this.span = spanOf(this.range, this.now());
  }

  #flush(): void {
    const all = this.#found;
    if (all.length === 0) return;
    this.#found = [];
    for (const { feed, span, curves, problem } of all) {
      feed.problem = problem;
      if (curves === null) continue;
      feed.curves = curves;
      feed.span = span;
    }
  }

  async #read(feed: Feed): Promise<void> {
    const points = Math.round(Math.min(POINTS.max, Math.max(POINTS.min, feed.points)));
    // On whole steps, so that the buckets of one reading and the next have the same bounds.
    const step = Math.max(1, (this.span.to - this.span.from) / points);
    const to = Math.ceil(this.span.to / step) * step;
    const span = { from: to - step * points, to };
    // The last bucket grows while time goes on, so it is read again with each move.
    const asked = `${span.from} ${span.to} ${points} ${this.following ? this.#movedAt : ''}`;
    if (feed.asked === asked && feed.problem === null) return;
    if (feed.problem !== null && this.now() - feed.failedAt < AGAIN_MS) return;
    feed.busy = true;
    feed.asked = asked;
    const shown = this.span;
    try {
      const curves = await Promise.all(feed.sources.map((one) => readSource(this.api, one, span, points)));
      this.#found.push({ feed, span: shown, curves, problem: null });
    } catch (error) {
      feed.failedAt = this.now();
      const problem = error instanceof Error ? error.message : String(error);
      this.#found.push({ feed, span: shown, curves: null, problem });
    } finally {
      feed.busy = false;
    }
  }
}
