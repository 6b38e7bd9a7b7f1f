import { describe, expect, test } from 'vitest';
import { type Bar, type Lane, placed, stepped, TRACKS_MAX, toneOf, wholeSpan } from './lanes';

const H = 3_600_000;
const bar = (id: string, from: number, to: number | null): Bar => ({
  id,
  from,
  to,
  tone: 'work',
  glyph: 'play',
  title: id,
  about: [],
});

describe('bars in a lane', () => {
  const span = { from: 1_000, to: 2_000 };
  const lay = (...bars: Bar[]) =>
    placed(bars, span, 1_000, 1_800).bars.map(({ left, width, track, bars: of }) => [
      of.map(({ id }) => id).join(' '),
      left,
      width,
      track,
    ]);

  test.each<[string, Bar[], unknown[]]>([
    ['stand where their time is', [bar('a', 1_100, 1_300)], [['a', 100, 200, 0]]],
    ['go on until now', [bar('a', 1_500, null)], [['a', 500, 300, 0]]],
    ['are cut at the ends', [bar('a', 0, 9_000)], [['a', -1, 1_002, 0]]],
    ['outside are not drawn', [bar('a', 0, 900), bar('b', 2_100, null)], []],
    ['that end before they begin still show', [bar('a', 1_100, 1_000)], [['a', 100, 4, 0]]],
    [
      'that overlap are below each other',
      [bar('b', 1_200, 1_400), bar('a', 1_100, 1_300), bar('c', 1_350, 1_500)],
      [
        ['a', 100, 200, 0],
        ['b', 200, 200, 1],
        ['c', 350, 150, 0],
      ],
    ],
    [
      'too small to tell apart are one',
      [bar('a', 1_100, 1_101), bar('b', 1_103, 1_104), bar('c', 1_108, 1_109), bar('d', 1_200, 1_300)],
      [
        ['a b c', 100, 12, 0],
        ['d', 200, 100, 0],
      ],
    ],
  ])('%s', (_name, bars, expected) => expect(lay(...bars)).toEqual(expected));

  test('ten thousand are few to draw, and none is lost', () => {
    const many = Array.from({ length: 10_000 }, (_, i) => bar(`b${i}`, 1_000 + i / 10, 1_000.05 + i / 10));
    const lane = placed(many, span, 1_000, 2_000);
    expect(lane.bars.length).toBeLessThan(60);
    expect(lane.bars.reduce((sum, { bars }) => sum + bars.length, 0)).toBe(10_000);
  });

  test('of different tones have none together', () => {
    const [a, b, c] = [bar('a', 0, 1), bar('b', 1, 2), { ...bar('c', 2, 3), tone: 'bad' as const }];
    const tone = (...bars: Bar[]) => toneOf({ key: 'x', left: 0, width: 4, track: 0, bars });
    expect([tone(a, b), tone(a, c), tone(c)]).toEqual(['work', 'idle', 'bad']);
  });

  test('never has more tracks than fit', () =>
    expect(
      placed(
        Array.from({ length: 20 }, (_, i) => bar(`b${i}`, 1_100 + i, 1_900)),
        span,
        1_000,
        2_000,
      ).tracks,
    ).toBe(TRACKS_MAX));
});

test('the whole is all bars with a little around', () => {
  const lane: Lane = { id: 'l', title: 'l', bars: [bar('a', 100_000, 200_000), bar('b', 150_000, null)] };
  expect(wholeSpan([lane], 300_000)).toEqual({ from: 96_000, to: 304_000 });
  expect(wholeSpan([], 4 * H)).toEqual({ from: 3 * H, to: 4 * H });
});

describe('the keyboard', () => {
  const lanes: Lane[] = [
    { id: 'x', title: 'x', bars: [bar('x2', 50, 60), bar('x1', 10, 20)] },
    { id: 'y', title: 'y', bars: [] },
    { id: 'z', title: 'z', bars: [bar('z1', 0, 5), bar('z2', 45, 50), bar('z3', 90, 99)] },
  ];
  test.each<[string, number, string | null, number, string | null]>([
    ['ArrowRight', 0, 'x1', 0, 'x2'],
    ['ArrowRight', 0, 'x2', 0, 'x2'],
    ['ArrowLeft', 0, 'x1', 0, 'x1'],
    ['Home', 2, 'z3', 2, 'z1'],
    ['End', 2, 'z1', 2, 'z3'],
    ['ArrowDown', 0, 'x2', 1, null],
    ['ArrowDown', 1, null, 2, 'z3'],
    ['PageDown', 0, 'x2', 2, 'z2'],
    ['ArrowUp', 0, 'x1', 0, 'x1'],
    ['ArrowRight', 1, null, 1, null],
  ])('%s from lane %s at %s leads to lane %s at %s', (key, lane, at, toLane, to) =>
    expect(stepped(lanes, { lane, bar: at }, key, 10)).toEqual({ lane: toLane, bar: to }),
  );

  test('has nowhere to go without lanes', () =>
    expect(stepped([], { lane: 3, bar: 'x' }, 'ArrowDown', 1)).toEqual({ lane: 0, bar: null }));
});
