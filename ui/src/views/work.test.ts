import { describe, expect, test } from 'vitest';
import type {
  ChangedFile,
  GateSpec,
  ImportFormat,
  MergePreview,
  PatchView,
  RadarConflict,
  ScanReport,
  TopicView,
  WorktreeView,
} from '../state/types';
import { formatOf } from './import/format';
import { asText } from './places/scan';
import { cleanUp, room, verdict } from './places/words';
import { asked } from './review/keys';
import { filesOf, marksOf, mergeWords } from './review/words';
import { lineOf, readLine, readLines } from './settings/gatelines';
import { placesOf } from './settings/places';
import { leading, standing, tally } from './topics/words';

describe('a gate', () => {
  test.each<[string, string]>([
    ['command: cargo test', 'command: cargo test'],
    ["command:sh -c 'a: b'", "command: sh -c 'a: b'"],
    ['command: f() { :; }; f', 'command: f() { :; }; f'],
    ['command(timeout=5): make', 'command(timeout=5): make'],
    [
      'command( proof="{n} (of \\"all\\") passed" , timeout=5): make',
      'command(timeout=5, proof="{n} (of \\"all\\") passed"): make',
    ],
    ['file: out/a.txt', 'file: out/a.txt'],
    ['diff: not empty', 'diff: not empty'],
    ['paths: src/**  tests/*.rs', 'paths: src/** tests/*.rs'],
    ['max-lines: 600', 'max-lines: 600'],
    ['no-duplicates: 10', 'no-duplicates: 10'],
    ['no-secrets: diff', 'no-secrets: diff'],
    ['ci: build', 'ci: build'],
    ['reviewer: any', 'reviewer: any'],
    ['reviewer: Ann', 'reviewer: Ann'],
    ['human: does it read well?', 'human: does it read well?'],
  ])('is read from the line %s', (line, label) => {
    const read = readLine(line);
    expect('gate' in read ? lineOf(read.gate) : read.problem).toBe(label);
  });

  test.each([
    ['cargo test', 'does not begin with its kind'],
    ['url: x', '“url” is not a kind of gate'],
    ['command:   ', 'names nothing'],
    ['command(proof="passed"): make', '{n}'],
    ['command(timeout=0): make', 'seconds'],
    ['command(nice=1): make', 'options'],
    ['command(timeout=5: make', 'does not begin with its kind'],
    ['file(timeout=5): x', 'no options'],
    ['file: ../secret', 'leads out'],
    ['file: /etc/passwd', 'leads out'],
    ['file: .', 'directory'],
    ['file: out/', 'directory'],
    ['paths: ../x', 'leads out'],
    ['max-lines: many', 'from 1 on'],
    ['no-duplicates: 2', 'from 3 on'],
  ])('%s is told to be wrong', (line, why) => {
    const read = readLine(line);
    expect('problem' in read ? read.problem : 'read').toContain(why);
  });

  test('the first wrong line is named by its number, blank ones counted', () => {
    expect(readLines('no-secrets: diff\n\nnonsense\nmore').problem).toMatch(/^Line 3: /);
    expect(readLines('\n \n')).toEqual({ gates: [], problem: null });
    const spec: GateSpec = { kind: 'reviewer', agent: null };
    expect(readLines('reviewer: any').gates).toEqual([spec]);
  });
});

test('the places of a template are listed once each, literal braces and faulty ones are not', () => {
  expect(placesOf('{{a}} {{b|main}} {{a|x}} {{{{c}} {{ d }} {{1}} {{e|}}')).toEqual([
    { name: 'a', default: 'x' },
    { name: 'b', default: 'main' },
    { name: 'd', default: null },
    { name: 'e', default: '' },
  ]);
});

