/** The value of one signal for every agent as it is now: what a honeycomb can be coloured by. */
import type { Api } from '../backend/api';
import type { Signal } from '../backend/types';

const PERIOD_MS = 5_000;
/** What a rate is taken over. */
const WINDOW = '1m';

export interface Heated {
  signal: string;
  /** What is asked, and by what the answer is multiplied to be read. */
  expr: string;
  times: number;
  unit: string;
  /** What the scale reaches at least. */
  top: number;
}

/** How a signal is asked for by agent; nothing where it cannot be. */
export function heatedBy({ name, kind, unit, labels }: Signal): Heated | null {
  if (!labels.includes('agent') || kind === 'histogram') return null;
  const top = unit === '%' ? 100 : 0;
  if (kind !== 'counter') return { signal: name, expr: `max by (agent) (${name})`, times: 1, unit, top };
  // Reasoning is a part of the output; a cost is said by several, and is no sum of theirs.
  const only = labels.includes('kind') ? '{kind!="reasoning"}' : '';
  const over = labels.includes('by') ? 'max' : 'sum';
  const expr = `${over} by (agent) (rate(${name}${only}[${WINDOW}]))`;
  if (unit === '$') return { signal: name, expr, times: 3_600, unit: '$ an hour', top };
  if (unit === '') return { signal: name, expr, times: 60, unit: 'a minute', top };
  return { signal: name, expr, times: 1, unit: `${unit}/s`, top };
}

/** The next round number: the end of a scale. */
export function roundUp(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5, 10].find((one) => one * power >= value) ?? 10) * power;
}

export class Heat {
  by = $state.raw<Heated | null>(null);
  values = $state.raw<ReadonlyMap<string, number>>(new Map());
  problem = $state<string | null>(null);
  /** What can be chosen; nothing until it was read. */
  offered = $state.raw<readonly Heated[]>([]);
  /** The end of the scale. */
  top = $derived(Math.max(this.by?.top ?? 0, roundUp(Math.max(0, ...this.values.values()))));

  #timer: ReturnType<typeof setTimeout> | null = null;
  #turn = 0;

  constructor(private readonly api: Pick<Api, 'signals' | 'signalsAt'>) {}

  /** Reads what can be chosen, once. */
  async offer(): Promise<void> {
    if (this.offered.length > 0) return;
    try {
      const all = await this.api.signals();
      this.offered = all.flatMap((signal) => heatedBy(signal) ?? []);
      this.problem = null;
    } catch (error) {
      this.problem = error instanceof Error ? error.message : String(error);
    }
  }

  choose(signal: string | null): void {
    this.stop();
    this.by = this.offered.find((one) => one.signal === signal) ?? null;
    this.values = new Map();
    this.problem = null;
    if (this.by) void this.#loop(this.by, this.#turn);
  }

  stop(): void {
    this.#turn += 1;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  async #loop(by: Heated, turn: number): Promise<void> {
    try {
      if (!document.hidden) {
        const { series } = await this.api.signalsAt({ expr: by.expr });
        if (turn !== this.#turn) return;
        const found = new Map<string, number>();
        for (const { labels, buckets } of series) {
          const last = buckets.at(-1)?.last;
          if (labels.agent !== undefined && last !== undefined) found.set(labels.agent, last * by.times);
        }
        this.values = found;
        this.problem = null;
      }
    } catch (error) {
      if (turn !== this.#turn) return;
      this.problem = error instanceof Error ? error.message : String(error);
    }
    this.#timer = setTimeout(() => void this.#loop(by, turn), PERIOD_MS);
  }
}
