/** Small curves beside the rows of a list: of the rows that are in the document alone, a few questions for all of them. */
import type { Api } from '../backend/api';
import { type Bucket, selector } from './signals';

/** How far back they go. */
export const SPARK_MS = 600_000;
/** Columns of one. */
export const SPARK_POINTS = 40;
const PERIOD_MS = 5_000;
/** While rows are scrolled by nothing is asked. */
const SETTLE_MS = 200;
/** Series of one question: their names stand in it, and it may not be longer than the engine reads. */
const PER_ASK = 24;
/** Rows asked for at most. */
export const SPARKS_MAX = 96;

export type Spark = readonly Pick<Bucket, 'at' | 'min' | 'max' | 'mean'>[];

export class Sparks {
  lines = $state.raw<ReadonlyMap<string, Spark>>(new Map());
  /** The moment they end with, in milliseconds since 1970. */
  to = $state(0);

  #wanted = new Map<string, number>();
  #timer: ReturnType<typeof setTimeout> | null = null;
  #running = false;
  #busy = false;

  constructor(
    private readonly api: Pick<Api, 'signalsOver'>,
    private readonly signal: string,
    private readonly label: string,
  ) {}

  /** A row is there, until the answer is called. */
  want(id: string): () => void {
    this.#wanted.set(id, (this.#wanted.get(id) ?? 0) + 1);
    if (!this.lines.has(id)) this.#next(SETTLE_MS);
    return () => {
      const left = (this.#wanted.get(id) ?? 1) - 1;
      if (left > 0) this.#wanted.set(id, left);
      else this.#wanted.delete(id);
    };
  }

  start(): () => void {
    this.#running = true;
    this.#next(0);
    return () => {
      this.#running = false;
      if (this.#timer !== null) clearTimeout(this.#timer);
    };
  }

  #next(ms: number): void {
    if (!this.#running || this.#busy) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#read(), ms);
  }

  async #read(): Promise<void> {
    this.#busy = true;
    try {
      if (!document.hidden) await this.#all();
    } catch {
      // What was read stays; the figure beside it is said by the stream.
    } finally {
      this.#busy = false;
      this.#next(PERIOD_MS);
    }
  }

  async #all(): Promise<void> {
    const ids = [...this.#wanted.keys()].slice(0, SPARKS_MAX);
    const step = SPARK_MS / SPARK_POINTS;
    const to = Math.ceil(Date.now() / step) * step;
    const found = new Map<string, Spark>();
    for (let i = 0; i < ids.length; i += PER_ASK) {
      const some = ids.slice(i, i + PER_ASK);
      const answer = await this.api.signalsOver({
        expr: selector(this.signal, { is: { [this.label]: some } }),
        from: new Date(to - SPARK_MS).toISOString(),
        to: new Date(to).toISOString(),
        points: SPARK_POINTS,
      });
      for (const { labels, buckets } of answer.series) found.set(labels[this.label] ?? '', buckets);
      for (const id of some) if (!found.has(id)) found.set(id, []);
    }
    this.lines = found;
    this.to = to;
  }
}
