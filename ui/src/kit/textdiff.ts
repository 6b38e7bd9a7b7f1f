/** A file before and after as hunks, for showing a change that no patch was written of. */
import { structuredPatch } from 'diff';
import type { DiffFile, DiffLine, Hunk } from './diff';

/** Unchanged lines around each change. */
const CONTEXT = 3;
/** Lines exchanged at most before the whole is shown as replaced. */
const EDITS_MAX = 2_000;

/** Lines without their ends, and whether the last one has none. */
function linesOf(text: string): { lines: string[]; noEol: boolean } {
  if (text === '') return { lines: [], noEol: false };
  const lines = text.split('\n');
  const noEol = lines.at(-1) !== '';
  if (!noEol) lines.pop();
  return { lines, noEol };
}

function replaced(before: string, after: string): Hunk {
  const [old, now] = [linesOf(before), linesOf(after)];
  const line = (kind: '-' | '+', { lines, noEol }: ReturnType<typeof linesOf>) =>
    lines.map(
      (text, i): DiffLine => ({
        kind,
        oldNo: kind === '-' ? i + 1 : null,
        newNo: kind === '+' ? i + 1 : null,
        text,
        noEol: noEol && i === lines.length - 1,
      }),
    );
  return { header: '', oldStart: 1, newStart: 1, lines: [...line('-', old), ...line('+', now)] };
}

/** What changed in a file; `before` is nothing where it is new. */
export function fileOf(path: string, before: string | null, after: string): DiffFile {
  const file: DiffFile = {
    oldPath: before === null ? null : path,
    newPath: path,
    status: before === null ? 'added' : 'modified',
    mode: null,
    binary: false,
    truncated: false,
    hunks: [],
  };
  if (before === null) {
    file.hunks = after === '' ? [] : [replaced('', after)];
    return file;
  }
  const patch = structuredPatch(path, path, before, after, '', '', {
    context: CONTEXT,
    maxEditLength: EDITS_MAX,
  });
  if (patch === undefined) {
    file.hunks = [replaced(before, after)];
    return file;
  }
  file.hunks = patch.hunks.map(({ oldStart, newStart, lines }) => {
    const hunk: Hunk = { header: '', oldStart, newStart, lines: [] };
    let [oldNo, newNo] = [oldStart, newStart];
    for (const said of lines) {
      const [kind, text] = [said[0], said.slice(1)];
      const last = hunk.lines.at(-1);
      if (kind === '\\') {
        if (last) last.noEol = true;
      } else if (kind === '-') hunk.lines.push({ kind, oldNo: oldNo++, newNo: null, text, noEol: false });
      else if (kind === '+') hunk.lines.push({ kind, oldNo: null, newNo: newNo++, text, noEol: false });
      else hunk.lines.push({ kind: ' ', oldNo: oldNo++, newNo: newNo++, text, noEol: false });
    }
    return hunk;
  });
  return file;
}
