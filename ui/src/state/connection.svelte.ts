/** The live stream: opened, resumed where it broke off, and opened again with growing patience. */
import type { Backend, From } from '../backend/backend';
import { showHiddenIn } from '../backend/hidden';
import type { Frame } from '../backend/types';

export type Link = 'connecting' | 'live' | 'reconnecting' | 'signed_out';

export interface Clockwork {
  later(call: () => void, ms: number): () => void;
  frame(call: () => void): void;
  now(): number;
}

export const browserClockwork: Clockwork = {
  later(call, ms) {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
  // A hidden page gets no animation frames; the stream must not pile up meanwhile.
  frame(call) {
    if (document.hidden) setTimeout(call, 250);
    else requestAnimationFrame(call);
  },
  now: () => Date.now(),
};

/** Nothing heard for this long means that the stream is dead, whatever the socket says. */
export const SILENCE_MS = 20_000;

/** How long to wait before the `n`-th try in a row, from 0. */
export const patience = (n: number): number => Math.min(15_000, 500 * 2 ** n);

export class Connection {
  link = $state<Link>('connecting');
  /** When the stream broke, in milliseconds since 1970. */
  brokenAt = $state<number | null>(null);

  #from: From | null = null;
  #close: (() => void) | null = null;
  #cancelTimer: (() => void) | null = null;
  #heardAt = 0;
  #tries = 0;
  #waiting: Frame[] = [];
  #scheduled = false;

  constructor(
    private readonly backend: Backend,
    private readonly apply: (frames: Frame[]) => void,
    /** Reads everything afresh. */
    private readonly reread: () => Promise<void>,
    /** Whether the engine still knows us; asked after the stream broke. */
    private readonly signedIn: () => Promise<boolean>,
    private readonly clockwork: Clockwork = browserClockwork,
  ) {}

  start(): void {
    this.#open();
    this.#watch();
  }

  /** Gives up waiting and tries at once. */
  retryNow(): void {
    if (this.link === 'live') return;
    this.#tries = 0;
    this.#cancelTimer?.();
    this.#open();
  }

  #open(): void {
    this.#close?.();
    this.#heardAt = this.clockwork.now();
    this.#close = this.backend.live(
      {
        onOpen: () => this.#opened(),
        onFrame: (frame) => this.#received(frame),
        onEnd: () => void this.#broke(),
      },
      this.#from,
    );
  }

  #opened(): void {
    const first = this.link === 'connecting';
    this.link = 'live';
    this.brokenAt = null;
    this.#tries = 0;
    this.#heardAt = this.clockwork.now();
    if (first) void this.reread();
  }

  #received(frame: Frame): void {
    this.#heardAt = this.clockwork.now();
    const from = this.#from;
    const gap = from !== null && (frame.epoch !== from.epoch || frame.seq > from.since + 1);
    this.#from = { epoch: frame.epoch, since: frame.seq };
    if (frame.payload.kind === 'reset' || gap) void this.reread();
    if (frame.payload.kind === 'reset') return;
    this.#waiting.push(showHiddenIn(frame));
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.clockwork.frame(() => {
      this.#scheduled = false;
      const frames = this.#waiting;
      this.#waiting = [];
      this.apply(frames);
    });
  }

  async #broke(): Promise<void> {
    this.#close?.();
    this.#close = null;
    this.brokenAt ??= this.clockwork.now();
    if (this.link !== 'connecting') this.link = 'reconnecting';
    if (!(await this.signedIn())) {
      this.link = 'signed_out';
      return;
    }
    this.#cancelTimer = this.clockwork.later(() => this.#open(), patience(this.#tries));
    this.#tries += 1;
    if (this.link === 'connecting' && this.#tries > 1) this.link = 'reconnecting';
  }

  #watch(): void {
    this.clockwork.later(() => {
      const silent = this.clockwork.now() - this.#heardAt > SILENCE_MS;
      if (this.link === 'live' && silent) void this.#broke();
      this.#watch();
    }, SILENCE_MS / 4);
  }
}
