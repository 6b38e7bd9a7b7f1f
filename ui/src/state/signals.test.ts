import { describe, expect, test } from 'vitest';
import { Refusal } from '../backend/api';
import type { SignalAnswer } from '../backend/types';
import { asked, type Bucket, readingOf, readSource, selector, speed, summaryOf } from './signals';

const T0 = 1_800_000_000_000;
const bucket = (second: number, last: number, more: Partial<Bucket> = {}): Bucket => ({
  at: new Date(T0 + second * 1_000).toISOString(),
  min: last,
  max: last,
  mean: last,
  last,
  count: 1,
  ...more,
});
const answer = (more: Partial<SignalAnswer> = {}): SignalAnswer => ({
  tier: 'raw',
  step_ms: 1_000,
  from: new Date(T0).toISOString(),
  to: new Date(T0 + 1_000).toISOString(),
  series: [],
  left_out: 0,
  marks: [],
  notes: [],
  stats: { series: 0, samples_read: 0, ms: 1 },
  ...more,
});

describe('a selector', () => {
  test('names a signal with its labels', () => {
    expect(selector('x')).toBe('x');
    expect(selector('x', { is: { agent: 'a' }, not: { kind: 'reasoning' } })).toBe(
      'x{agent="a",kind!="reasoning"}',
    );
    expect(selector('x', { is: { agent: ['a', 'b'] } })).toBe('x{agent=~"a|b"}');
    expect(selector('x', { is: { agent: ['a'] } })).toBe('x{agent="a"}');
  });
  test('lets no label end its text or become an expression', () => {
    expect(selector('x', { is: { agent: '"} or y{z="' } })).toBe('x{agent="\\"} or y{z=\\""}');
    expect(selector('x', { is: { agent: ['a.b', 'c'] } })).toBe('x{agent=~"a\\\\.b|c"}');
  });
});

describe('the window of a rate', () => {
  const expr = speed('tokens', { not: { kind: 'reasoning' } }, 'agent');
  test('is as long as a column, and long enough to see a counter grow', () => {
    expect(expr).toBe('sum by (agent) (rate(tokens{kind!="reasoning"}[$window]))');
    expect(asked(expr, 500, 'raw')).toContain('[10s]');
    expect(asked(expr, 86_400, 'raw')).toContain('[87s]');
    expect(asked(expr, 500, 'minute')).toContain('[180s]');
    expect(asked('up', 500, 'raw')).toBe('up');
  });

  test('is longer where only minutes are kept: it is asked again, and not the next time', async () => {
    const exprs: string[] = [];
    const api = {
      signalsOver: async ({ expr }: { expr: string }) => {
        exprs.push(expr);
        return answer({ tier: 'minute' });
      },
    };
    const wanted = { span: { from: T0, to: T0 + 100_000 }, points: 100, top: 16 };
    const found = await readSource(api, { expr }, wanted);
    expect(exprs.map((one) => /\[\d+s\]/.exec(one)?.[0])).toEqual(['[10s]', '[180s]']);
    expect(found?.tier).toBe('minute');
    await readSource(api, { expr }, { ...wanted, tier: 'minute' });
    expect(exprs).toHaveLength(3);
    // A level is what it is, however it is read.
    await readSource(api, { expr: 'x' }, wanted);
    expect(exprs).toHaveLength(4);
  });
});

test('the series of an answer are curves, told apart by a label', () => {
  const given = answer({
    left_out: 3,
    marks: [{ at: new Date(T0).toISOString(), kind: 'suspended', span_ms: 5 }],
    series: [
      { labels: { agent: 'a' }, unit: '%', buckets: [bucket(0, 1)] },
      { labels: { agent: 'b' }, unit: '%', buckets: [] },
    ],
  });
  const found = readingOf({ expr: 'x', by: 'agent' }, given);
  expect(found.curves.map(({ of }) => of)).toEqual(['a', 'b']);
  expect(found.left).toBe(3);
  expect(found.marks).toHaveLength(1);
  expect(readingOf({ expr: 'x' }, given).curves[0]?.of).toBeNull();
});

test('what a curve comes to weighs each bucket by its samples', () => {
  const found = summaryOf({
    buckets: [bucket(0, 1, { min: 0, max: 4, mean: 2, count: 3 }), bucket(1, 6, { count: 1 })],
  });
  expect(found).toEqual({ last: 6, min: 0, max: 6, mean: 3 });
  expect(summaryOf({ buckets: [] })).toBeNull();
});

test('a signal the engine does not know is nothing, and any other refusal is one', async () => {
  const wanted = { span: { from: T0, to: T0 + 1_000 }, points: 10, top: 16 };
  const failing = (code: string) => ({
    signalsOver: () => Promise.reject(new Refusal(400, code, code, null, [], 3)),
  });
  expect(await readSource(failing('not_found'), { expr: 'x' }, wanted)).toBeNull();
  await expect(readSource(failing('invalid'), { expr: 'x' }, wanted)).rejects.toMatchObject({ position: 3 });
});