test.each<[string, string, ImportFormat | null]>([
  ['plan.md', '[1]', 'markdown'],
  ['plan.JSON', '', 'json'],
  ['missions.csv', '', 'csv'],
  ['', '', null],
  ['', ' [{"title":"x"}]', 'json'],
  ['', '\ufeff{"missions":[]}', 'json'],
  ['', '[ ] a box', 'markdown'],
  ['', '[a link](x)', 'markdown'],
  ['', 'id,title,brief\n1,a,b', 'csv'],
  ['', '"Title","Brief"', 'csv'],
  ['', '# title, and more', 'markdown'],
  ['', '- [ ] title, more', 'markdown'],
  ['', 'Some words.', 'markdown'],
])('a document named "%s" that says %j is %s', (name, text, format) =>
  expect(formatOf(name, text)).toBe(format),
);

const topic = (votes: string[], decision: TopicView['topic']['decision'] = null): TopicView => ({
  topic: {
    id: 't',
    title: 'Which?',
    text: '',
    options: ['left', 'right'],
    opened_at: '2026-01-01T00:00:00Z',
    decision,
  },
  votes: votes.map((option, i) => ({
    agent_id: `a${i}`,
    option,
    rationale: 'so',
    at: '2026-01-01T00:00:00Z',
  })),
});

test.each<[string[], string[], string]>([
  [[], [], 'no votes yet'],
  [['left'], ['left'], '1 vote, left is ahead'],
  [['left', 'right'], ['left', 'right'], '2 votes, tied between left and right'],
])('with the votes %j %j is ahead', (votes, ahead, text) => {
  const view = topic(votes);
  expect(leading(view)).toEqual(ahead);
  expect(standing(view)).toBe(text);
  expect(tally(view).map((one) => one.option)).toEqual(['left', 'right']);
});

test('a decision is told, whatever the votes', () => {
  const at = '2026-01-01T00:00:00Z';
  expect(standing(topic(['left'], { option: 'right', because: 'so', at }))).toBe('decided: right');
  expect(standing(topic(['left'], { option: null, because: 'so', at }))).toBe('closed without a decision');
});

const tree = (more: Partial<WorktreeView>): WorktreeView => ({
  mission_id: 'm',
  short_id: 'M-1',
  title: 'x',
  attempt: 1,
  attempt_id: 'a',
  path: '/w',
  repository: '/r',
  branch: 'b',
  bytes: 1024,
  age_s: 1,
  live: false,
  kept_because: [],
  ...more,
});

test('a worktree can go only where nothing keeps it and it could be looked at', () => {
  expect(verdict(tree({}))).toEqual({ text: 'can go', free: true });
  expect(verdict(tree({ kept_because: ['2 files are not committed', 'in use'] }))).toEqual({
    text: '2 files are not committed; in use',
    free: false,
  });
  expect(verdict(tree({ problem: 'cannot be read' })).free).toBe(false);
  expect(room([tree({}), tree({ bytes: null })])).toBe(1024);
  expect(cleanUp([tree({}), tree({})])).toBe('2 worktrees with 2.00 KiB');
  expect(cleanUp([])).toBe('Nothing is chosen.');
});

test('a scan is told as lines of file:line', () => {
  const report: ScanReport = {
    files: 2,
    lines: 900,
    binary_files: 0,
    oversize: [{ path: 'big.rs', lines: 700 }],
    duplicates: [
      {
        lines: 12,
        places_total: 2,
        places: [
          { path: 'a.rs', line: 3 },
          { path: 'b.rs', line: 9 },
        ],
      },
    ],
    skipped: [],
  };
  expect(asText(report)).toBe(
    '2 files, 900 lines\n\nToo long\nbig.rs:700 700 lines\n\n12 equal lines in 2 places\na.rs:3\nb.rs:9\n',
  );
});

const preview = (more: Partial<MergePreview>): MergePreview => ({
  target_branch: 'main',
  target_commit: 'c',
  target_moved: false,
  commits_behind: 0,
  commits_ahead: 1,
  already_merged: false,
  conflicts: [],
  can_fast_forward: false,
  checkout_dirty_files: [],
  ...more,
});

