import { beforeEach, describe, expect, test } from 'vitest';
import { Refusal } from '../backend/api';
import type { SignalAnswer } from '../backend/types';
import { type Feed, Performance } from './performance.svelte';

type Asked = { expr: string; from?: string | null; to?: string | null; points?: number | null };

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

const answer = (): SignalAnswer => ({
  tier: 'raw',
  step_ms: 1_000,
  from: new Date(now).toISOString(),
  to: new Date(now).toISOString(),
  series: [
    {
      labels: {},
      unit: '%',
      buckets: [{ at: new Date(now).toISOString(), min: 1, max: 3, mean: 2, last: 2, count: 2 }],
    },
  ],
  left_out: 0,
  marks: [],
  notes: [],
  stats: { series: 1, samples_read: 1, ms: 1 },
});
const made = (asks?: (query: Asked, signal?: AbortSignal) => Promise<SignalAnswer>) =>
  new Performance(
    {
      signalsOver: async (query: Asked, signal?: AbortSignal) => {
        asked.push(query);
        if (asks) return asks(query, signal);
        if (fails) throw new Error('no answer');
        return answer();
      },
    },
    () => now,
    () => hidden,
  );
const seen = (performance: Performance, ...exprs: string[]): Feed => {
  const { feed } = performance.feed(exprs.map((expr) => ({ expr })));
  feed.visible = true;
  return feed;
};
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
    const feed = seen(performance, 'a');
    performance.feed([{ expr: 'b' }]);
    performance.turn();
    await turn(performance);
    expect(new Set(asked.map(({ expr }) => expr))).toEqual(new Set(['a']));
    expect(feed.readings[0]?.curves[0]?.buckets[0]?.mean).toBe(2);
  });

  test('shows what was read with the next frame, and not before', async () => {
    const performance = made();
    const feed = seen(performance, 'a');
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
    seen(performance, 'a');
    hidden = true;
    await turn(performance, 60_000);
    expect(asked).toEqual([]);
  });

  test('a stretch that stands still is read once', async () => {
    const performance = made();
    seen(performance, 'a');
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
    const feed = seen(performance, 'a');
    performance.turn();
    await turn(performance);
    fails = true;
    await turn(performance, 5_000);
    await turn(performance);
    expect(feed.problem?.message).toBe('no answer');
    expect(feed.readings).toHaveLength(1);
    const tries = asked.length;
    await turn(performance);
    expect(asked).toHaveLength(tries);
    fails = false;
    await turn(performance, 4_000);
    await turn(performance);
    expect(feed.problem).toBeNull();
  });

  test('reads two panels at a time, and what was not read for longest first', async () => {
    const waiting: (() => void)[] = [];
    const performance = made(
      () =>
        new Promise((done) => {
          waiting.push(() => done(answer()));
        }),
    );
    for (const expr of ['a', 'b', 'c']) seen(performance, expr);
    performance.turn();
    expect(asked.map(({ expr }) => expr)).toEqual(['a', 'b']);
    waiting.shift()?.();
    await turn(performance);
    expect(asked.map(({ expr }) => expr)).toEqual(['a', 'b', 'c']);
  });

  test('what takes long is not asked again at once because time goes on, but is when the question changes', async () => {
    let took = 2_000;
    const performance = made(async () => {
      now += took;
      return answer();
    });
    seen(performance, 'a');
    performance.turn();
    await turn(performance);
    await turn(performance, 10_000);
    expect(asked).toHaveLength(1);
    took = 0;
    await turn(performance, 30_000);
    expect(asked).toHaveLength(2);
    performance.show({ kind: 'last', ms: 60_000 });
    expect(asked).toHaveLength(3);
  });

  test('an expression that is wrong is not asked again and again, but is when it is another', async () => {
    const performance = made(() => Promise.reject(new Refusal(400, 'invalid_input', 'no', null, [], 3)));
    const feed = seen(performance, 'a +');
    performance.turn();
    await turn(performance);
    await turn(performance, 60_000);
    await turn(performance, 60_000);
    expect(asked).toHaveLength(1);
    expect(feed.problem?.position).toBe(3);
    feed.sources = [{ expr: 'a' }];
    await turn(performance);
    expect(asked).toHaveLength(2);
  });

  test('a reading that nobody waits for any more is called off', async () => {
    const calledOff: boolean[] = [];
    const performance = made(
      (_, signal) =>
        new Promise((_done, failed) => {
          signal?.addEventListener('abort', () => {
            calledOff.push(true);
            failed(new Error('aborted'));
          });
        }),
    );
    const feed = seen(performance, 'a');
    performance.turn();
    performance.show({ kind: 'last', ms: 60_000 });
    await turn(performance, 500);
    expect(calledOff).toEqual([]);
    now += 1_000;
    performance.show({ kind: 'last', ms: 120_000 });
    await turn(performance);
    expect(calledOff).toEqual([true]);
    expect(feed.problem).toBeNull();
    expect(asked).toHaveLength(2);
  });
});
