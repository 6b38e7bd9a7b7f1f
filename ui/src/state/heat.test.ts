import { describe, expect, test } from 'vitest';
import type { Signal, SignalAnswer } from '../backend/types';
import { Heat, heatedBy, roundUp } from './heat.svelte';
import { settled } from './testing/stage';

const signal = (name: string, more: Partial<Signal> = {}): Signal => ({
  name,
  unit: '',
  kind: 'gauge',
  resolution: 1,
  labels: ['agent'],
  states: [],
  bounds: [],
  description: name,
  ...more,
});

describe('what a honeycomb is coloured by', () => {
  test('is a level as it is, and a counter as how fast it grows', () => {
    expect(heatedBy(signal('agent_processes'))?.expr).toBe('max by (agent) (agent_processes)');
    expect(heatedBy(signal('x_total', { kind: 'counter', unit: 'B' }))).toMatchObject({
      expr: 'sum by (agent) (rate(x_total[1m]))',
      unit: 'B/s',
    });
    expect(heatedBy(signal('agent_cpu_percent', { unit: '%' }))?.top).toBe(100);
  });
  test('counts nothing twice', () => {
    const tokens = signal('agent_tokens_total', { kind: 'counter', labels: ['agent', 'kind'] });
    expect(heatedBy(tokens)?.expr).toContain('kind!="reasoning"');
    const cost = signal('agent_cost_usd_total', { kind: 'counter', labels: ['agent', 'by'], unit: '$' });
    expect(heatedBy(cost)).toMatchObject({ expr: expect.stringMatching(/^max by/), times: 3_600 });
  });
  test('is nothing that has no agent, and no histogram', () => {
    expect(heatedBy(signal('machine_load', { labels: ['minutes'] }))).toBeNull();
    expect(heatedBy(signal('h', { kind: 'histogram' }))).toBeNull();
  });
});

test.each([
  [0, 1],
  [3, 5],
  [12, 20],
  [100, 100],
  [0.7, 1],
])('a scale up to %d ends at %d', (value, end) => expect(roundUp(value)).toBe(end));

test('every agent has its value, and one without a sample has none', async () => {
  const answer = {
    series: [
      { labels: { agent: 'a' }, unit: '', buckets: [{ at: '', min: 2, max: 2, mean: 2, last: 2, count: 1 }] },
    ],
  } as unknown as SignalAnswer;
  const heat = new Heat({ signals: async () => [signal('agent_processes')], signalsAt: async () => answer });
  await heat.offer();
  heat.choose('agent_processes');
  await settled();
  expect([...heat.values]).toEqual([['a', 2]]);
  expect(heat.top).toBe(2);
  heat.choose(null);
  expect(heat.by).toBeNull();
  expect(heat.values.size).toBe(0);
});
