/**
 * Reads the patch text that git writes into files, hunks and numbered lines. Never throws: what cannot be read
 * as a part of a patch is skipped, and a file of which something is missing says so with `truncated`.
 */

/** Unchanged, added or removed, as a patch marks it. */
export type LineKind = ' ' | '+' | '-';

/** Which version of a file: before or after the change. */
export type Side = 'old' | 'new';

export interface DiffLine {
  kind: LineKind;
  /** Its number before the change, from 1; nothing for an added line. */
  oldNo: number | null;
  /** Its number after the change, from 1; nothing for a removed line. */
  newNo: number | null;
  /** Without the mark and the line end; a carriage return is kept. */
  text: string;
  /** It ends the file without a line end. */
  noEol: boolean;
}

export interface Hunk {
  /** What git writes behind the second `@@`, mostly the function around; often empty. */
  header: string;
  oldStart: number;
  newStart: number;
  lines: DiffLine[];
}

export type DiffStatus = 'added' | 'deleted' | 'modified' | 'renamed' | 'copied';

export interface DiffFile {
  /** Nothing for an added file. */
  oldPath: string | null;
  /** Nothing for a deleted file. */
  newPath: string | null;
  status: DiffStatus;
  /** The new permission bits, where they changed: `100755`. */
  mode: string | null;
  /** Its contents are not text, so there are no hunks. */
  binary: boolean;
  /** The patch ends before this file does, or writes it in a way that is not read here. */
  truncated: boolean;
  hunks: Hunk[];
}

/** The path a file is known by: the one after the change where there is one. */
export const pathOf = (file: DiffFile): string => file.newPath ?? file.oldPath ?? '(no name)';

const HUNK = /^@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@ ?(.*)$/s;

/** Files, hunks and lines of a patch, in its order. */
export function parsePatch(patch: string): DiffFile[] {
  const lines = patch.split('\n');
  // The last line's end is no line of its own.
  if (lines.at(-1) === '') lines.pop();
  const files: DiffFile[] = [];
  let file: DiffFile | null = null;
  let at = 0;
  while (at < lines.length) {
    const line = lines[at] ?? '';
    const bare = line.startsWith('--- ') && (lines[at + 1] ?? '').startsWith('+++ ');
    if (/^diff --(?:git|cc|combined) /.test(line) || (bare && (file === null || file.hunks.length > 0))) {
      file = opened(line);
      files.push(file);
      if (bare) continue;
    } else if (file !== null) {
      const hunk = HUNK.exec(line);
      if (hunk) {
        at = readHunk(file, hunk, lines, at + 1);
        continue;
      }
      readHead(file, line);
    }
    at += 1;
  }
  return files;
}

function opened(line: string): DiffFile {
  const [oldPath, newPath] = namesOf(line);
  const combined = /^diff --(?:cc|combined) /.test(line);
  return {
    oldPath,
    newPath,
    status: 'modified',
    mode: null,
    binary: false,
    truncated: combined,
    hunks: [],
  };
}

/** Both paths of `diff --git a/old b/new`. They are separated by a space and may hold some. */
function namesOf(line: string): [string | null, string | null] {
  const said = /^diff --git (.*)$/s.exec(line)?.[1];
  if (said === undefined) {
    const one = /^diff --(?:cc|combined) (.*)$/s.exec(line)?.[1];
    return one === undefined ? [null, null] : [unquoted(one), unquoted(one)];
  }
  if (said.endsWith('"') || said.startsWith('"')) {
    const both = /^("(?:[^"\\]|\\.)*"|.*?) ("(?:[^"\\]|\\.)*"|.*)$/s.exec(said);
    return both ? [plainPath(both[1] ?? ''), plainPath(both[2] ?? '')] : [plainPath(said), plainPath(said)];
  }
  // A file that keeps its name has it on both sides of the middle; renames are named by lines of their own.
  const middle = (said.length - 1) / 2;
  const [a, b] = [plainPath(said.slice(0, middle)), plainPath(said.slice(middle + 1))];
  if (a === b && said[middle] === ' ') return [a, b];
  const apart = said.indexOf(' b/');
  if (apart < 0) return [plainPath(said), plainPath(said)];
  return [plainPath(said.slice(0, apart)), plainPath(said.slice(apart + 1))];
}

/** One line between a file's first and its first hunk. */
function readHead(file: DiffFile, line: string): void {
  const [, word, rest] =
    /^(new file mode|deleted file mode|new mode|rename from|rename to|copy from|copy to|---|\+\+\+) (.*)$/s.exec(
      line,
    ) ?? [];
  const value = rest ?? '';
  if (word === undefined) {
    if (/^(?:Binary files .* differ|GIT binary patch)$/.test(line)) file.binary = true;
    else if (line.startsWith('@@@')) file.truncated = true;
  } else if (file.hunks.length > 0) return;
  else if (word === 'new file mode')
    Object.assign(file, { status: 'added', oldPath: null, mode: executable(value) });
  else if (word === 'deleted file mode') Object.assign(file, { status: 'deleted', newPath: null });
  else if (word === 'new mode') file.mode = value;
  else if (word === 'rename from') Object.assign(file, { status: 'renamed', oldPath: unquoted(value) });
  else if (word === 'copy from') Object.assign(file, { status: 'copied', oldPath: unquoted(value) });
  else if (word === 'rename to' || word === 'copy to') file.newPath = unquoted(value);
  else if (word === '---') file.oldPath = named(value);
  else if (word === '+++') {
    file.newPath = named(value);
    if (file.oldPath === null && file.newPath !== null) file.status = 'added';
    else if (file.newPath === null) file.status = 'deleted';
  }
}

