/** A diff as the rows of a list: heads, lines alone or side by side, and what is said about them. */
import {
  changed,
  type DiffFile,
  type DiffLine,
  type Hunk,
  type Pair,
  paired,
  pathOf,
  type Side,
} from './diff';
import { columnsOf } from './runs';
import { languageOf, ready, type Word, wordsOf } from './syntax';
import type { Tone } from './tone';

/** A line of a file, before or after the change. */
export interface At {
  path: string;
  side: Side;
  line: number;
}

/** Lines that something is to be said about, both ends included. */
export interface LineMark {
  path: string;
  side: Side;
  from: number;
  to: number;
  label: string;
  tone: Tone;
}

export interface LineComment extends At {
  id: string;
  text: string;
  /** Who wrote it. */
  by?: string;
}

interface Of {
  key: string;
  /** The file's index. */
  file: number;
}
/** A line alone with the one it replaces or is replaced by, or two lines side by side. */
type Spot =
  | { kind: 'line'; line: DiffLine; partner: DiffLine | null }
  | { kind: 'pair'; left: DiffLine | null; right: DiffLine | null };
export type Row =
  | (Of & { kind: 'file'; added: number; removed: number })
  | (Of & { kind: 'note'; text: string })
  | (Of & { kind: 'hunk'; hunk: Hunk })
  | (Of & { kind: 'mark'; mark: LineMark })
  | (Of & Spot & { hunk: Hunk; marks: readonly LineMark[] })
  | (Of & { kind: 'comment'; comment: LineComment; stray: boolean })
  | (Of & { kind: 'draft'; at: At });

export type Mode = 'unified' | 'split';

export interface Said {
  marks: readonly LineMark[];
  comments: readonly LineComment[];
  /** The line that is being written about. */
  draftAt: At | null;
}

/** Where a line stands: a removed one before the change, any other after it. */
export function placeOf(path: string, line: DiffLine): At {
  return line.newNo === null
    ? { path, side: 'old', line: line.oldNo ?? 0 }
    : { path, side: 'new', line: line.newNo };
}

/** All rows, files in `closed` (by path) without theirs. */
export function rowsOf(
  files: readonly DiffFile[],
  mode: Mode,
  said: Said,
  closed: ReadonlySet<string>,
): Row[] {
  const rows: Row[] = [];
  for (const [index, file] of files.entries()) {
    rows.push({ kind: 'file', key: `f${index}`, file: index, ...changed(file) });
    if (!closed.has(pathOf(file))) rowsOfFile(rows, file, index, mode, said);
  }
  return rows;
}

function rowsOfFile(rows: Row[], file: DiffFile, index: number, mode: Mode, said: Said): void {
  const path = pathOf(file);
  for (const text of notesOf(file)) rows.push({ kind: 'note', key: `n${index}.${text}`, file: index, text });
  const lines = new FileSaid(path, index, said);
  const body: Row[] = [];
  for (const [n, hunk] of file.hunks.entries()) {
    body.push({ kind: 'hunk', key: `h${index}.${n}`, file: index, hunk });
    lines.leave();
    const spots = bodies(hunk, mode);
    for (let i = 0; i < spots.length; i += 1) {
      const spot = spots[i] as Spot;
      const shown = lines.silent ? NO_LINES : linesOf(spot);
      const marks = lines.enter(body, shown);
      const key = `l${index}.${n}.${i}`;
      // Written out: copying one object into another takes ten times as long, and there may be 50,000.
      body.push(
        spot.kind === 'line'
          ? { kind: 'line', line: spot.line, partner: spot.partner, key, file: index, hunk, marks }
          : { kind: 'pair', left: spot.left, right: spot.right, key, file: index, hunk, marks },
      );
      lines.after(body, shown);
    }
  }
  for (const row of lines.stray()) rows.push(row);
  for (const row of body) rows.push(row);
}

