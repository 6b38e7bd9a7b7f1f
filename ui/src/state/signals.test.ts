import { describe, expect, test } from 'vitest';
import { Refusal } from '../backend/api';
import type { SeriesRange } from '../backend/types';
import { type Bucket, curvesOf, rates, readSource, summaryOf } from './signals';

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
const series = (labels: Record<string, string>, buckets: Bucket[]): SeriesRange => ({
  key: { name: 'x', labels },
  unit: 'B',
  step_ms: 1_000,
  buckets,
});

describe('how fast a total grows', () => {
  test('is what it grew by, by the second', () => {
    expect(rates([bucket(0, 10), bucket(2, 30)], 1_000).map(({ mean }) => mean)).toEqual([10]);
  });
  test('is never below zero: a total that begins anew has grown by what it is', () => {
    expect(rates([bucket(0, 100), bucket(1, 4), bucket(2, 6)], 1_000).map(({ mean }) => mean)).toEqual([
      4, 2,
    ]);
  });
  test('is not known across a gap', () => {
    expect(rates([bucket(0, 0), bucket(60, 600), bucket(61, 610)], 1_000)).toHaveLength(1);
  });
});

describe('series become curves', () => {
  test('one for each value of a label, those that belong together added up', () => {
    const found = curvesOf({ signal: 'x', by: 'agent', without: { kind: 'reasoning' } }, [
      series({ agent: 'a', kind: 'in' }, [bucket(0, 1), bucket(1, 2)]),
      series({ agent: 'a', kind: 'out' }, [bucket(1, 3)]),
      series({ agent: 'a', kind: 'reasoning' }, [bucket(1, 100)]),
      series({ agent: 'b', kind: 'in' }, [bucket(0, 7)]),
    ]);
    expect(found.map(({ of, buckets }) => [of, buckets.map(({ last }) => last)])).toEqual([
      ['a', [1, 5]],
      ['b', [7]],
    ]);
  });
  test('one for all of them without a label', () => {
    const found = curvesOf({ signal: 'x' }, [series({}, [bucket(0, 1)])]);
    expect(found).toHaveLength(1);
    expect(found[0]?.of).toBeNull();
  });
});

test('what a curve comes to weighs each bucket by its samples', () => {
  const found = summaryOf({
    buckets: [bucket(0, 1, { min: 0, max: 4, mean: 2, count: 3 }), bucket(1, 6, { count: 1 })],
  });
  expect(found).toEqual({ last: 6, min: 0, max: 6, mean: 3 });
  expect(summaryOf({ buckets: [] })).toBeNull();
});

test('a signal the engine does not know is nothing, and any other refusal is one', async () => {
  const span = { from: T0, to: T0 + 1_000 };
  const failing = (code: string) => ({
    range: () => Promise.reject(new Refusal(400, code, code, null, [])),
  });
  expect(await readSource(failing('not_found'), { signal: 'x' }, span, 10)).toBeNull();
  await expect(readSource(failing('invalid'), { signal: 'x' }, span, 10)).rejects.toThrow('invalid');
});