/** A new file's mode is worth a word only where it is not the ordinary one. */
const executable = (mode: string): string | null => (mode === '100644' ? null : mode);

/** A path of `---` or `+++`: nothing for `/dev/null`; git ends one that holds spaces with a tab. */
function named(said: string): string | null {
  const path = said.replace(/\t.*$/s, '').replace(/\r$/, '');
  return path === '/dev/null' ? null : plainPath(path);
}

/** A path without its quotes and the prefix that git puts before it. */
const plainPath = (said: string): string => unquoted(said).replace(/^[a-z]\//, '');

const ESCAPES: Record<string, number> = { a: 7, b: 8, t: 9, n: 10, v: 11, f: 12, r: 13, '"': 34, '\\': 92 };

/** A path in git's quotes, whose escapes are bytes of UTF-8; any other text as it is. */
function unquoted(said: string): string {
  if (said.length < 2 || !said.startsWith('"') || !said.endsWith('"')) return said;
  const bytes: number[] = [];
  for (const [piece, code] of said.slice(1, -1).matchAll(/\\([0-7]{3}|.)|[^\\]+|\\/gs)) {
    if (code === undefined) bytes.push(...new TextEncoder().encode(piece));
    else if (code.length === 3) bytes.push(Number.parseInt(code, 8) & 255);
    else bytes.push(ESCAPES[code] ?? code.charCodeAt(0) & 255);
  }
  return new TextDecoder().decode(new Uint8Array(bytes));
}

/**
 * Reads the lines of one hunk and answers where it ends. The counts of its head decide what is a line of it:
 * a removed line may read `--- a/x`, as the head of another file does.
 */
function readHunk(file: DiffFile, head: RegExpExecArray, lines: readonly string[], from: number): number {
  const hunk: Hunk = {
    header: head[5] ?? '',
    oldStart: Number(head[1]),
    newStart: Number(head[3]),
    lines: [],
  };
  let oldLeft = Number(head[2] ?? 1);
  let newLeft = Number(head[4] ?? 1);
  let [oldNo, newNo] = [hunk.oldStart, hunk.newStart];
  let at = from;
  for (; at < lines.length; at += 1) {
    const line = lines[at] ?? '';
    const last = hunk.lines.at(-1);
    if (line.startsWith('\\')) {
      if (last) last.noEol = true;
      continue;
    }
    if (oldLeft <= 0 && newLeft <= 0) break;
    // Some tools strip the space of an empty unchanged line.
    const kind = line === '' ? ' ' : line[0];
    const text = line.slice(1);
    if (kind === ' ' && oldLeft > 0 && newLeft > 0) {
      hunk.lines.push({ kind, oldNo: oldNo++, newNo: newNo++, text, noEol: false });
      oldLeft -= 1;
      newLeft -= 1;
    } else if (kind === '-' && oldLeft > 0) {
      hunk.lines.push({ kind, oldNo: oldNo++, newNo: null, text, noEol: false });
      oldLeft -= 1;
    } else if (kind === '+' && newLeft > 0) {
      hunk.lines.push({ kind, oldNo: null, newNo: newNo++, text, noEol: false });
      newLeft -= 1;
    } else break;
  }
  if (oldLeft > 0 || newLeft > 0) file.truncated = true;
  file.hunks.push(hunk);
  return at;
}

/** What stands beside each other: a line on one side, or on both. */
export interface Pair {
  left: DiffLine | null;
  right: DiffLine | null;
}

/** Lines side by side: those removed beside those added after them, in order. */
export function paired(lines: readonly DiffLine[]): Pair[] {
  const pairs: Pair[] = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    if (line?.kind === ' ') {
      pairs.push({ left: line, right: line });
      at += 1;
      continue;
    }
    const removed = run(lines, at, '-');
    const added = run(lines, at + removed.length, '+');
    for (let i = 0; i < Math.max(removed.length, added.length); i += 1) {
      pairs.push({ left: removed[i] ?? null, right: added[i] ?? null });
    }
    at += removed.length + added.length;
  }
  return pairs;
}

function run(lines: readonly DiffLine[], from: number, kind: LineKind): DiffLine[] {
  let to = from;
  while (lines[to]?.kind === kind) to += 1;
  return lines.slice(from, to);
}

/** How many lines a file gained and lost. */
export function changed(file: DiffFile): { added: number; removed: number } {
  let [added, removed] = [0, 0];
  for (const hunk of file.hunks) {
    for (const { kind } of hunk.lines) {
      if (kind === '+') added += 1;
      else if (kind === '-') removed += 1;
    }
  }
  return { added, removed };
}