test.each<[Partial<MergePreview>, boolean, string]>([
  [{ can_fast_forward: true }, true, 'has not moved'],
  [{ target_moved: true, commits_behind: 2 }, true, 'moved by 2 commits'],
  [{ conflicts: ['a', 'b'] }, false, 'Conflicts with main in 2 files: a, b'],
  [{ conflicts: ['a', 'b', 'c', 'd', 'e', 'f'] }, false, 'and 1 more'],
  [{ checkout_dirty_files: ['x.rs'] }, false, '1 uncommitted file of your checkout: x.rs'],
  [{ already_merged: true, conflicts: [] }, true, 'already'],
])('merging with %j can be done: %s', (more, can, text) => {
  const words = mergeWords({ target: 'main', how: 'merge', preview: preview(more) });
  expect(words.can).toBe(can);
  expect(words.text).toContain(text);
});

test('without a branch, or one that cannot be looked at, nothing is merged', () => {
  expect(mergeWords(null).can).toBe(false);
  expect(mergeWords({ target: 'gone', how: 'merge', problem: 'no such branch' }).text).toContain(
    'no such branch',
  );
});

const changedFile: ChangedFile = { path: 'a.rs', exact: true, status: 'modified', binary: false };
const conflict = (more: Partial<RadarConflict>): RadarConflict => ({
  repository: '/r',
  path: 'a.rs',
  between: [
    { mission_id: '1', short_id: 'M-1', title: 'Mine', n: 1 },
    { mission_id: '2', short_id: 'M-2', title: 'Theirs', n: 1 },
  ],
  overlapping: true,
  by_file_only: false,
  lines: [
    { short_id: 'M-1', n: 1, ranges: [{ start: 1, end: 2 }] },
    {
      short_id: 'M-2',
      n: 1,
      ranges: [
        { start: 5, end: 7 },
        { start: 9, end: 8 },
      ],
    },
  ],
  ...more,
});

test('the lines of the other mission are marked with its name, on the side before the change', () => {
  expect(marksOf([conflict({})], changedFile, 'M-1')).toEqual([
    { path: 'a.rs', side: 'old', from: 5, to: 7, label: 'M-2 Theirs changes these lines too', tone: 'warn' },
    { path: 'a.rs', side: 'old', from: 8, to: 9, label: 'M-2 Theirs adds lines here', tone: 'warn' },
  ]);
  expect(marksOf([conflict({ by_file_only: true })], changedFile, 'M-1')).toEqual([]);
  expect(marksOf([conflict({ path: 'b.rs' })], changedFile, 'M-1')).toEqual([]);
});

test('a patch that was cut off says so at its last file, and one without text still names its file', () => {
  const patch: PatchView = {
    attempt_id: 'a',
    base: 'b',
    commit: 'c',
    text: '--- a/a.rs\n+++ b/a.rs\n@@ -1 +1 @@\n-x\n+y\n',
    truncated: true,
    binary: false,
  };
  expect(filesOf(patch, changedFile).at(-1)?.truncated).toBe(true);
  expect(filesOf({ ...patch, text: '', binary: true, truncated: false }, changedFile)).toMatchObject([
    { newPath: 'a.rs', binary: true, hunks: [] },
  ]);
});

describe('a key in a review', () => {
  const press = (key: string, on: HTMLElement = document.body, more: KeyboardEventInit = {}) => {
    let found: ReturnType<typeof asked> = null;
    const listen = (event: KeyboardEvent) => {
      found = asked(event);
    };
    window.addEventListener('keydown', listen);
    on.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...more }));
    window.removeEventListener('keydown', listen);
    return found;
  };

  test('asks for something unless it is typed or held with another', () => {
    const field = document.body.appendChild(document.createElement('textarea'));
    const box = document.body.appendChild(document.createElement('input'));
    box.type = 'checkbox';
    expect(press('n')).toBe('next_file');
    expect(press('A')).toBe('accept');
    expect(press('a')).toBeNull();
    expect(press('n', field)).toBeNull();
    expect(press('v', box)).toBe('viewed');
    expect(press('c', document.body, { ctrlKey: true })).toBeNull();
    const dialog = document.body.appendChild(document.createElement('div'));
    dialog.setAttribute('role', 'dialog');
    expect(press('A')).toBeNull();
    document.body.replaceChildren();
  });
});
