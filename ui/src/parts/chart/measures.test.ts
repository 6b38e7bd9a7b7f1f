import { describe, expect, it } from 'vitest';
import type { SeriesRange } from '../../state/types';
import { align } from './align';
import { counted, MEASURES, type Measured } from './measures';

const at = (second: number) => new Date(1_800_000_000_000 + second * 1_000).toISOString();

function series(name: string, labels: Record<string, string>, values: [number, number][]): SeriesRange {
  return {
    key: { name, labels: { agent: 'a', ...labels } },
    unit: '',
    step_ms: 1_000,
    buckets: values.map(([second, last]) => ({
      at: at(second),
      min: 0,
      max: last,
      mean: last / 2,
      last,
      count: 3,
    })),
  };
}

const shown = (title: string, measured: Measured) =>
  MEASURES.find((one) => one.title === title)?.of(measured) ?? null;
const lasts = (range: SeriesRange | null) => range?.buckets.map((bucket) => bucket.last);

describe('what is shown of an agent over time', () => {
  const measured: Measured = new Map([
    [
      'agent_cpu_percent',
      [
        series('agent_cpu_percent', {}, [
          [0, 50],
          [1, 70],
        ]),
      ],
    ],
    [
      'agent_tokens_total',
      [
        series('agent_tokens_total', { kind: 'uncached_input' }, [
          [0, 100],
          [1, 300],
        ]),
        series('agent_tokens_total', { kind: 'cache_read' }, [[1, 40]]),
        series('agent_tokens_total', { kind: 'output' }, [
          [0, 5],
          [1, 9],
        ]),
        series('agent_tokens_total', { kind: 'reasoning' }, [
          [0, 2],
          [1, 3],
        ]),
      ],
    ],
    ['agent_cost_usd_total', [series('agent_cost_usd_total', { by: 'prices' }, [[1, 0.02]])]],
  ]);

  it('adds up tokens by kind, and never what is a part of another kind', () => {
    expect(lasts(shown('Tokens read', measured))).toEqual([100, 340]);
    expect(lasts(shown('From the cache', measured))).toEqual([40]);
    expect(lasts(shown('Tokens written', measured))).toEqual([5, 9]);
  });

  it('takes a total as it was last in a bucket, not as its mean', () => {
    const range = counted([series('x', {}, [[0, 8]])]);
    expect(range?.buckets[0]).toMatchObject({ mean: 8, min: 8, max: 8, count: 3 });
    expect(counted([])).toBeNull();
  });

  it('shows the cost by our prices where the agent says none, and nothing where nobody said anything', () => {
    expect(lasts(shown('Cost', measured))).toEqual([0.02]);
    expect(shown('Progress', measured)).toBeNull();
    expect(shown('Turns', measured)).toBeNull();
    const both: Measured = new Map([
      [
        'agent_cost_usd_total',
        [series('c', { by: 'prices' }, [[0, 9]]), series('c', { by: 'agent' }, [[0, 7]])],
      ],
    ]);
    expect(lasts(shown('Cost', both))).toEqual([7]);
  });

  it('puts processes and tokens on one axis of time', () => {
    const all = align(MEASURES.map((one) => one.of(measured)));
    const moments = all[0]?.[0];
    expect(moments).toEqual([1_800_000_000, 1_800_000_001]);
    expect(all.every((one) => one[0].length === 2)).toBe(true);
    expect(all[3]?.[1]).toEqual([100, 340]);
    expect(all[4]?.[1]).toEqual([null, 40]);
  });
});
