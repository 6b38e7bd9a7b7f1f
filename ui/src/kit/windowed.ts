/** Which rows of a long list are rendered. */

export interface Window {
  start: number;
  end: number;
}

/** Rows rendered at most, whatever the height. */
export const ROWS_MAX = 80;

export function windowOf(
  count: number,
  rowHeight: number,
  scrollTop: number,
  height: number,
  spare = 8,
): Window {
  if (rowHeight <= 0) return { start: 0, end: Math.min(count, ROWS_MAX) };
  const first = Math.floor(scrollTop / rowHeight) - spare;
  const start = Math.max(0, Math.min(first, count - 1));
  const wanted = Math.ceil(height / rowHeight) + 2 * spare;
  return { start, end: Math.min(count, start + Math.min(ROWS_MAX, Math.max(wanted, 1))) };
}
