// @vitest-environment node
import { describe, expect, test, vi } from 'vitest';
import { movedSpan, SPAN_MAX_MS, SPAN_MIN_MS, spanWith, ticks, zoomedSpan } from './timeaxis';

// A zone with summer time, before anything formats a time.
vi.hoisted(() => {
  process.env.TZ = 'Europe/Berlin';
});

const H = 3_600_000;

describe('ticks in Berlin', () => {
  const at = (from: string, hours: number, width: number) => {
    const start = Date.parse(from);
    return ticks({ from: start, to: start + hours * H }, width, 100).map((tick) => {
      const d = new Date(tick.at);
      return `${d.getDate()}. ${d.getHours()}:${String(d.getMinutes()).padStart(2, '0')}`;
    });
  };

  test.each<[string, string, number, string[]]>([
    [
      'every ten minutes',
      '2026-01-05T10:03:00+01:00',
      1,
      ['5. 10:10', '5. 10:20', '5. 10:30', '5. 10:40', '5. 10:50', '5. 11:00'],
    ],
    [
      'every three hours',
      '2026-01-05T10:03:00+01:00',
      24,
      ['5. 12:00', '5. 15:00', '5. 18:00', '5. 21:00', '6. 0:00', '6. 3:00', '6. 6:00', '6. 9:00'],
    ],
    [
      'over the day with 23 hours',
      '2026-03-28T18:00:00+01:00',
      24,
      [
        '28. 18:00',
        '28. 21:00',
        '29. 0:00',
        '29. 3:00',
        '29. 6:00',
        '29. 9:00',
        '29. 12:00',
        '29. 15:00',
        '29. 18:00',
      ],
    ],
    [
      'over the day with 25 hours',
      '2026-10-24T18:00:00+02:00',
      25,
      [
        '24. 18:00',
        '24. 21:00',
        '25. 0:00',
        '25. 3:00',
        '25. 6:00',
        '25. 9:00',
        '25. 12:00',
        '25. 15:00',
        '25. 18:00',
      ],
    ],
    [
      'over an hour that comes twice',
      '2026-10-25T00:30:00+02:00',
      5,
      ['25. 1:00', '25. 2:00', '25. 2:00', '25. 3:00', '25. 4:00'],
    ],
    [
      'on days, where one has 25 hours',
      '2026-10-23T12:00:00+02:00',
      96,
      ['24. 0:00', '25. 0:00', '26. 0:00', '27. 0:00'],
    ],
    [
      'on Mondays',
      '2026-01-01T12:00:00+01:00',
      24 * 60,
      [
        '5. 0:00',
        '12. 0:00',
        '19. 0:00',
        '26. 0:00',
        '2. 0:00',
        '9. 0:00',
        '16. 0:00',
        '23. 0:00',
        '2. 0:00',
      ],
    ],
  ])('%s', (_name, from, hours, expected) =>
    expect(at(from, hours, hours === 5 || hours === 96 ? 600 : 1_000)).toEqual(expected),
  );

  test('a midnight is a date', () => {
    const start = Date.parse('2026-01-05T20:00:00+01:00');
    const found = ticks({ from: start, to: start + 8 * H }, 1_000, 100);
    expect(found.filter((tick) => tick.day).map((tick) => new Date(tick.at).getDate())).toEqual([6]);
    expect(found.find((tick) => tick.day)?.label).toMatch(/6/);
  });
});

describe('ticks', () => {
  test.each([1, 5_000, 90_000, H, 30 * H, 24 * 90 * H, 24 * 365 * 15 * H])(
    'of %s ms are apart, in order and within',
    (length) => {
      const from = Date.parse('2026-01-05T10:03:07.123Z');
      const span = { from, to: from + length };
      const found = ticks(span, 1_200, 90);
      for (const [i, { at }] of found.entries()) {
        expect(at).toBeGreaterThanOrEqual(span.from);
        expect(at).toBeLessThanOrEqual(span.to);
        const before = found[i - 1];
        // A shorter day or month may bring two a little closer.
        if (before) expect(((at - before.at) / length) * 1_200).toBeGreaterThan(80);
      }
      if (length > 10_000) expect(found.length).toBeGreaterThan(2);
    },
  );

  test.each([
    [{ from: 5, to: 5 }, 100],
    [{ from: 5, to: 1 }, 100],
    [{ from: Number.NaN, to: 1 }, 100],
    [{ from: 0, to: H }, 0],
  ])('of %j on %s pixels there are none', (span, width) => expect(ticks(span, width, 90)).toEqual([]));
});

describe('a span', () => {
  const span = { from: 10_000, to: 20_000 };
  test('zooms around a part of it', () => {
    expect(zoomedSpan(span, 0.5, 0.5)).toEqual({ from: 12_500, to: 17_500 });
    expect(zoomedSpan(span, 2, 0)).toEqual({ from: 10_000, to: 30_000 });
    expect(zoomedSpan(span, 1e-9, 1)).toEqual({ from: 20_000 - SPAN_MIN_MS, to: 20_000 });
    const long = zoomedSpan(span, 1e12, 0);
    expect(long.to - long.from).toBe(SPAN_MAX_MS);
  });
  test('moves', () => expect(movedSpan(span, -0.25)).toEqual({ from: 7_500, to: 17_500 }));
  test.each([
    ['stays for what it shows', 12_000, 13_000, span],
    ['stays for what it shows a part of', 5_000, 13_000, span],
    ['goes to what is later', 30_000, 31_000, { from: 29_000, to: 39_000 }],
    ['goes to what is earlier', 1_000, 2_000, { from: 0, to: 10_000 }],
  ])('%s', (_name, from, to, expected) => expect(spanWith(span, from, to)).toEqual(expected));
});
