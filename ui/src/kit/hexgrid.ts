/** Where the cells of a honeycomb lie: pointy-top hexagons in rows, every second row shifted. */

export interface Comb {
  /** From a cell's middle to its corner. */
  radius: number;
  columns: number;
  rows: number;
  width: number;
  height: number;
  /** Where the first cell's box begins. */
  left: number;
  top: number;
}

const SQRT3 = Math.sqrt(3);

/** The largest cells with which `count` of them fit into `width` by `height`. */
export function comb(
  count: number,
  width: number,
  height: number,
  radiusMax: number,
  radiusMin: number,
): Comb {
  let best = laid(count, radiusMin, width);
  let low = radiusMin;
  let high = radiusMax;
  for (let i = 0; i < 24 && high - low > 0.25; i += 1) {
    const radius = (low + high) / 2;
    const tried = laid(count, radius, width);
    if (tried.width <= width && tried.height <= height) {
      best = tried;
      low = radius;
    } else high = radius;
  }
  return {
    ...best,
    left: Math.max(0, (width - best.width) / 2),
    top: Math.max(0, (height - best.height) / 2),
  };
}

function laid(count: number, radius: number, width: number): Comb {
  const step = SQRT3 * radius;
  const fit = Math.max(1, Math.floor(width / step - 0.5));
  const rows = Math.max(1, Math.ceil(count / fit));
  // Rows of the same length look like a comb and not like a remainder.
  const columns = Math.max(1, Math.ceil(count / rows));
  return {
    radius,
    columns,
    rows,
    width: step * (columns + (rows > 1 ? 0.5 : 0)),
    height: radius * (1.5 * (rows - 1) + 2),
    left: 0,
    top: 0,
  };
}

/** The middle of the `index`-th cell. */
export function middle(grid: Comb, index: number): { x: number; y: number } {
  const row = Math.floor(index / grid.columns);
  const column = index % grid.columns;
  const step = SQRT3 * grid.radius;
  return {
    x: grid.left + step * (column + 0.5 + (row % 2 === 1 ? 0.5 : 0)),
    y: grid.top + grid.radius * (1 + 1.5 * row),
  };
}

/** The cell under a point, or nothing. */
export function cellAt(grid: Comb, count: number, x: number, y: number): number | null {
  const row = Math.round((y - grid.top - grid.radius) / (1.5 * grid.radius));
  let best: number | null = null;
  let nearest = grid.radius * grid.radius;
  for (const r of [row - 1, row, row + 1]) {
    if (r < 0 || r >= grid.rows) continue;
    const shift = r % 2 === 1 ? 1 : 0.5;
    const column = Math.round((x - grid.left) / (SQRT3 * grid.radius) - shift);
    const index = r * grid.columns + column;
    if (column < 0 || column >= grid.columns || index >= count) continue;
    const at = middle(grid, index);
    const distance = (at.x - x) ** 2 + (at.y - y) ** 2;
    if (distance < nearest) {
      nearest = distance;
      best = index;
    }
  }
  return best;
}

/** The cell an arrow key leads to. */
export function step(grid: Comb, count: number, from: number, key: string): number {
  const to = {
    ArrowLeft: from - 1,
    ArrowRight: from + 1,
    ArrowUp: from - grid.columns,
    ArrowDown: from + grid.columns,
    Home: 0,
    End: count - 1,
  }[key];
  return to === undefined || to < 0 || to >= count ? from : to;
}
