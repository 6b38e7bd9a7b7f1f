import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { SignalAnswer } from '../backend/types';
import { Sparks } from './sparks.svelte';

const asked: string[] = [];
const api = {
  signalsOver: async ({ expr }: { expr: string }): Promise<SignalAnswer> => {
    asked.push(expr);
    const bucket = { at: '2026-01-01T00:00:00Z', min: 1, max: 2, mean: 1, last: 1, count: 1 };
    return {
      tier: 'raw',
      step_ms: 1,
      from: '',
      to: '',
      series: [{ labels: { agent: 'a0' }, unit: '%', buckets: [bucket] }],
      left_out: 0,
      marks: [],
      notes: [],
      stats: { series: 1, samples_read: 1, ms: 1 },
    };
  },
};
beforeEach(() => {
  vi.useFakeTimers();
  asked.length = 0;
});
afterEach(() => void vi.useRealTimers());
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

test('only the rows that are there are asked for, many in one question', async () => {
  const sparks = new Sparks(api, 'agent_cpu_percent', 'agent');
  const gone = sparks.want('a0');
  for (let i = 1; i < 30; i += 1) sparks.want(`a${i}`);
  const stop = sparks.start();
  await pass(0);
  expect(asked).toHaveLength(2);
  expect(sparks.lines.get('a0')).toHaveLength(1);
  expect(sparks.lines.get('a5')).toEqual([]);
  gone();
  await pass(5_000);
  expect(asked).toHaveLength(4);
  expect(asked[2]).not.toContain('a0|');
  stop();
  await pass(60_000);
  expect(asked).toHaveLength(4);
});

test('a row that comes into sight is asked for soon, and a thousand that are scrolled by are not', async () => {
  const sparks = new Sparks(api, 'agent_cpu_percent', 'agent');
  const stop = sparks.start();
  await pass(0);
  for (let i = 0; i < 1_000; i += 1) {
    const gone = sparks.want(`a${i}`);
    await pass(1);
    gone();
  }
  expect(asked).toEqual([]);
  sparks.want('a0');
  await pass(250);
  expect(asked).toHaveLength(1);
  stop();
});