/** What there is to know about a file that its lines do not tell. */
export function notesOf(file: DiffFile): string[] {
  const notes: string[] = [];
  if (file.status === 'renamed' && file.hunks.length === 0) notes.push('Renamed without a change.');
  else if (file.binary) notes.push('Not text: its contents are not shown.');
  else if (file.hunks.length === 0 && !file.truncated && file.mode === null) {
    notes.push(file.status === 'modified' ? 'No line changed.' : 'The file is empty.');
  }
  if (file.mode !== null) notes.push(`Its permissions are now ${file.mode}.`);
  if (file.truncated) notes.push('Not all of this file’s change is here.');
  return notes;
}

/** Hunks do not change, but what is said about them does: their rows are worked out once. */
const known = { unified: new WeakMap<Hunk, Spot[]>(), split: new WeakMap<Hunk, Spot[]>() };

function bodies(hunk: Hunk, mode: Mode): Spot[] {
  const before = known[mode].get(hunk);
  if (before) return before;
  const pairs = paired(hunk.lines);
  const spots: Spot[] =
    mode === 'split' ? pairs.map((pair) => ({ kind: 'pair', ...pair })) : alone(hunk, pairs);
  known[mode].set(hunk, spots);
  return spots;
}

function alone(hunk: Hunk, pairs: readonly Pair[]): Spot[] {
  const partners = new Map<DiffLine, DiffLine>();
  for (const { left, right } of pairs) {
    if (left === null || right === null || left === right) continue;
    partners.set(left, right);
    partners.set(right, left);
  }
  return hunk.lines.map((line) => ({ kind: 'line', line, partner: partners.get(line) ?? null }));
}

const NO_LINES: readonly DiffLine[] = [];

function linesOf(spot: Spot): DiffLine[] {
  if (spot.kind === 'line') return [spot.line];
  const { left, right } = spot;
  if (left === null) return right === null ? [] : [right];
  return right === null || right === left ? [left] : [left, right];
}

const NO_MARKS: readonly LineMark[] = [];

/** What is said about one file, given out as its lines come by. */
class FileSaid {
  private readonly marks: readonly LineMark[];
  private readonly comments = new Map<string, LineComment[]>();
  private draft: At | null;
  /** Nothing is said about this file. */
  readonly silent: boolean;
  private open: readonly LineMark[] = NO_MARKS;

  constructor(
    path: string,
    private readonly file: number,
    said: Said,
  ) {
    this.marks = said.marks.filter((mark) => mark.path === path);
    this.draft = said.draftAt?.path === path ? said.draftAt : null;
    for (const comment of said.comments) {
      if (comment.path !== path) continue;
      const key = `${comment.side}${comment.line}`;
      this.comments.set(key, [...(this.comments.get(key) ?? []), comment]);
    }
    this.silent = this.marks.length === 0 && this.comments.size === 0 && this.draft === null;
  }

  /** Lines follow that do not touch those before. */
  leave(): void {
    this.open = NO_MARKS;
  }

  /** The marks of the next lines; one that begins with them is written above. */
  enter(rows: Row[], lines: readonly DiffLine[]): readonly LineMark[] {
    if (this.marks.length === 0) return NO_MARKS;
    const here = this.marks.filter((mark) => lines.some((line) => covers(mark, line)));
    for (const mark of here) {
      if (this.open.includes(mark)) continue;
      rows.push({ kind: 'mark', key: `m${rows.length}.${this.file}`, file: this.file, mark });
    }
    this.open = here;
    return here;
  }

  /** Comments and the draft go below their lines. */
  after(rows: Row[], lines: readonly DiffLine[]): void {
    if (this.comments.size === 0 && this.draft === null) return;
    for (const line of lines) {
      for (const [side, no] of [['old', line.oldNo] as const, ['new', line.newNo] as const]) {
        const key = `${side}${no}`;
        for (const comment of this.comments.get(key) ?? []) rows.push(this.row(comment, false));
        this.comments.delete(key);
        if (no === null || this.draft?.side !== side || this.draft.line !== no) continue;
        rows.push({ kind: 'draft', key: 'draft', file: this.file, at: this.draft });
        this.draft = null;
      }
    }
  }

