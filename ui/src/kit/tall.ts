/** Which rows of a long list are rendered when their heights differ. */
import { ROWS_MAX, type Window } from './windowed';

/** Where each row begins, and behind the last one where the list ends. */
export function topsOf(count: number, heightOf: (index: number) => number): Float64Array {
  const tops = new Float64Array(count + 1);
  for (let i = 0; i < count; i += 1) tops[i + 1] = (tops[i] ?? 0) + heightOf(i);
  return tops;
}

/** The row at a height; the first or the last one outside of the list. */
export function rowAt(tops: Float64Array, y: number): number {
  let [low, high] = [0, Math.max(0, tops.length - 2)];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((tops[middle] ?? 0) <= y) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The rows in sight with some to spare: fewer of those when that keeps them to `ROWS_MAX`. */
export function tallWindow(tops: Float64Array, scrollTop: number, height: number): Window {
  const count = tops.length - 1;
  if (count <= 0) return { start: 0, end: 0 };
  const first = rowAt(tops, scrollTop);
  const last = rowAt(tops, scrollTop + Math.max(0, height));
  const spare = Math.max(2, Math.min(10, Math.floor((ROWS_MAX - (last - first + 1)) / 2)));
  return { start: Math.max(0, first - spare), end: Math.min(count, last + 1 + spare) };
}
