import { describe, expect, test } from 'vitest';
import { cellAt, comb, middle, step } from './hexgrid';
import { validLanguage } from './locale';
import { render } from './markdown';
import { age, day, duration } from './time';
import { bytes, NONE, percent, plural } from './units';
import { ROWS_MAX, windowOf } from './windowed';

test.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1.00 KiB'],
  [1536 * 1024, '1.50 MiB'],
  [23.44 * 1024 ** 3, '23.4 GiB'],
  [1024 ** 2 - 1, '1.00 MiB'],
  [null, NONE],
  [undefined, NONE],
  [Number.NaN, NONE],
])('%s bytes are %s', (n, text) => expect(bytes(n)).toBe(text));

test.each([
  [0, '0 %'],
  [9.94, '9.9 %'],
  [37.6, '38 %'],
  [null, NONE],
])('%s percent are %s', (n, text) => expect(percent(n)).toBe(text));

test.each([
  [12, '12 ms'],
  [999, '999 ms'],
  [5_000, '5 s'],
  [185_000, '3 min 5 s'],
  [180_000, '3 min'],
  [7_440_000, '2 h 4 min'],
  [442_800_000, '5 d 3 h'],
  [-5, '0 s'],
])('%s ms are %s', (ms, text) => expect(duration(ms)).toBe(text));

test.each([
  [0, 'now'],
  [-3, 'now'],
  [42, '42 s'],
  [200, '3 min'],
  [7_300, '2 h'],
  [400_000, '4 d'],
])('%s seconds ago is %s', (s, text) =>
  expect(age(new Date(1e12 - s * 1000).toISOString(), 1e12)).toBe(text),
);

test('one of a thing is not plural', () => {
  expect([plural(0, 'file'), plural(1, 'file'), plural(2, 'file')]).toEqual(['0 files', '1 file', '2 files']);
});

test('a day is that of the captain', () =>
  expect(day(new Date(2026, 0, 5, 23, 59).getTime())).toBe('2026-01-05'));

test.each([
  ['de-DE', 'de-DE'],
  ['c', 'en'],
  ['C', 'en'],
  ['', 'en'],
  [undefined, 'en'],
  ['en_US', 'en'],
])('the language %s is taken as %s', (said, taken) => expect(validLanguage(said)).toBe(taken));

describe('a window over a list', () => {
  test.each([
    ['at the top', 1000, 0, { start: 0, end: 36 }],
    ['in the middle', 1000, 8000, { start: 192, end: 228 }],
    ['at the end', 1000, 40_000, { start: 992, end: 1000 }],
    ['past the end', 10, 40_000, { start: 9, end: 10 }],
    ['of a short list', 3, 0, { start: 0, end: 3 }],
    ['of an empty list', 0, 0, { start: 0, end: 0 }],
  ])('%s', (_name, count, top, expected) => expect(windowOf(count, 40, top, 800)).toEqual(expected));

  test('never holds more than its most', () => {
    const { start, end } = windowOf(100_000, 1, 5_000, 4_000);
    expect(end - start).toBeLessThanOrEqual(ROWS_MAX);
  });
});

describe('the honeycomb', () => {
  test.each([1, 2, 7, 30, 333, 2000])(
    '%s cells lie inside, apart from each other, and are found under the pointer',
    (count) => {
      const grid = comb(count, 640, 400, 52, 4);
      for (let i = 0; i < count; i += Math.max(1, Math.floor(count / 50))) {
        const { x, y } = middle(grid, i);
        expect(x).toBeGreaterThanOrEqual(0);
        expect(x).toBeLessThanOrEqual(640);
        expect(y).toBeLessThanOrEqual(400);
        expect(cellAt(grid, count, x, y)).toBe(i);
      }
      expect(cellAt(grid, count, -100, -100)).toBeNull();
    },
  );

  test('arrow keys stay inside', () => {
    const grid = comb(10, 300, 300, 40, 4);
    expect(step(grid, 10, 0, 'ArrowLeft')).toBe(0);
    expect(step(grid, 10, 0, 'ArrowRight')).toBe(1);
    expect(step(grid, 10, 9, 'ArrowDown')).toBe(9);
    expect(step(grid, 10, 3, 'End')).toBe(9);
  });
});

describe('markdown', () => {
  test.each([
    ['headings and tables are kept', '# A\n\n| a |\n|---|\n| b |', '<h1>A</h1>', true],
    ['raw markup is text', '<img src=x onerror=alert(1)>', '<img', false],
    ['scripts are text', 'a <script>alert(1)</script>', '<script', false],
    ['images are not loaded', '![x](https://evil.example/x.png)', '<img', false],
    ['script links are dropped', '[x](javascript:alert(1))', 'javascript:', false],
    ['data links are dropped', '[x](data:text/html,x)', 'data:', false],
    ['plain web links are dropped', '[x](http://example.com)', 'http:', false],
    ['safe links are kept', '[x](https://example.com)', 'href="https://example.com"', true],
    ['styles are dropped', '<p style="position:fixed">x</p>', '<p style', false],
  ])('%s', (_name, text, piece, there) => expect(render(text).includes(piece)).toBe(there));
});
