import { describe, expect, test } from 'vitest';
import { measuresOf } from './measures';

const of = (id: string, limits = {}) => {
  const found = measuresOf({ id: 'a1', limits }).find((one) => one.id === id);
  if (!found) throw new Error(`no ${id}`);
  return found;
};

describe('what is shown of an agent over time', () => {
  test('is of this agent alone', () => {
    for (const { sources } of measuresOf({ id: 'a1', limits: undefined }))
      for (const { expr } of sources) expect(expr).toContain('agent="a1"');
  });

  test('adds up tokens by kind, and never what is a part of another kind', () => {
    const [read, written] = of('tokens').sources;
    expect(read?.expr).toContain('kind=~"uncached_input|cache_read|cache_write"');
    expect(written?.expr).toContain('kind="output"');
    expect(JSON.stringify(of('tokens').sources)).not.toContain('reasoning');
  });

  test('has the limits the agent is held to, and none where it is held to none', () => {
    expect(of('memory', { memory_bytes: 1_024 ** 3 }).thresholds).toEqual([
      { value: 1_024 ** 3, label: 'limit 1.00 GiB', tone: 'bad' },
    ]);
    expect(of('memory').thresholds).toEqual([]);
    expect(of('memory', { memory_bytes: null }).thresholds).toEqual([]);
  });
});
