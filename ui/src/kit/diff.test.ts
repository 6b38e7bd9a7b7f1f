import { createTwoFilesPatch } from 'diff';
import { beforeAll, describe, expect, test } from 'vitest';
import { changed, type DiffFile, type DiffLine, paired, parsePatch, pathOf } from './diff';
import {
  Colours,
  type LineComment,
  type LineMark,
  type Mode,
  nextOf,
  placeOf,
  type Row,
  rowOf,
  rowsOf,
} from './diffrows';
import { columnsOf, LINE_CHARS_MAX, runsOf } from './runs';
import { languageOf, load, wordsOf } from './syntax';
import { rowAt, tallWindow, topsOf } from './tall';
import { ROWS_MAX } from './windowed';
import { changesBetween } from './words';

/** Numbers that look random and are the same in every run. */
function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const one = (patch: string): DiffFile => {
  const [file, ...others] = parsePatch(patch);
  if (file === undefined || others.length > 0) throw new Error(`${others.length + 1} files`);
  return file;
};
const side = (file: DiffFile, no: 'oldNo' | 'newNo'): DiffLine[] =>
  file.hunks.flatMap(({ lines }) => lines.filter((line) => line[no] !== null));

const PATCH = `diff --git a/src/a.rs b/src/a.rs
index 1111111..2222222 100644
--- a/src/a.rs
+++ b/src/a.rs
@@ -10,4 +10,5 @@ fn main() {
 let a = 1;
-let b = 2;
+let b = 3;
+let c = 4;
 done();
 }
`;

