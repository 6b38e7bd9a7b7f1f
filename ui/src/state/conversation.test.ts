import { describe, expect, test, vi } from 'vitest';
import type { EntryAt } from '../backend/agenttypes';
import { Refusal } from '../backend/api';
import { Conversation, ENTRIES_MAX, PAGE, placeOf, woven } from './conversation.svelte';

const AT = '2026-01-01T00:00:00Z';
const entry = (ordinal: number, revision: number, text = `${ordinal}`): EntryAt => ({
  ordinal,
  revision,
  entry: { id: `m${ordinal}`, at: AT, updated_at: AT, body: { kind: 'message', text } },
});
const text = ({ entry: { body } }: EntryAt) => (body.kind === 'message' ? body.text : '');

/** A conversation as the engine keeps it: entries by ordinal, revisions that only grow. */
class Engine {
  readonly entries: EntryAt[] = [];
  revision = 0;
  keptFrom = 1;
  asked = 0;
  #wake: (() => void)[] = [];

  add(count: number): void {
    for (let i = 0; i < count; i += 1) {
      this.revision += 1;
      this.entries.push(entry((this.entries.at(-1)?.ordinal ?? 0) + 1, this.revision));
    }
    this.#tell();
  }
  change(ordinal: number, to: string): void {
    this.revision += 1;
    const at = this.entries.findIndex((one) => one.ordinal === ordinal);
    this.entries[at] = entry(ordinal, this.revision, to);
    this.#tell();
  }
  #tell(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  conversation = async (_id: string, query: { before?: number; after?: number; limit?: number }) => {
    this.asked += 1;
    const limit = query.limit ?? PAGE;
    const fits =
      query.after === undefined
        ? this.entries.filter((one) => one.ordinal < (query.before ?? Infinity)).slice(-limit)
        : this.entries.filter((one) => one.ordinal > (query.after ?? 0)).slice(0, limit);
    return {
      entries: fits,
      first: this.entries[0]?.ordinal ?? 0,
      last: this.entries.at(-1)?.ordinal ?? 0,
      total: this.entries.length,
      kept_from: this.keptFrom,
      revision: this.revision,
    };
  };
  /** Waits like the engine does, and gives a few changes at a time, oldest change first. */
  changes = async (_id: string, revision: number, wait: number, signal?: AbortSignal) => {
    const some = () =>
      this.entries
        .filter((one) => one.revision > revision)
        .sort((a, b) => a.revision - b.revision)
        .slice(0, 50);
    if (revision > this.revision) return { entries: [], revision: this.revision, more: false, kept_from: 1 };
    let found = some();
    if (found.length === 0 && wait > 0) {
      await new Promise<void>((done, fail) => {
        this.#wake.push(done);
        signal?.addEventListener('abort', () => fail(new Error('aborted')));
      });
      found = some();
    }
    return {
      entries: found,
      revision: found.at(-1)?.revision ?? revision,
      more: found.length === 50,
      kept_from: this.keptFrom,
    };
  };
}

const ordinals = (conversation: Conversation) => conversation.entries.map((one) => one.ordinal);
const from = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i);

function started(engine: Engine) {
  const conversation = new Conversation(engine, 'a');
  const running = conversation.run(() => true, 0);
  return {
    conversation,
    stop: () => {
      conversation.close();
      return running;
    },
  };
}

describe('entries are put where they belong', () => {
  test('whatever the order they come in, none is there twice and none is missing', () => {
    // A small generator of its own, so that a failure can be seen again.
    let seed = 7;
    const random = (n: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return seed % n;
    };
    for (let round = 0; round < 200; round += 1) {
      const newest = new Map<number, number>();
      let known: EntryAt[] = [];
      const some: EntryAt[] = [];
      for (let i = 0; i < 40; i += 1) {
        const one = entry(1 + random(20), 1 + random(100));
        some.push(one);
        newest.set(one.ordinal, Math.max(newest.get(one.ordinal) ?? 0, one.revision));
      }
      while (some.length > 0) known = woven(known, some.splice(0, 1 + random(5)));
      expect(known.map((one) => one.ordinal)).toEqual([...newest.keys()].sort((a, b) => a - b));
      for (const one of known) expect(one.revision).toBe(newest.get(one.ordinal));
    }
  });

  test('a place is found in lists of any length', () => {
    expect(placeOf([], 5)).toBe(0);
    expect(placeOf([entry(1, 1), entry(3, 1)], 2)).toBe(1);
    expect(placeOf([entry(1, 1), entry(3, 1)], 3)).toBe(1);
    expect(placeOf([entry(1, 1), entry(3, 1)], 4)).toBe(2);
  });
});

