import { describe, expect, test } from 'vitest';
import { rangeText, readRange } from './timerange';

const NOW = new Date(2026, 10, 22, 15, 30, 0).getTime();
const at = (month: number, date: number, hour = 0, minute = 0, second = 0) =>
  new Date(2026, month - 1, date, hour, minute, second).getTime();
const read = (text: string) => {
  const found = readRange(text, NOW);
  return 'range' in found ? found.range : found.problem;
};

describe('a stretch of time is read from', () => {
  test.each([
    ['last 2h', 7_200_000],
    ['2h', 7_200_000],
    ['last 90 min', 5_400_000],
    ['Last  1h 30m', 5_400_000],
    ['last hour', 3_600_000],
    ['last day', 86_400_000],
    ['last 7 days', 604_800_000],
    ['2w', 1_209_600_000],
    ['last 30 s', 30_000],
    ['1.5 h', 5_400_000],
  ])('%s', (text, ms) => expect(read(text)).toEqual({ kind: 'last', ms }));

  test.each([
    ['today', at(11, 22), NOW],
    ['yesterday', at(11, 21), at(11, 22)],
    ['since 9:30', at(11, 22, 9, 30), NOW],
    ['9:00 to 10:15', at(11, 22, 9), at(11, 22, 10, 15)],
    ['9:00 - now', at(11, 22, 9), NOW],
    ['2026-11-20 to 2026-11-21', at(11, 20), at(11, 21)],
    ['2026-11-20 22:00 to 23:30:30', at(11, 20, 22), at(11, 20, 23, 30, 30)],
    ['2026-11-20..2026-11-21 08:00', at(11, 20), at(11, 21, 8)],
    ['2026-11-20T00:00:00Z to 2026-11-20T01:00:00Z', Date.UTC(2026, 10, 20), Date.UTC(2026, 10, 20, 1)],
  ])('%s', (text, from, to) => expect(read(text)).toEqual({ kind: 'between', from, to }));
});

test.each([
  ['', 'last 2h'],
  ['whenever', 'last 2h'],
  ['last 2 fortnights', 'last 2h'],
  ['9:00', 'last 2h'],
  ['25:00 to 26:00', 'last 2h'],
  ['2026-02-31 to 2026-03-02', 'last 2h'],
  ['10:00 to 9:00', 'ends before'],
  ['last 1s', '10 seconds'],
  ['last 5000 days', 'ten years'],
  ['2027-01-01 to 2027-01-02', 'future'],
])('%j is told to be wrong', (text, why) => expect(read(text)).toContain(why));

test.each([
  'last 2 h',
  'last 1 h 30 min',
  '2026-11-20 22:00 to 23:30:30',
  '2026-11-20 00:00 to 2026-11-21 08:00',
])('%s is shown as it can be typed', (text) => {
  const found = readRange(text, NOW);
  expect('range' in found ? rangeText(found.range) : found.problem).toBe(text);
});

test('whatever is typed is answered, and nothing throws', () => {
  const parts = ['last', '2', 'h', ':', '-', 'to', '2026-11-20', ' ', '.', 'T', '99', 'since', 'é', '\u0000'];
  let seed = 7;
  const next = () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed;
  };
  for (let n = 0; n < 5_000; n += 1) {
    const text = Array.from({ length: next() % 8 }, () => parts[next() % parts.length]).join('');
    const found = readRange(text, NOW);
    expect('range' in found || found.problem.length > 0).toBe(true);
  }
});
