/** What goes between a terminal on the screen and a program in its own: output as it comes, input in its order. */
import type { AgentApi } from '../backend/agentapi';
import type { Api } from '../backend/api';

/** How much of what was printed before is shown. */
const TAIL_BYTES = 128 * 1024;
const WAIT_MS = 10_000;
const RETRY_MS = 1_500;

export interface Screen {
  /** Done once it was drawn. */
  write(text: string): Promise<void>;
  reset(): void;
}

export class TerminalFeed {
  problem = $state<string | null>(null);
  /** Input that was refused, in words. */
  refused = $state<string | null>(null);
  ended = $state(false);
  ready = $state(false);

  #offset: number | null = null;
  /** What is drawn is old: a terminal's answers to it would reach the program as if they were typed now. */
  #replaying = false;
  #waiting = '';
  #sending = false;
  #size: { cols: number; rows: number } | null = null;
  #told: string | null = null;

  constructor(
    private readonly api: Pick<Api, 'transcript'>,
    private readonly agents: Pick<AgentApi, 'input' | 'resize'>,
    readonly attemptId: string,
  ) {}

  /** Reads until the signal says stop or the program is over; called again, it goes on where it was. */
  async run(screen: Screen, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const from = this.#offset;
        const query = {
          stream: 'stdout' as const,
          offset: from ?? -TAIL_BYTES,
          max_bytes: TAIL_BYTES,
          wait_ms: from === null ? 0 : WAIT_MS,
        };
        const chunk = await this.api.transcript(this.attemptId, query, signal);
        if (signal.aborted) return;
        this.problem = null;
        const missed = from !== null && (chunk.offset > from || chunk.size - from > 4 * TAIL_BYTES);
        if (missed) {
          // Too much came while nobody looked, or it was given up: only the end is shown.
          this.#offset = null;
          screen.reset();
          continue;
        }
        this.#offset = chunk.next_offset;
        if (chunk.text !== '') {
          this.#replaying = from === null || chunk.ended;
          await screen.write(chunk.text);
          this.#replaying = false;
        }
        this.ready = true;
        this.ended = chunk.ended && chunk.next_offset >= chunk.size;
        if (this.ended) return;
      } catch (error) {
        if (signal.aborted) return;
        this.problem = error instanceof Error ? error.message : String(error);
        await new Promise((done) => setTimeout(done, RETRY_MS));
      }
    }
  }

  /** Begins anew on an empty screen. */
  rewind(): void {
    this.#offset = null;
  }

  /** Passes on what was typed: one request at a time, so that nothing overtakes. */
  type(text: string): void {
    if (this.#replaying || this.ended) return;
    this.#waiting += text;
    if (!this.#sending) void this.#send();
  }

  resize(cols: number, rows: number): void {
    this.#size = { cols, rows };
    void this.#tellSize();
  }

  async #send(): Promise<void> {
    this.#sending = true;
    try {
      while (this.#waiting !== '') {
        const text = this.#waiting;
        this.#waiting = '';
        await this.agents.input(this.attemptId, text);
        this.refused = null;
      }
    } catch (error) {
      // What was typed blindly after something that did not arrive would mean something else.
      this.#waiting = '';
      this.refused = error instanceof Error ? error.message : String(error);
    } finally {
      this.#sending = false;
    }
  }

  async #tellSize(): Promise<void> {
    const size = this.#size;
    if (!size || this.ended) return;
    const said = `${size.cols}x${size.rows}`;
    if (said === this.#told) return;
    this.#told = said;
    try {
      await this.agents.resize(this.attemptId, size.cols, size.rows);
    } catch {
      // The program keeps the size it had; the next change is told again.
      this.#told = null;
    }
  }
}
