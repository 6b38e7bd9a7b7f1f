import { describe, expect, test } from 'vitest';
import { drawn, LINE_CHARS_MAX, parseLine, plainPen, plainText, visible } from './ansi';

const text = (raw: string) =>
  parseLine(raw, plainPen)
    .runs.map((run) => run.text)
    .join('');

describe('a line of output', () => {
  test.each([
    ['plain text stays', 'hello', 'hello'],
    ['colours are not text', '\u001b[1;31mred\u001b[0m rest', 'red rest'],
    ['cursor movements are dropped', 'a\u001b[2K\u001b[10;4Hb', 'ab'],
    ['titles are dropped', '\u001b]0;evil title\u0007after', 'after'],
    ['links are dropped and their text stays', '\u001b]8;;https://x\u001b\\text\u001b]8;;\u001b\\', 'text'],
    ['device strings are dropped', '\u001bPq#0\u001b\\x', 'x'],
    ['an unfinished sequence is dropped', 'a\u001b]0;never ends', 'a'],
    ['a lone escape is dropped', 'a\u001b', 'a'],
    ['bells and backspaces are dropped', 'a\u0007\u0008b', 'ab'],
    ['tabs stay', 'a\tb', 'a\tb'],
    ['a carriage return begins the line again', '10 %\r50 %\r100 %', '100 %'],
    ['a carriage return at the end is only a line end', 'done\r', 'done'],
    ['the direction of text cannot be turned', 'a\u202eb', 'a‹U+202E›b'],
    ['characters without width are shown', 'a\u200bb\ufeff', 'a‹U+200B›b‹U+FEFF›'],
    ['markup is only text', '<img src=x onerror=alert(1)>', '<img src=x onerror=alert(1)>'],
  ])('%s', (_name, raw, expected) => expect(text(raw)).toBe(expected));

  test('runs carry their pens, and the last pen goes on in the next line', () => {
    const first = parseLine('\u001b[32mok \u001b[1mvery', plainPen);
    expect(first.runs.map(({ text, pen }) => [text, pen.colour, pen.bold])).toEqual([
      ['ok ', 2, false],
      ['very', 2, true],
    ]);
    expect(parseLine('still', first.pen).runs[0]?.pen).toMatchObject({ colour: 2, bold: true });
  });

  test('an overlong line is cut and says by how much', () => {
    const shown = text('x'.repeat(LINE_CHARS_MAX + 7));
    expect(shown).toContain('7 characters more');
    expect(shown.length).toBeLessThan(LINE_CHARS_MAX + 40);
  });

  test('its length counts bytes and its line end', () => expect(parseLine('é', plainPen).bytes).toBe(3));
});

test.each([
  ['31', 1],
  ['97', 7],
  ['38;5;196', 1],
  ['38;5;46', 2],
  ['38;2;0;0;255', 4],
  ['48;5;196', null],
  ['31;39', null],
  ['', null],
])('the sequence %s draws in colour %s', (parameters, colour) => {
  expect(drawn(plainPen, parameters).colour).toBe(colour);
});

test('whole texts lose their sequences line by line', () => {
  expect(plainText('\u001b[32mok\u001b[0m\r\nno\u202e')).toBe('ok\nno‹U+202E›');
});

test('whatever comes, no control character is left', () => {
  for (let code = 0; code < 0x300; code += 1) {
    const left = visible(String.fromCharCode(code));
    expect([...left].every((char) => char === '\t' || (char >= ' ' && char !== '\u007f'))).toBe(true);
  }
});