describe('a patch', () => {
  test('has numbered lines', () => {
    const file = one(PATCH);
    expect([file.oldPath, file.newPath, file.status, file.truncated]).toEqual([
      'src/a.rs',
      'src/a.rs',
      'modified',
      false,
    ]);
    expect(file.hunks[0]?.header).toBe('fn main() {');
    expect(file.hunks[0]?.lines.map((line) => [line.kind, line.oldNo, line.newNo, line.text])).toEqual([
      [' ', 10, 10, 'let a = 1;'],
      ['-', 11, null, 'let b = 2;'],
      ['+', null, 11, 'let b = 3;'],
      ['+', null, 12, 'let c = 4;'],
      [' ', 12, 13, 'done();'],
      [' ', 13, 14, '}'],
    ]);
    expect(changed(file)).toEqual({ added: 2, removed: 1 });
  });

  const head = (name: string, ...lines: string[]) => `diff --git ${name}\n${lines.join('\n')}\n`;
  test.each<[string, string, Partial<DiffFile>]>([
    [
      'an added file',
      head('a/n b/n', 'new file mode 100644', '--- /dev/null', '+++ b/n', '@@ -0,0 +1 @@', '+x'),
      { oldPath: null, newPath: 'n', status: 'added', mode: null, truncated: false },
    ],
    [
      'an added empty file that can be run',
      head('a/n b/n', 'new file mode 100755', 'index 0..e69de29'),
      { oldPath: null, newPath: 'n', status: 'added', mode: '100755', hunks: [] },
    ],
    [
      'a deleted file',
      head('a/n b/n', 'deleted file mode 100644', '--- a/n', '+++ /dev/null', '@@ -1 +0,0 @@', '-x'),
      { oldPath: 'n', newPath: null, status: 'deleted' },
    ],
    [
      'a renamed file',
      head('a/old name b/new name', 'similarity index 100%', 'rename from old name', 'rename to new name'),
      { oldPath: 'old name', newPath: 'new name', status: 'renamed', hunks: [] },
    ],
    [
      'a copied file',
      head('a/x b/y', 'copy from x', 'copy to y'),
      { oldPath: 'x', newPath: 'y', status: 'copied' },
    ],
    [
      'a change of permissions',
      head('a/b b/c b/b b/c', 'old mode 100644', 'new mode 100755'),
      { oldPath: 'b b/c', newPath: 'b b/c', mode: '100755' },
    ],
    [
      'a picture',
      head('a/p.png b/p.png', 'index 1..2 100644', 'Binary files a/p.png and b/p.png differ'),
      { newPath: 'p.png', binary: true, hunks: [] },
    ],
    [
      'a picture as bytes',
      head('a/p.png b/p.png', 'GIT binary patch', 'literal 3', 'KcmZQzWMT', ''),
      { newPath: 'p.png', binary: true, hunks: [] },
    ],
    [
      'a name in quotes',
      head('"a/f\\303\\266\\t\\".txt" "b/f\\303\\266\\t\\".txt"', 'new file mode 100644'),
      { newPath: 'fö\t".txt' },
    ],
    [
      'a name with spaces',
      head('a/a b b/a b', '--- a/a b\t', '+++ b/a b\t', '@@ -1 +1 @@', '-x', '+y'),
      { oldPath: 'a b', newPath: 'a b' },
    ],
    ['a patch that was cut', `${PATCH.split('\n').slice(0, 7).join('\n')}\n`, { truncated: true }],
    [
      'a merge',
      'diff --cc x\nindex 1,2..3\n@@@ -1,1 -1,1 +1,2 @@@\n++y\n',
      { newPath: 'x', truncated: true },
    ],
    [
      'no git at all',
      '--- a.txt\t2026-01-01\n+++ b.txt\n@@ -1 +1 @@\n-x\n+y\n',
      { oldPath: 'a.txt', newPath: 'b.txt' },
    ],
  ])('%s', (_name, patch, expected) => expect(one(patch)).toMatchObject(expected));

  test('lines that look like heads are lines while the hunk lasts', () => {
    const file = one(
      'diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n--- a/y\n-@@ -1 +1 @@\n+++ b/y\n+z\n',
    );
    expect(file.hunks[0]?.lines.map(({ kind, text }) => kind + text)).toEqual([
      '--- a/y',
      '-@@ -1 +1 @@',
      '+++ b/y',
      '+z',
    ]);
  });

  test('a missing line end belongs to the line before', () => {
    const file = one('--- a/x\n+++ b/x\n@@ -1 +1 @@\n-x\n\\ No newline at end of file\n+y\n');
    expect(file.hunks[0]?.lines.map(({ noEol }) => noEol)).toEqual([true, false]);
  });

  test('loses nothing of generated files', () => {
    const next = seeded(7);
    const words = [
      '',
      ' ',
      '-- a/x',
      '++ b/x',
      '@@ -1 +1 @@',
      'diff --git a/x b/x',
      '\\ x',
      'a\r',
      'tab\t',
      'ö',
      'x',
    ];
    const file = () => Array.from({ length: next(30) }, () => words[next(words.length)] ?? '');
    const text = (lines: string[]) => lines.map((line) => `${line}\n`).join('');
    for (let round = 0; round < 300; round += 1) {
      const [before, after] = [file(), file()];
      const patch = createTwoFilesPatch('a/f', 'b/f', text(before), text(after), '', '', { context: 100 });
      const read = parsePatch(patch)[0];
      if (read === undefined || read.hunks.length === 0) {
        expect(before).toEqual(after);
        continue;
      }
      expect(side(read, 'oldNo').map((line) => line.text)).toEqual(before);
      expect(side(read, 'newNo').map((line) => line.text)).toEqual(after);
      expect(side(read, 'newNo').map((line) => line.newNo)).toEqual(after.map((_, i) => i + 1));
      expect(read.truncated).toBe(false);
      expect(paired(read.hunks[0]?.lines ?? []).flatMap(({ left }) => (left ? [left.text] : []))).toEqual(
        before,
      );
      expect(paired(read.hunks[0]?.lines ?? []).flatMap(({ right }) => (right ? [right.text] : []))).toEqual(
        after,
      );
    }
  });

  test('never throws, whatever it reads', () => {
    const next = seeded(11);
    const pieces = PATCH.split(/(?<=\n| )/).concat([
      '"',
      '\\303',
      '@@ -9999999999,1 +1 @@\n',
      '/dev/null',
      '\0',
      'diff --git ',
      '\n',
      '"a/\\',
    ]);
    for (let round = 0; round < 3_000; round += 1) {
      const garbage = Array.from({ length: next(40) }, () => pieces[next(pieces.length)]).join('');
      for (const file of parsePatch(garbage)) {
        expect(typeof pathOf(file)).toBe('string');
        for (const { lines } of file.hunks)
          expect(lines.every(({ kind }) => ' +-'.includes(kind))).toBe(true);
      }
    }
  });

  test('fifty thousand lines are read at once', () => {
    const lines = Array.from({ length: 50_000 }, (_, i) => `+line ${i}`).join('\n');
    const file = one(`diff --git a/x b/x\n--- /dev/null\n+++ b/x\n@@ -0,0 +1,50000 @@\n${lines}\n`);
    expect(side(file, 'newNo').at(-1)).toMatchObject({ newNo: 50_000, text: 'line 49999' });
  });
});