  /** Comments on lines that the diff does not have. */
  stray(): Row[] {
    return [...this.comments.values()].flat().map((comment) => this.row(comment, true));
  }

  private row(comment: LineComment, stray: boolean): Row {
    return { kind: 'comment', key: `c${comment.id}`, file: this.file, comment, stray };
  }
}

const within = (mark: LineMark, no: number | null): boolean =>
  no !== null && no >= mark.from && no <= mark.to;
const covers = (mark: LineMark, line: DiffLine): boolean =>
  within(mark, mark.side === 'old' ? line.oldNo : line.newNo);

/** The row that shows a line, or nothing. */
export function rowOf(rows: readonly Row[], files: readonly DiffFile[], at: At): number | null {
  const has = (line: DiffLine | null) =>
    line !== null && (at.side === 'old' ? line.oldNo : line.newNo) === at.line;
  const index = rows.findIndex((row) => {
    const file = files[row.file];
    if (file === undefined || pathOf(file) !== at.path) return false;
    if (row.kind === 'line') return has(row.line);
    return row.kind === 'pair' && (has(row.left) || has(row.right));
  });
  return index < 0 ? null : index;
}

/** The next row of a kind before or after one, or nothing. */
export function nextOf(rows: readonly Row[], from: number, by: 1 | -1, kind: Row['kind']): number | null {
  for (let at = from + by; at >= 0 && at < rows.length; at += by) {
    if (rows[at]?.kind === kind) return at;
  }
  return null;
}

/** The most digits of a line number and the most columns of a line in some files. */
export function widthsOf(files: readonly DiffFile[], tab: number): { digits: number; columns: number } {
  let [most, columns] = [0, 0];
  for (const { hunks } of files) {
    for (const { lines, oldStart, newStart } of hunks) {
      most = Math.max(most, oldStart + lines.length, newStart + lines.length);
      for (const { text } of lines) columns = Math.max(columns, columnsOf(text, tab));
    }
  }
  return { digits: String(most).length, columns };
}

/** Lines coloured at once, and those before them that are read to know where they stand. */
const CHUNK = 200;
const LEAD = 100;

/** The coloured words of the lines of a diff, worked out when a line is first shown. */
export class Colours {
  private readonly known = new WeakMap<DiffLine, Word[]>();
  private readonly sides = new WeakMap<Hunk, Record<Side, DiffLine[]>>();

  constructor(private readonly files: readonly DiffFile[]) {}

  wordsOf(file: number, hunk: Hunk, line: DiffLine): Word[] {
    const known = this.known.get(line);
    if (known) return known;
    const path = this.files[file];
    const language = path ? languageOf(pathOf(path)) : null;
    if (language === null || !ready(language)) return [];
    const side: Side = line.newNo === null ? 'old' : 'new';
    const no = side === 'old' ? (line.oldNo ?? 0) - hunk.oldStart : (line.newNo ?? 0) - hunk.newStart;
    const start = Math.floor(no / CHUNK) * CHUNK;
    const from = Math.max(0, start - LEAD);
    const lines = this.linesOf(hunk)[side].slice(from, start + CHUNK);
    const words = wordsOf(
      lines.map(({ text }) => text),
      language,
    );
    for (let i = start - from; i < lines.length; i += 1) {
      const of = lines[i];
      // An unchanged line is read with the lines after the change.
      if (of && (side === 'new' || of.newNo === null)) this.known.set(of, words[i] ?? []);
    }
    return this.known.get(line) ?? [];
  }

  private linesOf(hunk: Hunk): Record<Side, DiffLine[]> {
    const known = this.sides.get(hunk);
    if (known) return known;
    const sides = {
      old: hunk.lines.filter(({ oldNo }) => oldNo !== null),
      new: hunk.lines.filter(({ newNo }) => newNo !== null),
    };
    this.sides.set(hunk, sides);
    return sides;
  }
}
