/** Which format a document is written in, by its name or by what it says. */
import type { ImportFormat } from '../../state/types';

const BY_ENDING: Record<string, ImportFormat> = {
  md: 'markdown',
  markdown: 'markdown',
  txt: 'markdown',
  json: 'json',
  csv: 'csv',
};

/** What the text looks like; nothing where that cannot be told. */
export function formatOf(name: string, text: string): ImportFormat | null {
  const ending = /\.([a-z]+)$/i.exec(name)?.[1]?.toLowerCase() ?? '';
  return BY_ENDING[ending] ?? formatOfText(text);
}

function formatOfText(text: string): ImportFormat | null {
  const begin = text.replace(/^\ufeff/, '').trimStart();
  if (begin === '') return null;
  if (/^[[{]/.test(begin) && !/^\[[ xX]?\]/.test(begin) && !/^\[[^\]]*\]\(/.test(begin)) return 'json';
  const first = begin.split('\n', 1)[0] ?? '';
  // A header row names columns; a heading or a list of check-boxes does not begin like one.
  if (
    !/^\s*(?:#|[-*+] |\d+[.)] )/.test(first) &&
    first.split(',').some((cell) => /^"?\s*title\s*"?$/i.test(cell.trim()))
  )
    return 'csv';
  return 'markdown';
}
