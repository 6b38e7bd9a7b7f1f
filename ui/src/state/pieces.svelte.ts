/** A text read piece by piece, as far as it was asked for. */
import type { GateOutput } from '../backend/types';

/** Pieces read with one click: an output of ordinary size is there at once. */
const AT_ONCE = 4;

export class Pieces {
  /** What was read so far; nothing before the first answer. */
  text = $state<string | null>(null);
  /** Bytes read. */
  read = $state(0);
  /** Bytes there are to read. */
  size = $state(0);
  /** Bytes there were. */
  printed = $state(0);
  whole = $derived(this.text !== null && this.read >= this.size);
  busy = $state(false);
  error = $state.raw<unknown>(null);
  #abort = new AbortController();

  constructor(
    private readonly load: (
      offset: number,
      signal: AbortSignal,
    ) => Promise<Pick<GateOutput, 'text' | 'next_offset' | 'size' | 'printed'>>,
  ) {}

  async more(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    this.error = null;
    try {
      for (let i = 0; i < AT_ONCE && !this.whole; i += 1) {
        const from = this.read;
        const piece = await this.load(from, this.#abort.signal);
        if (this.#abort.signal.aborted) return;
        this.text = (this.text ?? '') + piece.text;
        this.read = piece.next_offset;
        this.size = piece.size;
        this.printed = piece.printed;
        if (piece.next_offset <= from) break;
      }
    } catch (error) {
      if (!this.#abort.signal.aborted) this.error = error;
    } finally {
      this.busy = false;
    }
  }

  /** Calls off what is being read. */
  stop(): void {
    this.#abort.abort();
  }
}
