/** The measured signals of an agent over the last while, read again as time passes. */
import { type Api, Refusal } from '../backend/api';
import type { SeriesRange } from '../backend/types';

export const SPANS = [
  { seconds: 300, label: '5 min' },
  { seconds: 1_800, label: '30 min' },
  { seconds: 21_600, label: '6 h' },
] as const;

/** What its processes use, then what it said of its work. */
export const AGENT_SIGNALS = [
  'agent_cpu_percent',
  'agent_memory_bytes',
  'agent_processes',
  'agent_tokens_total',
  'agent_cost_usd_total',
  'agent_tool_calls_total',
  'agent_turns_total',
  'agent_progress_percent',
] as const;
export type AgentSignal = (typeof AGENT_SIGNALS)[number];

/** How an engine refuses a signal that it does not know. */
const UNKNOWN = 'not_found';
const POINTS = 240;
/** The shortest stretch of time a chart shows, in milliseconds. */
const STRETCH_MS_MIN = 30_000;

type Stretch = Omit<Parameters<Api['range']>[0], 'name'>;

/** A stretch of time that is over, or still goes on. */
export interface During {
  from: string;
  to: string | null;
}

export class Resources {
  seconds = $state<number>(SPANS[0].seconds);
  series = $state.raw<ReadonlyMap<AgentSignal, readonly SeriesRange[]>>(new Map());
  /** The ends of what was asked for, in seconds since 1970. */
  span = $state.raw<[number, number]>([0, 1]);
  ready = $state(false);
  problem = $state<string | null>(null);
  /** Signals that this engine does not know. */
  unknown = $state.raw<readonly AgentSignal[]>([]);
  #timer: ReturnType<typeof setTimeout> | null = null;
  #closed = false;
  #turn = 0;

  constructor(
    private readonly api: Api,
    private readonly agentId: string,
    private readonly during: During | null = null,
  ) {}

  start(): void {
    void this.#loop();
  }

  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  show(seconds: number): void {
    this.seconds = seconds;
    if (this.#timer !== null) clearTimeout(this.#timer);
    void this.#loop();
  }

  /** One signal; nothing where the engine does not know it, as an older one does not. */
  async #of(name: AgentSignal, query: Stretch): Promise<SeriesRange[] | null> {
    try {
      return await this.api.range({ name, ...query });
    } catch (error) {
      if (error instanceof Refusal && error.code === UNKNOWN) return null;
      throw error;
    }
  }

  async #loop(): Promise<void> {
    this.#turn += 1;
    const turn = this.#turn;
    try {
      const end = this.during?.to ? Date.parse(this.during.to) : Date.now();
      const begin = this.during ? Date.parse(this.during.from) : end - this.seconds * 1_000;
      const length = Math.max(end - begin, this.during ? STRETCH_MS_MIN : 0);
      if (this.during) this.seconds = length / 1_000;
      const step = length / POINTS;
      // On whole steps, so that the buckets of all signals, and of the next reading, have the same bounds.
      const to = Math.ceil((begin + length) / step) * step;
      const at = (ms: number) => new Date(ms).toISOString();
      const query = {
        label: [`agent:${this.agentId}`],
        from: at(to - length),
        to: at(to),
        points: POINTS,
      };
      const answers = await Promise.all(AGENT_SIGNALS.map((name) => this.#of(name, query)));
      if (this.#closed || turn !== this.#turn) return;
      this.unknown = AGENT_SIGNALS.filter((_, i) => answers[i] === null);
      this.series = new Map(AGENT_SIGNALS.map((name, i) => [name, answers[i] ?? []]));
      this.span = [to / 1_000 - this.seconds, to / 1_000];
      this.ready = true;
      this.problem = null;
    } catch (error) {
      this.problem = error instanceof Error ? error.message : String(error);
    }
    // What is over does not change any more.
    if (this.#closed || turn !== this.#turn || (this.ready && this.during?.to)) return;
    this.#timer = setTimeout(() => void this.#loop(), this.seconds <= 300 ? 2_000 : 10_000);
  }
}
