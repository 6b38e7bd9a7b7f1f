import { describe, expect, test } from 'vitest';
import { align, valueAt } from './align';

const T0 = 1_800_000_000_000;
const curve = (seconds: number[], step_ms = 1_000) => ({
  step_ms,
  buckets: seconds.map((second) => ({
    at: new Date(T0 + second * 1_000).toISOString(),
    min: second,
    max: second,
    mean: second,
    last: second,
    count: 1,
  })),
});
const seconds = ({ moments }: { moments: number[] }) => moments.map((s) => s - T0 / 1_000);

describe('curves on one time axis', () => {
  test('a stretch without samples is a gap', () => {
    const found = align([curve([1, 2, 9, 10])]);
    expect(seconds(found)).toEqual([1, 2, 3, 9, 10]);
    expect(found.curves[0]?.mean).toEqual([1, 2, null, 9, 10]);
  });

  test('all have the same moments, and no value before their first and after their last sample', () => {
    const found = align([curve([1, 2]), curve([2, 3]), curve([])]);
    expect(found.curves.map(({ mean }) => mean)).toEqual([
      [1, 2, null],
      [null, 2, 3],
      [null, null, null],
    ]);
  });

  test('where only others were measured a line goes on, and breaks in a gap of its own', () => {
    const found = align([curve([0, 2, 4, 6, 20, 22]), curve([0, 1, 2, 3, 4, 5, 6, 7, 8])]);
    const first = found.curves[0]?.mean ?? [];
    const of = (second: number) => first[seconds(found).indexOf(second)];
    expect(of(1)).toBeUndefined();
    expect(of(8)).toBeNull();
    expect(valueAt(first, seconds(found).indexOf(3))).toBe(2);
    expect(valueAt(first, seconds(found).indexOf(8))).toBeNull();
  });

  test('what is measured seldom has no gap in each of the columns between', () => {
    const minutes = Array.from({ length: 30 }, (_, i) => i * 60);
    const found = align([curve(minutes, 4_000)]);
    expect(found.curves[0]?.mean).not.toContain(null);
  });

  test('nothing measured is nothing drawn', () => expect(align([curve([])]).moments).toEqual([]));
});
