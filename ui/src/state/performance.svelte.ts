/**
 * The performance view: one stretch of time for all panels, and what those panels show that are in sight.
 *
 * Everything that was read is shown together, at most once in 250 ms. While the captain looks at a moment, the time
 * stands still; it goes on by itself afterwards.
 */
import { type Api, Refusal } from '../backend/api';
import { type Reading, readSource, type Source, type Tier } from './signals';
import { RANGE_MAX_MS, RANGE_MIN_MS, type Range, type Span, spanOf } from './timerange';

/** Between two frames. */
export const FRAME_MS = 250;
/** Between two readings while time goes on: as often as there is something new to see. */
const PERIOD_MS = { min: 1_000, max: 15_000 };
/** Before something that failed is read again. */
const AGAIN_MS = 3_000;
/** Between two samples at least. */
const SAMPLE_MS = 1_000;
/** Columns at most and at least, however wide a panel is. */
const POINTS = { min: 60, max: 1_000 };
const DEFAULT: Range = { kind: 'last', ms: 3_600_000 };
/** Panels read at once: the engine answers a few questions at a time, and others ask too. */
const AT_ONCE = 2;
/** What takes long is read seldom: the pause after a reading is so many times as long as it took. */
const REST = 12;
/** Curves of one source at most; of more than these the largest are read. */
export const CURVES_READ = 16;
/** How an expression that is wrong, or asks for too much, is refused: asked again it would be so again. */
const WRONG = 'invalid_input';
/** A reading that nobody waits for any more is called off when it has taken this long. */
const STALE_MS = 1_000;

/** What one panel shows. */
export class Feed {
  /** What was read of each source; nothing where the engine does not know its signal. */
  readings = $state.raw<readonly (Reading | null)[]>([]);
  /** The stretch of time it was read for. */
  span = $state.raw<Span | null>(null);
  problem = $state.raw<Refusal | null>(null);

  /** Whether it is on the screen. */
  visible = false;
  points = POINTS.max;
  /** What calls off the reading that is under way. */
  reading: AbortController | null = null;
  /** What was asked for last, and when that was. */
  asked = '';
  readAt = Number.NEGATIVE_INFINITY;
  /** Before this it is not read again only because time went on. */
  restsUntil = Number.NEGATIVE_INFINITY;
  /** How finely each expression was read the last time. */
  tiers = new Map<string, Tier>();

  constructor(public sources: readonly Source[]) {}
}

interface Found {
  feed: Feed;
  span: Span;
  readings: readonly (Reading | null)[] | null;
  problem: Refusal | null;
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
  #setAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly api: Pick<Api, 'signalsOver'>,
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
    const close = () => {
      this.#feeds.delete(feed);
      feed.reading?.abort();
    };
    return { feed, close };
  }

  /** Begins to read, until the answer is called. */
  start(): () => void {
    const timer = setInterval(() => this.turn(), FRAME_MS);
    this.turn();
    return () => {
      clearInterval(timer);
      for (const feed of this.#feeds) feed.reading?.abort();
    };
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
    let free = AT_ONCE;
    for (const feed of this.#feeds) {
      if (!feed.reading) continue;
      free -= 1;
      if (feed.readAt < this.#setAt && this.now() - feed.readAt >= STALE_MS) feed.reading.abort();
    }
    // Who waited longest comes first.
    const due = [...this.#feeds].filter((feed) => feed.visible && !feed.reading);
    for (const feed of due.sort((a, b) => a.readAt - b.readAt)) {
      if (free <= 0) return;
      if (this.#read(feed)) free -= 1;
    }
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
    this.#setAt = this.now();
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
    for (const { feed, span, readings, problem } of all) {
      feed.problem = problem;
      if (readings === null) continue;
      feed.readings = readings;
      feed.span = span;
    }
  }

  /** As many columns as it is wide, none of them shorter than what is measured. */
  #points(feed: Feed): number {
    const wide = Math.min(POINTS.max, Math.max(POINTS.min, feed.points));
    const samples = Math.ceil((this.span.to - this.span.from) / SAMPLE_MS);
    return Math.round(Math.max(2, Math.min(wide, samples)));
  }

  /** Begins to read what a panel shows, where there is something new to read. */
  #read(feed: Feed): boolean {
    const points = this.#points(feed);
    // On whole steps, so that the columns of one reading and the next have the same bounds.
    const step = Math.max(1, (this.span.to - this.span.from) / points);
    const to = Math.ceil(this.span.to / step) * step;
    const span = { from: to - step * points, to };
    const what = feed.sources.map(({ expr }) => expr).join('\n');
    // Moving on with time is no other question: it may be asked a little later.
    const question = this.following
      ? `last ${step} ${points} ${what}`
      : `${span.from} ${to} ${points} ${what}`;
    const same = feed.asked === question;
    const now = this.now();
    if (same && feed.problem !== null) {
      if (feed.problem.code === WRONG || now - feed.readAt < AGAIN_MS) return false;
    } else if (same && (!this.following || feed.readAt >= this.#movedAt || now < feed.restsUntil))
      return false;
    feed.asked = question;
    feed.readAt = now;
    void this.#answer(feed, span, points);
    return true;
  }

  async #answer(feed: Feed, span: Span, points: number): Promise<void> {
    const call = new AbortController();
    feed.reading = call;
    const shown = this.span;
    const begun = this.now();
    const read = async (source: Source) => {
      const tier = feed.tiers.get(source.expr);
      const wanted = { span, points, top: CURVES_READ, tier, signal: call.signal };
      const reading = await readSource(this.api, source, wanted);
      if (reading) feed.tiers.set(source.expr, reading.tier);
      return reading;
    };
    try {
      const readings = await Promise.all(feed.sources.map(read));
      this.#found.push({ feed, span: shown, readings, problem: null });
      feed.restsUntil = this.now() + REST * (this.now() - begun);
    } catch (error) {
      if (call.signal.aborted) feed.asked = '';
      else this.#found.push({ feed, span: shown, readings: null, problem: Refusal.of(error, '') });
    } finally {
      if (feed.reading === call) feed.reading = null;
    }
  }
}
