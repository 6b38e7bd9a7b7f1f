/**
 * An edit of something that others may edit at the same time.
 *
 * It is made on the version that was read, so that nothing is written over that was not seen. Where there is another
 * version by then, nothing is sent: what the other one changed is shown, and the captain says what becomes of it.
 */
import { Refusal, type Versioned } from '../backend/api';

/** How an edit of another version is refused. */
const CHANGED = 'changed_meanwhile';
/** Tries where what was changed is not edited here, such as whether an agent is paused. */
const TRIES = 3;

/** A field that somebody else changed meanwhile. */
export interface Difference {
  key: string;
  was: unknown;
  now: unknown;
  mine: unknown;
  /** It was changed here too, into something else. */
  clash: boolean;
}

const same = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other);

/** `T` is what is edited, `D` the fields of the form it is edited in. */
export class Edit<T, D extends object> {
  /** What the form was filled with. */
  was: T = $state.raw() as T;
  /** What is there now, where that is something else. */
  other = $state.raw<T | null>(null);
  /** It was removed meanwhile. */
  gone = $state(false);

  /** The version that was seen: of `other` where there is one, else of `was`. */
  #version: string | null = null;
  #read = false;

  constructor(
    was: T,
    private readonly look: () => Promise<Versioned<T>>,
    private readonly draftOf: (value: T) => D,
    /** The version, where it was read with it. */
    version: string | null = null,
  ) {
    this.was = was;
    this.#version = version;
    this.#read = version !== null;
  }

  /** What the other one changed, beside what was typed here. */
  differences(mine: D): Difference[] {
    if (this.other === null) return [];
    const [was, now] = [this.draftOf(this.was), this.draftOf(this.other)];
    return keysOf(now)
      .filter((key) => !same(was[key], now[key]))
      .map((key) => ({
        key: String(key),
        was: was[key],
        now: now[key],
        mine: mine[key],
        clash: !same(mine[key], was[key]) && !same(mine[key], now[key]),
      }));
  }

  /** Reads which version there is. Called when the form opens, so that what changes from then on is noticed. */
  async begin(): Promise<void> {
    try {
      await this.#look();
    } catch {
      // It is read again before anything is sent.
    }
  }

  /** Sends what was typed for the version that was seen; nothing where there is another one by now. */
  async save<R>(send: (version: string | null) => Promise<R>): Promise<R | null> {
    for (let tries = 1; ; tries += 1) {
      if (!this.#read) await this.#look();
      if (this.other !== null || this.gone) return null;
      try {
        return await send(this.#version);
      } catch (error) {
        if (!(error instanceof Refusal && error.code === CHANGED) || tries === TRIES) throw error;
        this.#read = false;
      }
    }
  }

  /** The form as it is now for everybody. What was typed is gone. */
  take(): D {
    this.#accept();
    return this.draftOf(this.was);
  }

  /** What was typed, over what is there now: what was not changed here stays as the other one made it. */
  over(mine: D): D {
    const before = this.draftOf(this.was);
    this.#accept();
    const now = this.draftOf(this.was);
    const next = { ...now };
    for (const key of keysOf(now)) if (!same(mine[key], before[key])) next[key] = mine[key];
    return next;
  }

  /** Lets it be made again, where it was removed. */
  again(): void {
    this.gone = false;
    this.#version = null;
    this.#read = true;
  }

  #accept(): void {
    if (this.other !== null) this.was = this.other;
    this.other = null;
  }

  async #look(): Promise<void> {
    try {
      const { value, version } = await this.look();
      this.#version = version;
      this.#read = true;
      this.gone = false;
      if (same(this.draftOf(value), this.draftOf(this.was))) {
        this.was = value;
        this.other = null;
      } else this.other = value;
    } catch (error) {
      if (!(error instanceof Refusal && error.status === 404)) throw error;
      this.#read = true;
      this.gone = true;
    }
  }
}

const keysOf = <D extends object>(of: D): (keyof D)[] => Object.keys(of) as (keyof D)[];
