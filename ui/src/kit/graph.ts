/** What of a graph is shown, and how the keyboard goes through it. */
import { type Layout, type Link, validLinks } from './layered';
import type { Glyph, Tone } from './tone';

/** What a node of a graph shows. */
export interface GraphNode {
  id: string;
  title: string;
  /** Below the title. */
  sub?: string;
  tone: Tone;
  glyph: Glyph;
}

/** Nodes shown at most; of a larger graph those nearest to one of them. */
export const NODES_MAX = 200;

/** Who comes right before and right after each node. */
export interface Around {
  before: ReadonlyMap<string, readonly string[]>;
  after: ReadonlyMap<string, readonly string[]>;
}

export function around(ids: readonly string[], links: readonly Link[]): Around {
  const [before, after] = [new Map<string, string[]>(), new Map<string, string[]>()];
  for (const { from, to } of validLinks(new Set(ids), links)) {
    after.set(from, [...(after.get(from) ?? []), to]);
    before.set(to, [...(before.get(to) ?? []), from]);
  }
  return { before, after };
}

/** Up to `max` nodes in their order: all of them, or those fewest links away from the centre, then the others. */
export function near(ids: readonly string[], to: Around, centre: string | null, max: number): string[] {
  if (ids.length <= max) return [...ids];
  const links = (id: string) => [...(to.before.get(id) ?? []), ...(to.after.get(id) ?? [])];
  const busiest = () => ids.reduce((a, b) => (links(b).length > links(a).length ? b : a), ids[0] ?? '');
  const start = centre !== null && ids.includes(centre) ? centre : busiest();
  const found = new Set([start]);
  for (const id of found) {
    for (const next of links(id)) {
      if (found.size >= max) break;
      found.add(next);
    }
  }
  for (const id of ids) {
    if (found.size >= max) break;
    found.add(id);
  }
  return ids.filter((id) => found.has(id));
}

/** Nodes from left to right, and from top to bottom where they stand in one column. */
export function inOrder(layout: Layout): string[] {
  return [...layout.nodes]
    .sort(([, a], [, b]) => Math.round(a.x) - Math.round(b.x) || a.y - b.y)
    .map(([id]) => id);
}

/** The node that a key leads to: left and right along the links, up and down in the column. Itself where none is. */
export function follow(layout: Layout, to: Around, from: string, key: string): string {
  const here = layout.nodes.get(from);
  const order = inOrder(layout);
  if (key === 'Home') return order[0] ?? from;
  if (key === 'End') return order.at(-1) ?? from;
  if (here === undefined) return order[0] ?? from;
  if (key === 'ArrowRight' || key === 'ArrowLeft') {
    const next = (key === 'ArrowRight' ? to.after : to.before).get(from) ?? [];
    const y = (id: string) => layout.nodes.get(id)?.y ?? Number.POSITIVE_INFINITY;
    return next.reduce(
      (a, b) => (Math.abs(y(b) - here.y) < Math.abs(y(a) - here.y) ? b : a),
      next[0] ?? from,
    );
  }
  const column = order.filter((id) => Math.abs((layout.nodes.get(id)?.x ?? 0) - here.x) < 1);
  const step = key === 'ArrowDown' ? 1 : key === 'ArrowUp' ? -1 : 0;
  return column[column.indexOf(from) + step] ?? from;
}

/** How the drawing is moved and scaled: a point of it stands at `point * k + (x, y)`. */
export interface View {
  x: number;
  y: number;
  k: number;
}

interface Size {
  width: number;
  height: number;
}

export const ZOOM_MIN = 0.1;
export const ZOOM_MAX = 2;
const MARGIN = 24;

/** The whole drawing in the middle, never larger than life. */
export function fitted(drawing: Size, box: Size): View {
  const across = (box.width - 2 * MARGIN) / Math.max(1, drawing.width);
  const down = (box.height - 2 * MARGIN) / Math.max(1, drawing.height);
  const k = Math.max(ZOOM_MIN, Math.min(1, across, down));
  return { k, x: (box.width - drawing.width * k) / 2, y: (box.height - drawing.height * k) / 2 };
}

/** Below this, words cannot be read. */
const READABLE = 0.5;

/** What is seen first: all of it while it can be read, otherwise the surroundings of one point. */
export function opening(drawing: Size, box: Size, centre: { x: number; y: number }): View {
  const all = fitted(drawing, box);
  if (all.k >= READABLE) return all;
  const k = (READABLE + 1) / 2;
  return { k, x: box.width / 2 - centre.x * k, y: box.height / 2 - centre.y * k };
}

/** Larger or smaller by a factor, with one point of the box staying where it is. */
export function zoomed(view: View, by: number, x: number, y: number): View {
  const k = Math.max(ZOOM_MIN, Math.min(ZOOM_MAX, view.k * by));
  const scale = k / view.k;
  return { k, x: x - (x - view.x) * scale, y: y - (y - view.y) * scale };
}

/** Moved as little as needed for a part of the drawing to be in the box. */
export function revealed(view: View, part: { x: number; y: number } & Size, box: Size): View {
  const into = (at: number, low: number, high: number, size: number) => {
    if (high - low > size - 2 * MARGIN || low < MARGIN) return at + MARGIN - low;
    return high > size - MARGIN ? at + size - MARGIN - high : at;
  };
  const [left, top] = [part.x * view.k + view.x, part.y * view.k + view.y];
  return {
    k: view.k,
    x: into(view.x, left, left + part.width * view.k, box.width),
    y: into(view.y, top, top + part.height * view.k, box.height),
  };
}
