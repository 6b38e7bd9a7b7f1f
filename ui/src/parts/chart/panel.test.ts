import { describe, expect, test } from 'vitest';
import { scaled } from '../../kit/units';
import type { Curve } from '../../state/signals';
import { COLOURS, CURVES_MAX, csvOf, pictureOf } from './curves';
import { formatOf, type PanelSpec } from './spec';
import { allMarks, drawnMark, markText } from './timemarks';

const T0 = 1_800_000_000_000;
const curve = (
  of: string | null,
  values: [number, number][],
  labels: Record<string, string> = of === null ? {} : { agent: of },
): Curve => ({
  of,
  labels,
  unit: '%',
  step_ms: 1_000,
  buckets: values.map(([second, mean]) => ({
    at: new Date(T0 + second * 1_000).toISOString(),
    min: mean - 1,
    max: mean + 1,
    mean,
    last: mean,
    count: 2,
  })),
});
const read = (...curves: Curve[]) => ({ curves, left: 0 });
const byAgent: PanelSpec = {
  id: 'x',
  title: 'X',
  note: '',
  sources: [{ expr: 'x', by: 'agent' }],
  format: scaled,
  unit: '%',
};
const nameOf = (of: string) => `agent ${of}`;

test.each([
  [0, '0'],
  [12, '12'],
  [1.234, '1.23'],
  [999, '999'],
  [1_000, '1.00 k'],
  [25_400_000, '25.4 M'],
  [null, '\u2014'],
])('%j is written as %s', (n, text) => expect(scaled(n)).toBe(text));

describe('a picture', () => {
  test('keeps a gap as a gap in every curve', () => {
    const { data } = pictureOf(
      byAgent,
      [
        read(
          curve('a', [
            [0, 5],
            [1, 6],
            [60, 7],
          ]),
          curve('b', [[60, 1]]),
        ),
      ],
      nameOf,
    );
    const at = (data[0] ?? []).indexOf(T0 / 1_000 + 2);
    expect(at).toBeGreaterThan(0);
    expect([1, 2, 3, 4].map((column) => data[column]?.[at])).toEqual([null, null, null, null]);
    expect(data[4]?.[0]).toBeNull();
    expect([data[2]?.[0], data[3]?.[0]]).toEqual([4, 6]);
  });

  test('of many curves is of the largest, tells how many are left, and tells them apart without colour', () => {
    const curves = Array.from({ length: CURVES_MAX + 5 }, (_, i) =>
      curve(String(i).padStart(2, '0'), [[0, i]]),
    );
    const { drawn, left } = pictureOf(byAgent, [{ curves, left: 2 }], nameOf);
    expect(left).toBe(7);
    expect(drawn.map(({ name }) => name)).not.toContain('agent 04');
    expect(drawn.map(({ name }) => name)).toContain('agent 05');
    const looks = new Set(drawn.map(({ colour, dash }) => `${colour} ${dash.join()}`));
    expect(looks.size).toBe(drawn.length);
    expect(drawn[COLOURS]?.dash).not.toEqual([]);
  });

  test('has nothing where nothing was measured', () => {
    expect(pictureOf(byAgent, [read(curve('a', []))], nameOf).drawn).toEqual([]);
    expect(pictureOf(byAgent, [null], nameOf).drawn).toEqual([]);
  });

  test('is saved as CSV with its gaps empty, and no name becomes a formula', () => {
    const both = read(curve('a', [[0, 5]]), curve('b', [[1, 2]]));
    const picture = pictureOf(byAgent, [both], (of) => `=${of},"x"`);
    const lines = csvOf(picture).split('\r\n');
    expect(lines[0]).toContain(`"'=a,""x"" mean (%)"`);
    expect(lines[1]).toBe(`${new Date(T0).toISOString()},5,4,6,,,`);
    expect(lines[2]).toBe(`${new Date(T0 + 1_000).toISOString()},,,,2,1,3`);
  });

  test('of an expression tells its curves apart by their labels', () => {
    const own: PanelSpec = { id: 'o', title: 'Mine', note: '', sources: [{ expr: 'x', each: true }] };
    const names = (...all: Record<string, string>[]) =>
      pictureOf(own, [read(...all.map((labels) => curve(null, [[0, 1]], labels)))], nameOf).drawn.map(
        ({ name }) => name,
      );
    expect(names({})).toEqual(['Mine']);
    expect(names({ __name__: 'x' })).toEqual(['x']);
    expect(names({ __name__: 'x', agent: 'a' }, { __name__: 'x', agent: 'b' })).toEqual([
      'agent a',
      'agent b',
    ]);
    expect(names({ __name__: 'x', kind: 'in' }, { __name__: 'y', kind: 'in' })).toEqual([
      'x · kind in',
      'y · kind in',
    ]);
    expect(pictureOf(own, [read(curve(null, [[0, 50]]))], nameOf).format(50)).toBe('50 %');
  });

  test('takes its limits from what was measured, where they depend on it', () => {
    const spec: PanelSpec = {
      ...byAgent,
      sources: [{ expr: 'x', word: 'all' }],
      thresholds: (of) => [{ value: (of('all')?.last ?? 0) * 2, label: 'twice', tone: 'bad' }],
    };
    expect(pictureOf(spec, [read(curve(null, [[0, 4]]))], nameOf).thresholds[0]?.value).toBe(8);
  });
});

describe('what happened to time', () => {
  const at = new Date(T0).toISOString();
  test('is a stretch where it lasted, and a moment where the clock was set', () => {
    expect(drawnMark({ at, kind: 'suspended', span_ms: 8 * 3_600_000 })).toMatchObject({
      from: T0 - 8 * 3_600_000,
      to: T0,
    });
    expect(drawnMark({ at, kind: 'clock_stepped', span_ms: -3_600_000 })).toMatchObject({ from: T0, to: T0 });
    expect(markText({ at, kind: 'suspended', span_ms: 8 * 3_600_000 })).toContain('slept for 8 h');
    expect(markText({ at, kind: 'clock_stepped', span_ms: -3_600_000 })).toContain('set back by 1 h');
  });
  test('is told once, however many questions it was an answer to', () => {
    const one = { at, kind: 'missed', span_ms: 9_000 } as const;
    expect(allMarks([{ marks: [one] }, null, { marks: [one] }])).toEqual([one]);
  });
});

test.each([
  ['%', 50, '50 %'],
  ['B', 1_024, '1.00 KiB'],
  ['B/s', 1_024, '1.00 KiB/s'],
  ['', 3, '3'],
  ['s', 2, '2 s'],
  ['$', 1.5, '$1.50'],
])('in %j, %d is written as %s', (unit, value, text) => expect(formatOf(unit)(value)).toBe(text));
