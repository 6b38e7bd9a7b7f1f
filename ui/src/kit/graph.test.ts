import { describe, expect, test } from 'vitest';
import {
  around,
  fitted,
  follow,
  inOrder,
  near,
  opening,
  revealed,
  ZOOM_MAX,
  ZOOM_MIN,
  zoomed,
} from './graph';
import { curve, type Layout, type Link, layered, validLinks } from './layered';

const SIZES = { width: 200, height: 48, across: 64, down: 16 };
const links = (...pairs: string[]): Link[] =>
  pairs.map((pair) => {
    const [from = '', to = ''] = pair.split('>');
    return { from, to };
  });
const DIAMOND = links('a>b', 'a>c', 'b>d', 'c>d');
const lay = (ids: string, pairs: readonly Link[]) => layered(ids.split(' '), pairs, SIZES);

function overlaps(layout: Layout): string[] {
  const nodes = [...layout.nodes];
  return nodes.flatMap(([a, p], i) =>
    nodes
      .slice(i + 1)
      .filter(([, q]) => Math.abs(p.x - q.x) < SIZES.width && Math.abs(p.y - q.y) < SIZES.height)
      .map(([b]) => `${a} and ${b}`),
  );
}

describe('a layered layout', () => {
  test('has what comes before on the left', () => {
    const { nodes, links: routes, width, height } = lay('a b c d', DIAMOND);
    const x = (id: string) => nodes.get(id)?.x ?? 0;
    expect(x('a')).toBeLessThan(x('b'));
    expect(x('b')).toBe(x('c'));
    expect(x('b')).toBeLessThan(x('d'));
    expect([width, height]).toEqual([3 * 200 + 2 * 64, 2 * 48 + 16]);
    expect(routes).toHaveLength(4);
    for (const { points } of routes) expect(points.length).toBeGreaterThan(1);
  });

  test.each<[string, string, Link[]]>([
    ['nothing', '', []],
    ['one node', 'a', []],
    ['a circle', 'a b c', links('a>b', 'b>c', 'c>a')],
    ['a link to itself', 'a b', links('a>a', 'a>b')],
    ['the same link twice', 'a b', links('a>b', 'a>b')],
    ['a link to nowhere', 'a b', links('a>x', 'y>b')],
    [
      'names that objects have',
      'constructor __proto__ toString',
      links('constructor>toString', '__proto__>toString'),
    ],
  ])('takes %s', (_name, ids, pairs) => {
    const list = ids === '' ? [] : ids.split(' ');
    const layout = layered(list, pairs, SIZES);
    expect([...layout.nodes.keys()].sort()).toEqual([...list].sort());
    expect(overlaps(layout)).toEqual([]);
  });

  test('is the same each time, and inside of its size', () => {
    const ids = Array.from({ length: 60 }, (_, i) => `n${i}`);
    const pairs = ids.slice(1, 45).map((to, i) => ({ from: `n${(i * 7) % (i + 1)}`, to }));
    const layout = layered(ids, pairs, SIZES);
    expect(layered(ids, pairs, SIZES)).toEqual(layout);
    expect(overlaps(layout)).toEqual([]);
    for (const { x, y } of layout.nodes.values()) {
      expect(x - SIZES.width / 2).toBeGreaterThanOrEqual(0);
      expect(y - SIZES.height / 2).toBeGreaterThanOrEqual(0);
      expect(x + SIZES.width / 2).toBeLessThanOrEqual(layout.width);
      expect(y + SIZES.height / 2).toBeLessThanOrEqual(layout.height);
    }
  });

  test('nodes without links are no endless column', () => {
    const ids = Array.from({ length: 100 }, (_, i) => `n${i}`);
    const { width, height } = layered(ids, [], SIZES);
    expect(width / height).toBeGreaterThan(0.8);
    expect(width / height).toBeLessThan(4);
  });

  test('keeps only links that can be drawn', () =>
    expect(validLinks(new Set(['a', 'b']), links('a>b', 'a>b', 'a>a', 'a>x'))).toEqual(links('a>b')));

  test('lines go from side to side, and past other nodes between columns', () => {
    const { nodes, links: routes } = lay('a b c', links('a>b', 'b>c', 'a>c'));
    const long = routes[2]?.points ?? [];
    const at = (id: string) => nodes.get(id) ?? { x: 0, y: 0 };
    expect(long[0]).toEqual({ x: at('a').x + 100, y: at('a').y });
    expect(long.at(-1)).toEqual({ x: at('c').x - 100, y: at('c').y });
    expect(long.slice(1, 3).map(({ x }) => x)).toEqual([at('b').x - 100, at('b').x + 100]);
    expect(long[1]?.y).toBe(long[2]?.y);
    expect(Math.abs((long[1]?.y ?? 0) - at('b').y)).toBeGreaterThan(SIZES.height / 2);
    expect(routes[0]?.points).toHaveLength(2);
  });

  test.each([
    [[], ''],
    [[{ x: 1, y: 2 }], 'M1 2'],
    [
      [
        { x: 0, y: 0 },
        { x: 10, y: 4.04 },
      ],
      'M0 0C5 0 5 4 10 4',
    ],
  ])('a line along %j', (points, path) => expect(curve(points)).toBe(path));
});

