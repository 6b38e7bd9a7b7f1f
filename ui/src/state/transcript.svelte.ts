/** One output of one attempt, read while it grows, kept within bounds. */
import type { Api } from '../backend/api';
import type { OutputStream, TranscriptChunk } from '../backend/types';
import { type Line, type Pen, parseLine, plainPen } from './ansi';

/** Lines kept at most. */
export const LINES_MAX = 5_000;
const TAIL_BYTES = 128 * 1024;
const EARLIER_BYTES = 256 * 1024;
const WAIT_MS = 10_000;
const RETRY_MS = 1_500;

export class Transcript {
  lines = $state.raw<readonly Line[]>([]);
  /** The number of the first kept line, for stable keys; counts down when earlier output is read. */
  first = $state(0);
  /** Bytes before what is kept. */
  earlierBytes = $state(0);
  size = $state(0);
  ended = $state(false);
  ready = $state(false);
  loadingEarlier = $state(false);
  problem = $state<string | null>(null);
  /** Newer output was let go to make room for earlier output. */
  detached = $state(false);

  #next = 0;
  #partial = '';
  #pen: Pen = plainPen;
  #penAtPartial: Pen = plainPen;
  #hasPartial = false;
  #cutStart = false;
  #abort = new AbortController();

  constructor(
    private readonly api: Api,
    readonly attemptId: string,
    readonly stream: OutputStream,
    /** The byte to begin at; without one the end is read. */
    readonly start: number | null = null,
  ) {}

  /** Reads the end and then waits for more, until it is closed or the attempt is over. */
  async run(): Promise<void> {
    const { signal } = this.#abort;
    // A line that begins there is kept whole: the byte before it is the end of another.
    let offset = this.start === null ? -TAIL_BYTES : Math.max(0, this.start - 1);
    let wait_ms = 0;
    while (!signal.aborted) {
      try {
        const query = { stream: this.stream, offset, max_bytes: TAIL_BYTES, wait_ms };
        const chunk = await this.api.transcript(this.attemptId, query, signal);
        if (signal.aborted) return;
        this.problem = null;
        this.#take(chunk);
        offset = this.#next;
        wait_ms = WAIT_MS;
        if (chunk.ended && chunk.next_offset >= chunk.size) return;
        if (this.start !== null && this.lines.length >= LINES_MAX) {
          // What was asked for stays; the end is a click away.
          this.detached = true;
          return;
        }
      } catch (error) {
        if (signal.aborted) return;
        this.problem = error instanceof Error ? error.message : String(error);
        await new Promise((done) => setTimeout(done, RETRY_MS));
      }
    }
  }

  close(): void {
    this.#abort.abort();
  }

  /** Reads a piece of what came before; the newest lines make room for it. */
  async earlier(): Promise<void> {
    if (this.loadingEarlier || this.earlierBytes === 0) return;
    this.loadingEarlier = true;
    try {
      const from = Math.max(0, this.earlierBytes - EARLIER_BYTES);
      const length = this.earlierBytes - from;
      const chunk = await this.api.transcript(this.attemptId, {
        stream: this.stream,
        offset: from,
        max_bytes: length,
      });
      let text = chunk.text;
      let skipped = 0;
      if (from > 0) {
        const cut = text.indexOf('\n') + 1;
        skipped = new TextEncoder().encode(text.slice(0, cut)).length;
        text = text.slice(cut);
      }
      const parts = text.split('\n');
      if (parts.at(-1) === '') parts.pop();
      let pen = plainPen;
      const lines = parts.map((part) => {
        const line = parseLine(part, pen);
        pen = line.pen;
        return line;
      });
      const all = [...lines, ...this.lines];
      if (all.length > LINES_MAX) {
        this.close();
        this.detached = true;
      }
      this.lines = all.slice(0, LINES_MAX);
      this.first -= lines.length;
      this.earlierBytes = from === 0 ? 0 : from + skipped;
    } finally {
      this.loadingEarlier = false;
    }
  }

  #take(chunk: TranscriptChunk): void {
    this.size = chunk.size;
    this.ended = chunk.ended;
    if (!this.ready) {
      this.earlierBytes = chunk.offset;
      this.#cutStart = chunk.offset > 0;
      this.ready = true;
    }
    this.#next = chunk.next_offset;
    if (chunk.text !== '') this.#append(chunk.text);
  }

  #append(text: string): void {
    let rest = text;
    if (this.#cutStart) {
      // The reading began in the middle of a line: leave that one to `earlier`.
      const end = rest.indexOf('\n');
      if (end >= 0) {
        this.earlierBytes += new TextEncoder().encode(rest.slice(0, end + 1)).length;
        rest = rest.slice(end + 1);
      }
      this.#cutStart = false;
    }
    const parts = (this.#partial + rest).split('\n');
    this.#partial = parts.pop() ?? '';
    const kept = this.#hasPartial ? this.lines.slice(0, -1) : [...this.lines];
    let pen = this.#hasPartial ? this.#penAtPartial : this.#pen;
    for (const part of parts) {
      const line = parseLine(part, pen);
      pen = line.pen;
      kept.push(line);
    }
    this.#penAtPartial = pen;
    this.#hasPartial = this.#partial !== '';
    if (this.#hasPartial) kept.push(parseLine(this.#partial, pen));
    this.#pen = pen;
    const over = Math.max(0, kept.length - LINES_MAX);
    for (const line of kept.slice(0, over)) this.earlierBytes += line.bytes;
    this.first += over;
    this.lines = over > 0 ? kept.slice(over) : kept;
  }
}
