/** What the captain is told in passing: results and refusals. */
import { Refusal } from '../backend/api';

export interface Notice {
  id: number;
  tone: 'ok' | 'bad';
  text: string;
  hint: string | null;
  allowed: string[];
}

/** Notices shown at once; older ones make room. */
const KEPT = 4;
const OK_MS = 5_000;

export class Notices {
  list = $state.raw<readonly Notice[]>([]);
  #last = 0;

  ok(text: string): void {
    const id = this.#add({ tone: 'ok', text, hint: null, allowed: [] });
    setTimeout(() => this.close(id), OK_MS);
  }

  /** Refusals stay until they are closed: they say what to do. */
  failed(what: string, error: unknown): void {
    const refusal = error instanceof Refusal ? error : null;
    const detail = error instanceof Error ? error.message : String(error);
    this.#add({
      tone: 'bad',
      text: `${what}: ${detail}`,
      hint: refusal?.hint ?? null,
      allowed: refusal?.allowed ?? [],
    });
  }

  close(id: number): void {
    this.list = this.list.filter((notice) => notice.id !== id);
  }

  /** Closes the newest one. */
  closeLast(): void {
    this.list = this.list.slice(0, -1);
  }

  /** Carries something out and says when it was refused; nothing then. */
  async during<T>(what: string, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      this.failed(what, error);
      return undefined;
    }
  }

  #add(notice: Omit<Notice, 'id'>): number {
    this.#last += 1;
    this.list = [...this.list, { ...notice, id: this.#last }].slice(-KEPT);
    return this.#last;
  }
}