describe('a conversation', () => {
  test('is read from its end and kept current without a gap', async () => {
    const engine = new Engine();
    engine.add(PAGE + 50);
    const { conversation, stop } = started(engine);
    await expect.poll(() => conversation.ready).toBe(true);
    expect(ordinals(conversation)).toEqual(from(51, PAGE + 50));
    expect(conversation.hasEarlier).toBe(true);
    engine.add(120);
    await expect.poll(() => conversation.newest).toBe(PAGE + 170);
    expect(ordinals(conversation)).toEqual(from(51, PAGE + 170));
    expect(conversation.total).toBe(PAGE + 170);
    await stop();
  });

  test('shows a message that grows in its place', async () => {
    const engine = new Engine();
    engine.add(3);
    const { conversation, stop } = started(engine);
    await expect.poll(() => conversation.ready).toBe(true);
    engine.change(2, 'hal');
    engine.change(2, 'half');
    engine.add(1);
    await expect.poll(() => conversation.entries.map(text)).toEqual(['1', 'half', '3', '4']);
    await stop();
  });

  test('an entry older than another that changed later comes in its place', async () => {
    const engine = new Engine();
    engine.add(2);
    const { conversation, stop } = started(engine);
    await expect.poll(() => conversation.ready).toBe(true);
    engine.add(60);
    engine.change(3, 'changed');
    await expect.poll(() => ordinals(conversation)).toEqual(from(1, 62));
    await expect.poll(() => text(conversation.entries[2] as EntryAt)).toBe('changed');
    await stop();
  });

  test('of a hundred thousand entries a bounded part is kept, and any of them is reached', async () => {
    const engine = new Engine();
    engine.add(100_000);
    const { conversation, stop } = started(engine);
    await expect.poll(() => conversation.ready).toBe(true);
    expect(conversation.total).toBe(100_000);
    for (let i = 0; i < 15; i += 1) await conversation.earlier();
    expect(conversation.entries).toHaveLength(ENTRIES_MAX);
    expect(conversation.detached).toBe(true);
    expect(await conversation.show(12_345)).toBe(true);
    expect(ordinals(conversation)).toContain(12_345);
    expect(conversation.hasEarlier).toBe(true);
    // What is added meanwhile is counted and not shown out of its place.
    engine.add(7);
    await expect.poll(() => conversation.newest).toBe(100_007);
    const shown = ordinals(conversation);
    expect(shown).toEqual(from(shown[0] ?? 0, shown.at(-1) ?? 0));
    await conversation.latest();
    expect(ordinals(conversation).at(-1)).toBe(100_007);
    expect(conversation.detached).toBe(false);
    await stop();
  });

  test('from the middle it is read on to the end page by page', async () => {
    const engine = new Engine();
    engine.add(1_000);
    const { conversation, stop } = started(engine);
    await expect.poll(() => conversation.ready).toBe(true);
    await conversation.show(500);
    while (conversation.detached) await conversation.later();
    const shown = ordinals(conversation);
    expect(shown).toEqual(from(shown[0] ?? 0, 1_000));
    engine.add(1);
    await expect.poll(() => ordinals(conversation).at(-1)).toBe(1_001);
    await stop();
  });

  test('nothing is taken away from somebody who reads further up', async () => {
    const engine = new Engine();
    engine.add(PAGE);
    const { conversation, stop } = started(engine);
    await expect.poll(() => conversation.ready).toBe(true);
    conversation.held = true;
    engine.add(ENTRIES_MAX);
    await expect.poll(() => conversation.newest).toBe(PAGE + ENTRIES_MAX);
    expect(ordinals(conversation)[0]).toBe(1);
    expect(conversation.detached).toBe(true);
    await stop();
  });

  test('says from where on it was kept', async () => {
    const engine = new Engine();
    engine.add(10);
    engine.entries.splice(0, 4);
    engine.keptFrom = 5;
    const { conversation, stop } = started(engine);
    await expect.poll(() => conversation.keptFrom).toBe(5);
    expect(conversation.hasEarlier).toBe(false);
    await stop();
  });

  test('is read again when the engine counts anew', async () => {
    const engine = new Engine();
    engine.add(5);
    const { conversation, stop } = started(engine);
    await expect.poll(() => conversation.ready).toBe(true);
    engine.entries.splice(0);
    engine.revision = 0;
    engine.add(2);
    await expect.poll(() => ordinals(conversation)).toEqual([1, 2]);
    await stop();
  });

  test('ends when the attempt is over and nothing more comes', async () => {
    const engine = new Engine();
    engine.add(2);
    const conversation = new Conversation(engine, 'a');
    await conversation.run(() => false, 0);
    expect(ordinals(conversation)).toEqual([1, 2]);
  });

  test('that does not exist says so and is not asked for again', async () => {
    const asked = vi.fn().mockRejectedValue(new Refusal(404, 'not_found', 'no conversation', null, []));
    const conversation = new Conversation({ conversation: asked, changes: asked }, 'a');
    await conversation.run(() => true, 0);
    expect(conversation.absent).toBe(true);
    expect(asked).toHaveBeenCalledOnce();
  });
});