describe('the part of a large graph', () => {
  const ids = Array.from({ length: 100 }, (_, i) => `n${i}`);
  const chain = ids.slice(1).map((to, i) => ({ from: `n${i}`, to }));
  const part = (centre: string | null, max: number) => near(ids, around(ids, chain), centre, max);

  test.each<[string, string | null, number, string[]]>([
    ['is what is nearest to the selected one', 'n50', 5, ['n48', 'n49', 'n50', 'n51', 'n52']],
    ['begins where the most links are', 'gone', 3, ['n0', 'n1', 'n2']],
    ['needs no selected one', null, 3, ['n0', 'n1', 'n2']],
  ])('%s', (_name, centre, max, expected) => expect(part(centre, max)).toEqual(expected));

  test('is all of it where that fits', () => expect(part(null, 100)).toEqual(ids));
  test('is filled with others where links end', () =>
    expect(near(ids, around(ids, links('n7>n9')), 'n7', 4)).toEqual(['n0', 'n1', 'n7', 'n9']));
});

describe('the keyboard', () => {
  const ids = 'a b c d'.split(' ');
  const layout = lay('a b c d', DIAMOND);
  const to = around(ids, DIAMOND);
  const [upper, lower] = inOrder(layout).slice(1, 3) as [string, string];

  test.each([
    ['a', 'ArrowRight', [upper, lower]],
    [upper, 'ArrowDown', [lower]],
    [lower, 'ArrowDown', [lower]],
    [lower, 'ArrowUp', [upper]],
    [upper, 'ArrowRight', ['d']],
    ['d', 'ArrowRight', ['d']],
    [upper, 'ArrowLeft', ['a']],
    ['a', 'ArrowLeft', ['a']],
    ['b', 'Home', ['a']],
    ['a', 'End', ['d']],
    ['gone', 'ArrowDown', ['a']],
    ['a', 'x', ['a']],
  ])('from %s, %s leads to %j', (from, key, where) => expect(where).toContain(follow(layout, to, from, key)));
});

describe('the view', () => {
  const box = { width: 848, height: 448 };
  test.each([
    ['a small drawing stays as large as it is', { width: 200, height: 48 }, { k: 1, x: 324, y: 200 }],
    ['a wide one is made to fit', { width: 1600, height: 100 }, { k: 0.5, x: 24, y: 199 }],
    ['a huge one is not made unreadable', { width: 1e6, height: 10 }, { k: ZOOM_MIN }],
    ['nothing divides by nothing', { width: 0, height: 0 }, { k: 1, x: 424, y: 224 }],
  ])('%s', (_name, drawing, expected) => expect(fitted(drawing, box)).toMatchObject(expected));

  test('a large one opens at a point, readable', () => {
    expect(opening({ width: 100, height: 100 }, box, { x: 0, y: 0 })).toEqual(
      fitted({ width: 100, height: 100 }, box),
    );
    expect(opening({ width: 1e4, height: 1e4 }, box, { x: 800, y: 400 })).toEqual({
      k: 0.75,
      x: -176,
      y: -76,
    });
  });

  test('zooms around a point', () => {
    const view = zoomed({ x: 10, y: 20, k: 1 }, 2, 110, 120);
    expect(view).toEqual({ x: -90, y: -80, k: 2 });
    expect(zoomed(view, 100, 0, 0).k).toBe(ZOOM_MAX);
    expect(zoomed(view, 1e-9, 0, 0).k).toBe(ZOOM_MIN);
  });

  test.each([
    ['what is in sight stays', { x: 100, y: 100, width: 200, height: 48 }, { x: 0, y: 0 }],
    [
      'what is to the right comes in',
      { x: 900, y: 100, width: 200, height: 48 },
      { x: 848 - 24 - 1100, y: 0 },
    ],
    ['what is above comes in', { x: 100, y: -50, width: 200, height: 48 }, { x: 0, y: 74 }],
  ])('%s', (_name, part, expected) =>
    expect(revealed({ x: 0, y: 0, k: 1 }, part, box)).toEqual({ k: 1, ...expected }),
  );
});
