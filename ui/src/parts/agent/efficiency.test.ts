import { describe, expect, test } from 'vitest';
import type { Efficiency } from '../../state/types';
import { efficiencyLines } from './efficiencywords';

const none = { before: null, change: null, percent: null, n: 0 };
const alone = { median: null, n: 0, rank: null };
const keys = [
  'missions_per_hour',
  'success',
  'evidence',
  'rework',
  'cycle_time',
  'tokens_per_accepted',
  'cost_per_accepted',
  'idle_share',
];
const all = <T>(value: T) => Object.fromEntries(keys.map((key) => [key, value]));

function efficiency(more: object = {}): Efficiency {
  const share = { value: null, low: null, high: null, n: 0 };
  return {
    n: 0,
    cut: false,
    missions_per_hour: { value: null, n: 0 },
    success: share,
    evidence: share,
    rework: share,
    cycle_time: { p10: null, p50: null, p90: null, n: 0, classes: [] },
    tokens_per_accepted: { value: null, n: 0, unknown: 0 },
    cost_per_accepted: { value: null, n: 0, unknown: 0 },
    idle_share: { value: null, n: 0 },
    trend: { from: '', ...all(none) },
    peers: all(alone),
    ...more,
  } as unknown as Efficiency;
}
const line = (id: string, it: Efficiency) => {
  const found = efficiencyLines(it).find((one) => one.id === id);
  if (!found) throw new Error(`no ${id}`);
  return found;
};

describe('how well an agent works', () => {
  test('has no figure where there are no cases, and never a zero', () => {
    for (const one of efficiencyLines(efficiency())) {
      expect(one.value).toBe('\u2014');
      expect(one.rests).toContain('0 ');
      expect(one.trend).toBeNull();
      expect(one.peers).toBe('no other agent has this figure');
    }
  });

  test('says on how many cases a figure rests, and how far it may be off', () => {
    const it = efficiency({ success: { value: 0.8, low: 0.49, high: 0.943, n: 10 } });
    expect(line('success', it)).toMatchObject({
      value: '80.0 %',
      rests: expect.stringContaining('10 attempts'),
    });
    expect(line('success', it).rests).toContain('49.0 % to 94.3 %');
  });

  test('says what is better and what is worse: more success is, more rework is not', () => {
    const grown = { before: 0.5, change: 0.25, percent: 50, n: 4 };
    const it = efficiency({ trend: { from: '', ...all(grown) } });
    expect(line('success', it).trend).toEqual({ text: '+25.0 points, was 50.0 %', way: 'better' });
    expect(line('rework', it).trend?.way).toBe('worse');
    expect(line('missions_per_hour', it).trend?.text).toContain('+50 %');
  });

  test('says that tokens are at least so many where somebody said nothing', () => {
    const it = efficiency({ tokens_per_accepted: { value: 1_200, n: 2, unknown: 3 } });
    expect(line('tokens_per_accepted', it)).toMatchObject({ value: '1.20 k' });
    expect(line('tokens_per_accepted', it).rests).toContain('at least that');
  });

  test('stands beside the others that have the figure', () => {
    const it = efficiency({ peers: { ...all(alone), success: { median: 0.7, n: 4, rank: 2 } } });
    expect(line('success', it).peers).toBe('others 70.0 % (4), place 2 of 5');
  });
});
