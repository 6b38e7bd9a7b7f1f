import { beforeEach, describe, expect, test } from 'vitest';
import type { SeriesRange } from '../backend/types';
import { Performance } from './performance.svelte';

type Asked = { name: string; from?: string | null; to?: string | null; points?: number | null };

let now = 0;
let hidden = false;
let asked: Asked[] = [];
let fails = false;

beforeEach(() => {
  now = 1_800_000_000_000;
  hidden = false;
  asked = [];
  fails = false;
});

const answer = (name: string): SeriesRange[] => [
  {
    key: { name, labels: {} },
    unit: '%',
    step_ms: 1_000,
    buckets: [{ at: new Date(now).toISOString(), min: 1, max: 3, mean: 2, last: 2, count: 2 }],
  },
];
const made = () =>
  new Performance(
    {
      range: async (query: Asked) => {
        asked.push(query);
        if (fails) throw new Error('no answer');
        return answer(query.name);
      },
    },
    () => now,
    () => hidden,
  );
/** Lets answers come, and the next turn show them. */
async function turn(performance: Performance, ms = 250): Promise<void> {
  for (let i = 0; i < 10; i += 1) await Promise.resolve();
  now += ms;
  performance.turn();
  for (let i = 0; i < 10; i += 1) await Promise.resolve();
}

describe('the performance view', () => {
  test('reads only what is in sight', async () => {
    const performance = made();
    const seen = performance.feed([{ signal: 'a' }]).feed;
    performance.feed([{ signal: 'b' }]);
    seen.visible = true;
    performance.turn();
    await turn(performance);
    expect(new Set(asked.map(({ name }) => name))).toEqual(new Set(['a']));
    expect(seen.curves[0]?.[0]?.buckets[0]?.mean).toBe(2);
  });

  test('shows what was read with the next frame, and not before', async () => {
    const performance = made();
    const { feed } = performance.feed([{ signal: 'a' }]);
    feed.visible = true;
    performance.turn();
    for (let i = 0; i < 10; i += 1) await Promise.resolve();
    expect(asked).toHaveLength(1);
    expect(feed.span).toBeNull();
    performance.turn();
    expect(feed.span).not.toBeNull();
  });

  test('goes on with time, stands still while a moment is looked at, and goes on again', async () => {
    const performance = made();
    const before = performance.span.to;
    await turn(performance, 4_000);
    expect(performance.span.to).toBe(before + 4_000);
    performance.held = true;
    await turn(performance, 60_000);
    expect(performance.span.to).toBe(before + 4_000);
    performance.held = false;
    await turn(performance, 0);
    expect(performance.span.to).toBe(before + 64_000);
  });

  test('does nothing while nobody sees it', async () => {
    const performance = made();
    performance.feed([{ signal: 'a' }]).feed.visible = true;
    hidden = true;
    await turn(performance, 60_000);
    expect(asked).toEqual([]);
  });

  test('a stretch that stands still is read once', async () => {
    const performance = made();
    const { feed } = performance.feed([{ signal: 'a' }]);
    feed.visible = true;
    performance.show({ kind: 'between', from: now - 20_000, to: now - 10_000 });
    await turn(performance);
    await turn(performance, 60_000);
    await turn(performance, 60_000);
    expect(asked).toHaveLength(1);
  });

  test('zooms about a moment, is moved, and goes back to what it was', () => {
    const performance = made();
    const first = { kind: 'last', ms: 3_600_000 } as const;
    performance.show(first);
    performance.zoom(0.5, 0);
    expect(performance.span).toEqual({ from: now - 3_600_000, to: now - 1_800_000 });
    performance.pan(-1);
    expect(performance.span).toEqual({ from: now - 5_400_000, to: now - 3_600_000 });
    expect(performance.zoomed).toBe(true);
    performance.reset();
    expect(performance.range).toEqual(first);
    expect(performance.zoomed).toBe(false);
  });

  test('never shows the future, nor less than ten seconds', () => {
    const performance = made();
    performance.pan(3);
    expect(performance.span.to).toBe(now);
    performance.zoomTo({ from: now - 5_000, to: now - 4_000 });
    expect(performance.span.to - performance.span.from).toBe(10_000);
    performance.zoom(0.01, 0.5);
    expect(performance.span.to - performance.span.from).toBe(10_000);
  });

  test('follows again over the same length', () => {
    const performance = made();
    performance.zoomTo({ from: now - 60_000, to: now - 30_000 });
    expect(performance.following).toBe(false);
    performance.follow();
    expect(performance.range).toEqual({ kind: 'last', ms: 30_000 });
  });

  test('says what could not be read, keeps what was, and tries again', async () => {
    const performance = made();
    const { feed } = performance.feed([{ signal: 'a' }]);
    feed.visible = true;
    performance.turn();
    await turn(performance);
    fails = true;
    await turn(performance, 5_000);
    await turn(performance);
    expect(feed.problem).toBe('no answer');
    expect(feed.curves).toHaveLength(1);
    const tries = asked.length;
    await turn(performance);
    expect(asked).toHaveLength(tries);
    fails = false;
    await turn(performance, 4_000);
    await turn(performance);
    expect(feed.problem).toBeNull();
  });
});
