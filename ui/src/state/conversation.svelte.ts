/**
 * The conversation of one attempt: a part of it of bounded length, kept current by what changed.
 *
 * Every entry has an ordinal, its place, and a revision, which grows whenever it changes. What comes is put in
 * by its ordinal, and never over something newer, so nothing is there twice and nothing is missing.
 */
import type { AgentApi } from '../backend/agentapi';
import type { ConversationPage, EntryAt } from '../backend/agenttypes';
import { Refusal } from '../backend/api';

/** Entries kept at most. */
export const ENTRIES_MAX = 2_000;
/** Entries read at once. */
export const PAGE = 200;
/** Entries shown around one that was looked for. */
const AROUND = 60;
const WAIT_MS = 10_000;
const RETRY_MS = 1_500;
/** Between two readings of changes: a message that grows by letters is drawn this often. */
const GAP_MS = 80;

type Source = Pick<AgentApi, 'conversation' | 'changes'>;

/** Where an ordinal is in a list, or where it would be put. */
export function placeOf(entries: readonly EntryAt[], ordinal: number): number {
  let [low, high] = [0, entries.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((entries[middle]?.ordinal ?? 0) < ordinal) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Puts entries where they belong; an older revision never takes the place of a newer one. */
export function woven(known: readonly EntryAt[], some: readonly EntryAt[]): EntryAt[] {
  const next = [...known];
  for (const one of some) {
    const at = placeOf(next, one.ordinal);
    const there = next[at];
    if (there?.ordinal !== one.ordinal) next.splice(at, 0, one);
    else if (there.revision <= one.revision) next[at] = one;
  }
  return next;
}

export class Conversation {
  entries = $state.raw<readonly EntryAt[]>([]);
  ready = $state(false);
  /** There are entries before the first one kept here. */
  hasEarlier = $state(false);
  /** The newest ordinal heard of. */
  newest = $state(0);
  total = $state(0);
  /** The first ordinal the engine has kept. */
  keptFrom = $state<number | null>(null);
  /** The first ordinal there is. */
  first = $state<number | null>(null);
  loadingEarlier = $state(false);
  loadingLater = $state(false);
  problem = $state<string | null>(null);
  /** What is kept here does not reach the end: new entries are counted, not shown. */
  detached = $state(false);
  /** Somebody reads further up: nothing may be taken from under their eyes. */
  held = false;
  /** There is no conversation for this attempt. */
  absent = $state(false);

  #revision = 0;
  #turn = 0;
  #abort = new AbortController();

  constructor(
    private readonly api: Source,
    readonly attemptId: string,
  ) {}

  /** Reads the end, then what changes, until it is closed or the attempt is over and nothing more comes. */
  async run(live: () => boolean, gapMs = GAP_MS): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      try {
        if (!this.ready) await this.#readEnd();
        if (signal.aborted) return;
        const wasLive = live();
        const asked = performance.now();
        const { entries, revision } = await this.api.changes(
          this.attemptId,
          this.#revision,
          wasLive ? WAIT_MS : 0,
          signal,
        );
        if (signal.aborted) return;
        this.problem = null;
        if (revision < this.#revision) {
          // The engine counts anew: everything is read again.
          this.ready = false;
          await pause(gapMs);
          continue;
        }
        this.#revision = revision;
        if (entries.length > 0) this.#changed(entries);
        else if (!wasLive) return;
        // An engine that does not wait is not asked in a circle.
        const quick = entries.length === 0 && performance.now() - asked < gapMs;
        await pause(quick ? RETRY_MS : gapMs);
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof Refusal && error.status === 404) {
          this.absent = true;
          this.ready = true;
          return;
        }
        this.problem = error instanceof Error ? error.message : String(error);
        await pause(RETRY_MS);
      }
    }
  }

  close(): void {
    this.#abort.abort();
  }

  /** Reads a page of what came before. */
  async earlier(): Promise<void> {
    const before = this.entries[0]?.ordinal;
    if (this.loadingEarlier || !this.hasEarlier || before === undefined) return;
    this.loadingEarlier = true;
    const turn = this.#turn;
    try {
      const page = await this.#page({ before, limit: PAGE });
      if (turn !== this.#turn) return;
      const all = woven(this.entries, page.entries);
      this.hasEarlier = page.entries.length > 0 && this.#before(page, page.entries[0]?.ordinal ?? before);
      if (all.length > ENTRIES_MAX) this.detached = true;
      this.entries = all.slice(0, ENTRIES_MAX);
    } catch (error) {
      this.#failed(error);
    } finally {
      this.loadingEarlier = false;
    }
  }

  /** Reads a page of what came after, where the end is not here. */
  async later(): Promise<void> {
    const after = this.entries.at(-1)?.ordinal;
    if (this.loadingLater || !this.detached || after === undefined) return;
    this.loadingLater = true;
    const turn = this.#turn;
    try {
      const page = await this.#page({ after, limit: PAGE });
      if (turn !== this.#turn) return;
      const all = woven(this.entries, page.entries);
      if (all.length > ENTRIES_MAX) this.hasEarlier = true;
      this.entries = all.slice(-ENTRIES_MAX);
      this.detached = (this.entries.at(-1)?.ordinal ?? 0) < this.newest && page.entries.length > 0;
    } catch (error) {
      this.#failed(error);
    } finally {
      this.loadingLater = false;
    }
  }

  /** Shows one entry with those around it. Says whether it is there. */
  async show(ordinal: number): Promise<boolean> {
    const at = placeOf(this.entries, ordinal);
    if (this.entries[at]?.ordinal === ordinal) return true;
    this.#turn += 1;
    const turn = this.#turn;
    try {
      const page = await this.#page({ before: ordinal + AROUND / 2, limit: AROUND });
      if (turn !== this.#turn) return false;
      this.entries = page.entries;
      this.hasEarlier = this.#before(page, page.entries[0]?.ordinal ?? 0);
      this.detached = (page.entries.at(-1)?.ordinal ?? 0) < this.newest;
      return page.entries.some((one) => one.ordinal === ordinal);
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  /** Goes back to the end. */
  async latest(): Promise<void> {
    if (!this.detached) return;
    try {
      await this.#readEnd();
    } catch (error) {
      this.#failed(error);
    }
  }

  async #readEnd(): Promise<void> {
    this.#turn += 1;
    const turn = this.#turn;
    const page = await this.#page({ limit: PAGE });
    if (turn !== this.#turn) return;
    // Changes heard of meanwhile are newer than the page, or part of it.
    if (!this.ready) this.#revision = page.revision;
    this.entries = page.entries;
    this.hasEarlier = this.#before(page, page.entries[0]?.ordinal ?? 0);
    this.detached = (page.entries.at(-1)?.ordinal ?? 0) < this.newest && this.ready;
    this.ready = true;
  }

  async #page(query: { before?: number; after?: number; limit: number }): Promise<ConversationPage> {
    const page = await this.api.conversation(this.attemptId, query, this.#abort.signal);
    this.total = Math.max(page.total, this.ready ? this.total : 0);
    this.newest = Math.max(this.ready ? this.newest : 0, page.last ?? 0, page.entries.at(-1)?.ordinal ?? 0);
    this.keptFrom = page.kept_from ?? null;
    this.first = page.first ?? null;
    return page;
  }

  /** Whether there is something before an ordinal. */
  #before(page: ConversationPage, ordinal: number): boolean {
    const first = page.first ?? page.kept_from ?? null;
    return first !== null && page.entries.length > 0 && ordinal > first;
  }

  #changed(some: readonly EntryAt[]): void {
    const from = this.entries[0]?.ordinal ?? 0;
    const to = this.entries.at(-1)?.ordinal ?? 0;
    const top = some.reduce((max, one) => Math.max(max, one.ordinal), this.newest);
    this.total += Math.max(0, top - this.newest);
    this.newest = top;
    // What is outside of the part that is kept here is read with its page.
    const before = (one: EntryAt) => one.ordinal < from && this.hasEarlier;
    const after = (one: EntryAt) => one.ordinal > to && this.detached;
    const fits = some.filter((one) => !before(one) && !after(one));
    if (fits.length === 0) return;
    const all = woven(this.entries, fits);
    const over = all.length - ENTRIES_MAX;
    if (over <= 0) this.entries = all;
    else if (this.held) {
      this.entries = all.slice(0, ENTRIES_MAX);
      this.detached = true;
    } else {
      this.entries = all.slice(over);
      this.hasEarlier = true;
    }
  }

  #failed(error: unknown): void {
    if (!this.#abort.signal.aborted) this.problem = error instanceof Error ? error.message : String(error);
  }
}

const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));
