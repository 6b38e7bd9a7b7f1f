/** A layered layout of a graph: what comes before stands to the left of what comes after. */
import dagre from '@dagrejs/dagre';

export interface Link {
  from: string;
  to: string;
}

export interface Placed {
  /** The middle of the node. */
  x: number;
  y: number;
}

export interface Route extends Link {
  /** Where the line goes along, from the edge of one node to the edge of the other. */
  points: readonly Placed[];
}

export interface Layout {
  nodes: ReadonlyMap<string, Placed>;
  links: readonly Route[];
  width: number;
  height: number;
}

export interface Sizes {
  width: number;
  height: number;
  /** Between two columns. */
  across: number;
  /** Between two nodes of a column. */
  down: number;
}

/** Links between known nodes, each once and none to itself. */
export function validLinks(ids: ReadonlySet<string>, links: readonly Link[]): Link[] {
  const seen = new Set<string>();
  return links.filter(({ from, to }) => {
    const key = JSON.stringify([from, to]);
    if (from === to || !ids.has(from) || !ids.has(to) || seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

/**
 * Places every node. Those without a link stand in rows below the others: a column of them would be endless.
 * The same input gives the same layout; circles are laid out too.
 */
export function layered(ids: readonly string[], links: readonly Link[], sizes: Sizes): Layout {
  const known = new Set(ids);
  const valid = validLinks(known, links);
  const linked = new Set(valid.flatMap(({ from, to }) => [from, to]));
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: 'LR', ranksep: sizes.across, nodesep: sizes.down, marginx: 0, marginy: 0 });
  // dagre keeps names as keys of plain objects, so an id such as `__proto__` never reaches it.
  const names = new Map([...linked].map((id, i) => [id, `n${i}`]));
  const name = (id: string) => names.get(id) ?? '';
  for (const id of known) {
    if (linked.has(id)) graph.setNode(name(id), { width: sizes.width, height: sizes.height });
  }
  for (const { from, to } of valid) graph.setEdge(name(from), name(to), {});
  const nodes = new Map<string, Placed>();
  let [width, height] = [0, 0];
  if (linked.size > 0) {
    dagre.layout(graph);
    for (const id of linked) {
      const { x, y } = graph.node(name(id));
      nodes.set(id, { x, y });
    }
    width = graph.graph().width ?? 0;
    height = graph.graph().height ?? 0;
  }
  const routes = valid.map((link) => {
    const points = graph.edge(name(link.from), name(link.to)).points ?? [];
    return { ...link, points: routed(points, nodes.get(link.from), nodes.get(link.to), sizes.width) };
  });
  const alone = [...known].filter((id) => !linked.has(id));
  const below = inRows(nodes, alone, sizes, width, height);
  return { nodes, links: routes, ...below };
}

/** Nodes in rows below what is there; about as wide as that, and otherwise wider than high. */
function inRows(
  nodes: Map<string, Placed>,
  ids: readonly string[],
  sizes: Sizes,
  width: number,
  height: number,
): { width: number; height: number } {
  if (ids.length === 0) return { width, height };
  const [stepX, stepY] = [sizes.width + sizes.down, sizes.height + sizes.down];
  const square = Math.ceil(Math.sqrt((ids.length * stepY * 1.8) / stepX));
  const columns = Math.min(ids.length, Math.max(1, square, Math.floor((width + sizes.down) / stepX)));
  const top = height === 0 ? 0 : height + sizes.across;
  for (const [i, id] of ids.entries()) {
    const [column, row] = [i % columns, Math.floor(i / columns)];
    nodes.set(id, { x: column * stepX + sizes.width / 2, y: top + row * stepY + sizes.height / 2 });
  }
  return {
    width: Math.max(width, columns * stepX - sizes.down),
    height: top + Math.ceil(ids.length / columns) * stepY - sizes.down,
  };
}

/**
 * From the right side of one node to the left side of the other, level past the columns between. A link that goes
 * back, as one of a circle does, is left as it is.
 */
function routed(
  points: readonly Placed[],
  from: Placed | undefined,
  to: Placed | undefined,
  width: number,
): Placed[] {
  if (from === undefined || to === undefined || from.x + width >= to.x) return [...points];
  // Every second inner point stands in a column, the others in the gaps between.
  const columns = points.slice(1, -1).filter((_, i) => i % 2 === 1);
  return [
    { x: from.x + width / 2, y: from.y },
    ...columns.flatMap(({ x, y }) => [
      { x: x - width / 2, y },
      { x: x + width / 2, y },
    ]),
    { x: to.x - width / 2, y: to.y },
  ];
}

/** A smooth line through some points, level at each of them. */
export function curve(points: readonly Placed[]): string {
  return points
    .map(({ x, y }, i) => {
      const before = points[i - 1];
      if (before === undefined) return `M${round(x)} ${round(y)}`;
      const middle = round((before.x + x) / 2);
      return `C${middle} ${round(before.y)} ${middle} ${round(y)} ${round(x)} ${round(y)}`;
    })
    .join('');
}

const round = (n: number): number => Math.round(n * 10) / 10;