describe('words that changed', () => {
  const marked = (text: string, ranges: { from: number; to: number }[] = []) =>
    ranges.map(({ from, to }) => text.slice(from, to));
  test.each<[string, string, string[] | null, string[] | null]>([
    ['let b = 2;', 'let b = 3;', ['2'], ['3']],
    ['f(a)', 'f(a, b)', [], [', b']],
    ['same', 'same', null, null],
    ['entirely other', '12345', null, null],
    ['', 'x', null, null],
  ])('%j and %j', (old, now, oldPart, newPart) => {
    const changes = changesBetween(old, now);
    expect(changes && marked(old, changes.old)).toEqual(oldPart);
    expect(changes && marked(now, changes.new)).toEqual(newPart);
  });

  test('long lines are left alone', () =>
    expect(changesBetween('a '.repeat(900), 'b '.repeat(900))).toBeNull());
});

describe('the runs of a line', () => {
  const plain = { syntax: null, changed: false, hidden: false };
  test.each([
    ['an empty line', '', []],
    ['plain text', 'abc', [{ ...plain, text: 'abc' }]],
    [
      'a hidden character',
      'a\u202eb',
      [
        { ...plain, text: 'a' },
        { ...plain, text: '‹U+202E›', hidden: true },
        { ...plain, text: 'b' },
      ],
    ],
    [
      'a carriage return',
      'a\r',
      [
        { ...plain, text: 'a' },
        { ...plain, text: '‹CR›', hidden: true },
      ],
    ],
    [
      'an escape',
      '\u001b[31m',
      [
        { ...plain, text: '‹U+001B›', hidden: true },
        { ...plain, text: '[31m' },
      ],
    ],
    ['a tab', 'a\tb', [{ ...plain, text: 'a\tb' }]],
  ])('%s', (_name, text, runs) => expect(runsOf(text, [], [])).toEqual(runs));

  test('words and changes cross', () =>
    expect(runsOf('let x = 1', [{ from: 0, to: 3, syntax: 'keyword' }], [{ from: 2, to: 5 }])).toEqual([
      { text: 'le', syntax: 'keyword', changed: false, hidden: false },
      { text: 't', syntax: 'keyword', changed: true, hidden: false },
      { text: ' x', syntax: null, changed: true, hidden: false },
      { text: ' = 1', syntax: null, changed: false, hidden: false },
    ]));

  test('put together are the line', () => {
    const next = seeded(3);
    for (let round = 0; round < 500; round += 1) {
      const text = Array.from({ length: next(30) }, () => 'ab \t👍ö'[next(6)]).join('');
      const ranges = [next(10), next(10) + 10, next(10) + 20].map((from) => ({ from, to: from + next(5) }));
      const runs = runsOf(
        text,
        ranges.map((range) => ({ ...range, syntax: 'name' as const })),
        ranges,
      );
      expect(runs.map((run) => run.text).join('')).toBe(text);
    }
  });

  test('a line without end is cut and says so', () => {
    const runs = runsOf('x'.repeat(LINE_CHARS_MAX + 5), [], []);
    expect(runs.at(-1)?.text).toBe('… 5 characters more');
    expect(columnsOf('x'.repeat(9 * LINE_CHARS_MAX), 4)).toBeLessThan(LINE_CHARS_MAX + 50);
  });

  test.each([
    ['abc', 3],
    ['\ta', 5],
    ['a\tb', 5],
    ['日本', 4],
  ])('%j takes %s columns', (text, columns) => expect(columnsOf(text, 4)).toBe(columns));
});

