/**
 * The live stream: opened, resumed where it broke off, and opened again with growing patience.
 *
 * What is known of a topic is known up to a number. The stream goes on after the smallest of these, and what a topic
 * has told already is passed over. What cannot be told without a gap begins with a reset and a snapshot.
 *
 * All pages of a browser have one login. When one of them signs in anew, the engine ends what the others hear before
 * they can know: whoever was let in and is not any more looks again for a while, and goes on once the browser is let in.
 */
import type { Backend, From, Live } from '../backend/backend';
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
/** What every screen lives on; missions and the inbox are read again when events speak of them. */
export const STANDING: readonly string[] = ['agents', 'signals', 'events'];

/** How long to wait before each further look whether this browser is signed in. */
export const LOOKS_MS: readonly number[] = [150, 350, 1000, 2000];

/** How long to wait before the `n`-th try in a row, from 0. */
export const patience = (n: number): number => Math.min(15_000, 500 * 2 ** n);

export class Connection {
  link = $state<Link>('connecting');
  /** When the stream broke, in milliseconds since 1970. */
  brokenAt = $state<number | null>(null);

  #epoch: string | null = null;
  /** The number up to which each topic is known; without one where its snapshot is not complete. */
  #known = new Map<string, number>();
  /** Topics whose snapshot is under way. */
  #building = new Set<string>();
  #followed = new Map<string, Set<(frame: Frame) => void>>();
  #live: Live | null = null;
  #cancelTimer: (() => void) | null = null;
  #heardAt = 0;
  #tries = 0;
  /** How often it was found, in a row, that this browser is not signed in. */
  #looks = 0;
  /** Counts what was begun, so that what was found out for something else is passed over. */
  #begun = 0;
  #waiting: Frame[] = [];
  #scheduled = false;
  /** Something has begun anew, and what is not on the stream was not read since. */
  #unread = false;

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
    this.backend.onSignIn?.(() => this.#signedInElsewhere());
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

  /** This browser was signed out: nothing more comes, and nothing is tried again. */
  leave(): void {
    this.#begun += 1;
    this.#cancelTimer?.();
    this.#live?.close();
    this.#live = null;
    this.link = 'signed_out';
  }

  /** Is told what happens about a topic, until the answer is called. */
  follow(topic: string, onFrame: (frame: Frame) => void): () => void {
    const known = this.#followed.get(topic);
    const listeners = known ?? new Set<(frame: Frame) => void>();
    listeners.add(onFrame);
    this.#followed.set(topic, listeners);
    this.#known.delete(topic);
    this.#building.delete(topic);
    if (!known) {
      this.#live?.tell([topic], []);
    } else {
      // It needs a beginning of its own.
      this.#live?.tell([], [topic]);
      this.#live?.tell([topic], []);
    }
    return () => {
      listeners.delete(onFrame);
      if (listeners.size > 0 || this.#followed.get(topic) !== listeners) return;
      this.#followed.delete(topic);
      this.#known.delete(topic);
      this.#live?.tell([], [topic]);
    };
  }

  /** Another page of this browser signed in, maybe as somebody else. */
  #signedInElsewhere(): void {
    if (this.link === 'live') return;
    if (this.link === 'signed_out') {
      this.link = 'reconnecting';
      this.#epoch = null;
      this.#known.clear();
    }
    this.#looks = 0;
    this.retryNow();
  }

  #wanted(): string[] {
    return [...STANDING, ...this.#followed.keys()];
  }

  #from(): From | null {
    const topics = this.#wanted().filter((topic) => this.#known.has(topic));
    const numbers = topics.map((topic) => this.#known.get(topic) ?? 0);
    if (this.#epoch === null || numbers.length === 0) return null;
    return { epoch: this.#epoch, since: Math.min(...numbers), topics };
  }

  #open(): void {
    this.#begun += 1;
    this.#live?.close();
    this.#building.clear();
    this.#heardAt = this.clockwork.now();
    const from = this.#from();
    const asked = from?.topics ?? STANDING;
    const missing = this.#wanted().filter((topic) => !asked.includes(topic));
    this.#live = this.backend.live(
      {
        onOpen: () => {
          if (missing.length > 0) this.#live?.tell(missing, []);
          this.#opened();
        },
        onFrame: (frame) => this.#received(frame),
        onEnd: () => void this.#broke(),
      },
      from,
      asked,
    );
  }

  #opened(): void {
    this.link = 'live';
    this.brokenAt = null;
    this.#tries = 0;
    this.#looks = 0;
    this.#heardAt = this.clockwork.now();
  }

  #received(frame: Frame): void {
    this.#heardAt = this.clockwork.now();
    if (this.#epoch !== frame.epoch) this.#known.clear();
    this.#epoch = frame.epoch;
    const { payload, seq } = frame;
    const topic = frame.topic ?? null;
    if (topic !== null && typeof seq === 'number') {
      const known = this.#known.get(topic);
      if (known !== undefined && seq <= known && payload.kind !== 'caught_up') return;
      // Inside of a snapshot there is nothing to go on from, and one that nobody waits for is none.
      if (payload.kind === 'caught_up' ? this.#building.delete(topic) : known !== undefined)
        this.#known.set(topic, seq);
    }
    if (payload.kind === 'reset') {
      for (const one of payload.topics) {
        this.#known.delete(one);
        this.#building.add(one);
      }
      this.#unread ||= payload.topics.some((one) => STANDING.includes(one));
      return;
    }
    if (payload.kind === 'caught_up' && this.#unread && STANDING.every((one) => this.#known.has(one))) {
      // Once for all topics, when the last of them has its snapshot.
      this.#unread = false;
      void this.reread();
    }
    const listeners = topic === null ? undefined : this.#followed.get(topic);
    if (listeners) {
      const shown = showHiddenIn(frame);
      for (const listener of [...listeners]) listener(shown);
      return;
    }
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
    this.#live?.close();
    this.#live = null;
    this.brokenAt ??= this.clockwork.now();
    if (this.link !== 'connecting') this.link = 'reconnecting';
    await this.#judge();
  }

  /** Tries again after a while, unless this browser is signed out. */
  async #judge(): Promise<void> {
    const begun = this.#begun;
    const signedIn = await this.signedIn();
    if (begun !== this.#begun) return;
    if (!signedIn) {
      const wait = this.link === 'connecting' ? undefined : LOOKS_MS[this.#looks];
      this.#looks += 1;
      if (wait === undefined) this.link = 'signed_out';
      else this.#cancelTimer = this.clockwork.later(() => void this.#judge(), wait);
      return;
    }
    this.#looks = 0;
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
