import { describe, expect, test } from 'vitest';
import { scaled } from '../../kit/units';
import type { Curve } from '../../state/signals';
import { COLOURS, CURVES_MAX, csvOf, pictureOf } from './curves';
import { PANELS, type PanelSpec } from './panels';

const T0 = 1_800_000_000_000;
const curve = (of: string | null, values: [number, number][]): Curve => ({
  of,
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
const byAgent: PanelSpec = {
  id: 'x',
  title: 'X',
  note: '',
  group: 'agents',
  sources: [{ signal: 'x', by: 'agent' }],
  format: scaled,
  unit: '%',
};
const nameOf = (of: string) => `agent ${of}`;

test('every panel has a name of its own and something to show', () => {
  expect(new Set(PANELS.map(({ id }) => id)).size).toBe(PANELS.length);
  for (const { sources, format } of PANELS) {
    expect(sources.length).toBeGreaterThan(0);
    expect(format(null)).toBe('\u2014');
  }
});

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
        [
          curve('a', [
            [0, 5],
            [1, 6],
            [60, 7],
          ]),
          curve('b', [[60, 1]]),
        ],
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
    const { drawn, left } = pictureOf(byAgent, [curves], nameOf);
    expect(left).toBe(5);
    expect(drawn.map(({ name }) => name)).not.toContain('agent 04');
    expect(drawn.map(({ name }) => name)).toContain('agent 05');
    const looks = new Set(drawn.map(({ colour, dash }) => `${colour} ${dash.join()}`));
    expect(looks.size).toBe(drawn.length);
    expect(drawn[COLOURS]?.dash).not.toEqual([]);
  });

  test('has nothing where nothing was measured', () => {
    expect(pictureOf(byAgent, [[curve('a', [])]], nameOf).drawn).toEqual([]);
    expect(pictureOf(byAgent, [null], nameOf).drawn).toEqual([]);
  });

  test('is saved as CSV with its gaps empty, and no name becomes a formula', () => {
    const picture = pictureOf(byAgent, [[curve('a', [[0, 5]]), curve('b', [[1, 2]])]], (of) => `=${of},"x"`);
    const lines = csvOf(byAgent, picture).split('\r\n');
    expect(lines[0]).toContain(`"'=a,""x"" mean (%)"`);
    expect(lines[1]).toBe(`${new Date(T0).toISOString()},5,4,6,,,`);
    expect(lines[2]).toBe(`${new Date(T0 + 1_000).toISOString()},,,,2,1,3`);
  });
});