describe('colours of words', () => {
  beforeAll(async () => {
    expect(await load('rust')).toBe(true);
    expect(await load('javascript')).toBe(true);
  });

  test.each([
    ['src/a.rs', 'rust'],
    ['a/Makefile', 'makefile'],
    ['x.test.TS', 'typescript'],
    ['Cargo.lock', 'ini'],
    ['README', null],
    ['x.constructor', null],
    ['', null],
  ])('%s is %s', (path, language) => expect(languageOf(path)).toBe(language));

  const texts = (lines: string[], language: string) =>
    wordsOf(lines, language).map((words, i) =>
      words.map(({ from, to, syntax }) => [lines[i]?.slice(from, to), syntax]),
    );

  test('a comment goes on over lines', () =>
    expect(texts(['/* a', 'b */ fn x() {}'], 'rust')).toEqual([
      [['/* a', 'comment']],
      [
        ['b */', 'comment'],
        ['fn', 'keyword'],
        ['x', 'name'],
      ],
    ]));

  test('code in a string is no string', () =>
    expect(texts(['`a$' + '{1}`'], 'javascript')[0]).toEqual([
      ['`a', 'string'],
      ['1', 'number'],
      ['`', 'string'],
    ]));

  test('markup is text', () =>
    expect(texts(['"<img src=x>"'], 'rust')).toEqual([[['"<img src=x>"', 'string']]]));

  test('what is not known has no colours', async () => {
    expect(await load('constructor')).toBe(false);
    expect(wordsOf(['fn x'], 'cobol')).toEqual([[]]);
  });

  test('a line far down knows what is open above it', () => {
    const lines = [
      ...Array<string>(150).fill('x'),
      '/*',
      ...Array<string>(80).fill('fn x'),
      '*/',
      'fn y',
    ].map((line) => `+${line}`);
    const [file] = parsePatch(
      `--- /dev/null\n+++ b/a.rs\n@@ -0,0 +1,${lines.length} @@\n${lines.join('\n')}\n`,
    );
    const hunk = file?.hunks[0];
    if (file === undefined || hunk === undefined) throw new Error('no hunk');
    const colours = new Colours([file]);
    const at = (no: number) => hunk.lines[no - 1] as DiffLine;
    expect(colours.wordsOf(0, hunk, at(220))).toEqual([{ from: 0, to: 4, syntax: 'comment' }]);
    expect(colours.wordsOf(0, hunk, at(233))[0]).toEqual({ from: 0, to: 2, syntax: 'keyword' });
  });
});

describe('rows', () => {
  const files = parsePatch(PATCH + PATCH.replaceAll('src/a.rs', 'src/b.rs'));
  const none = { marks: [], comments: [], draftAt: null };
  const kinds = (rows: readonly Row[]) => rows.map((row) => row.kind);
  const build = (mode: Mode, said: Partial<Parameters<typeof rowsOf>[2]> = {}, closed: string[] = []) =>
    rowsOf(files, mode, { ...none, ...said }, new Set(closed));

  test('unified has a row per line, side by side a row per pair', () => {
    expect(kinds(build('unified', {}, ['src/b.rs']))).toEqual([
      'file',
      'hunk',
      'line',
      'line',
      'line',
      'line',
      'line',
      'line',
      'file',
    ]);
    expect(kinds(build('split', {}, ['src/b.rs']))).toEqual([
      'file',
      'hunk',
      'pair',
      'pair',
      'pair',
      'pair',
      'pair',
      'file',
    ]);
  });

  test('keys are different', () => {
    const rows = build('unified');
    expect(new Set(rows.map((row) => row.key)).size).toBe(rows.length);
  });

  test.each<[string, Omit<LineComment, 'path' | 'id' | 'text'>, number]>([
    ['below a removed line', { side: 'old', line: 11 }, 4],
    ['below an added line', { side: 'new', line: 12 }, 6],
    ['below an unchanged line, by its number before', { side: 'old', line: 12 }, 7],
    ['below the name, when its line is not there', { side: 'new', line: 900 }, 1],
  ])('a comment stands %s', (_name, at, index) => {
    for (const mode of ['unified', 'split'] as const) {
      const rows = build(mode, { comments: [{ id: '1', path: 'src/a.rs', text: 'why?', ...at }] });
      expect(rows.filter((row) => row.kind === 'comment')).toHaveLength(1);
      if (mode === 'unified') expect(rows[index]).toMatchObject({ kind: 'comment', stray: at.line === 900 });
    }
  });

  test('a mark is written once above its lines', () => {
    const mark: LineMark = {
      path: 'src/a.rs',
      side: 'new',
      from: 11,
      to: 12,
      label: 'also changed by scout',
      tone: 'warn',
    };
    const rows = build('unified', { marks: [mark] });
    expect(kinds(rows.slice(0, 7))).toEqual(['file', 'hunk', 'line', 'line', 'mark', 'line', 'line']);
    expect(rows.filter((row) => 'marks' in row && row.marks.length > 0)).toHaveLength(2);
  });

  test('a draft stands below its line', () => {
    const at = { path: 'src/b.rs', side: 'new', line: 11 } as const;
    const rows = build('split', { draftAt: at });
    expect(rows[(rowOf(rows, files, at) ?? 0) + 1]).toMatchObject({ kind: 'draft', at });
  });

  test('lines are named by where they stand', () => {
    const lines = files[0]?.hunks[0]?.lines ?? [];
    expect(lines.slice(0, 3).map((line) => placeOf('p', line))).toEqual([
      { path: 'p', side: 'new', line: 10 },
      { path: 'p', side: 'old', line: 11 },
      { path: 'p', side: 'new', line: 11 },
    ]);
  });

  test('the next change is found in both directions', () => {
    const rows = build('unified');
    expect([
      nextOf(rows, 0, 1, 'hunk'),
      nextOf(rows, 1, 1, 'hunk'),
      nextOf(rows, 9, -1, 'hunk'),
      nextOf(rows, 9, 1, 'hunk'),
    ]).toEqual([1, 9, 1, null]);
  });

  test.each([
    ['binary', head('Binary files a/x and b/x differ'), 'Not text: its contents are not shown.'],
    ['empty', head('new file mode 100644'), 'The file is empty.'],
    ['renamed', head('rename from x', 'rename to y'), 'Renamed without a change.'],
    ['with a mode', head('old mode 100644', 'new mode 100755'), 'Its permissions are now 100755.'],
  ])('a file that is %s says so', (_name, patch, text) =>
    expect(rowsOf(parsePatch(patch), 'unified', none, new Set())[1]).toMatchObject({ kind: 'note', text }),
  );
});

function head(...lines: string[]): string {
  return `diff --git a/x b/x\n${lines.join('\n')}\n`;
}

describe('rows of different heights', () => {
  const tops = topsOf(1_000, (i) => (i % 10 === 0 ? 50 : 20));
  test.each([
    [-5, 0],
    [0, 0],
    [49, 0],
    [50, 1],
    [1e9, 999],
  ])('at %s is row %s', (y, row) => expect(rowAt(tops, y)).toBe(row));

  test.each([200, 800, 1_400])('a window of %s pixels is filled, with few rows', (height) => {
    for (let top = 0; top < 20_000; top += 777) {
      const { start, end } = tallWindow(tops, top, height);
      expect(tops[start] ?? 0).toBeLessThanOrEqual(top);
      expect(tops[end] ?? 0).toBeGreaterThanOrEqual(Math.min(top + height, tops.at(-1) ?? 0));
      expect(end - start).toBeLessThanOrEqual(ROWS_MAX);
    }
  });

  test('an empty list has no rows', () =>
    expect(
      tallWindow(
        topsOf(0, () => 1),
        0,
        100,
      ),
    ).toEqual({ start: 0, end: 0 }));
});
