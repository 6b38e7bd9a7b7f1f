/** A line of text as runs that look alike: its words, what changed in it, and what it would hide. */
import type { Syntax, Word } from './syntax';
import type { Range } from './words';

export interface Run {
  text: string;
  syntax: Syntax | null;
  /** It differs from the line beside it. */
  changed: boolean;
  /** It stands for a character that cannot be seen. */
  hidden: boolean;
}

/** Longer lines are cut, and say by how much. */
export const LINE_CHARS_MAX = 4_000;

// Bidirectional controls, zero-width characters, soft hyphen, tags: what can make text look other than it is.
// Then control characters, of which only the tab has a look of its own.
const HIDDEN =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  /[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\u2028\u2029]|[\u{e0000}-\u{e007f}]|[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/gu;

/** How a hidden character is shown: a carriage return by its name, the others by their number. */
function sign(char: string): string {
  if (char === '\r') return '\u2039CR\u203a';
  return `\u2039U+${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}\u203a`;
}

/** The runs of a line; put together they are the line, except for what is hidden in it or cut from it. */
export function runsOf(text: string, words: readonly Word[], changes: readonly Range[]): Run[] {
  const cut = text.length > LINE_CHARS_MAX ? text.slice(0, whole(text, LINE_CHARS_MAX)) : text;
  const hidden = [...cut.matchAll(HIDDEN)].map((match) => ({
    from: match.index,
    to: match.index + match[0].length,
  }));
  const edges = new Set([0, cut.length]);
  for (const { from, to } of [...words, ...changes, ...hidden]) {
    if (from > 0 && from < cut.length) edges.add(from);
    if (to > 0 && to < cut.length) edges.add(to);
  }
  const at = [...edges].sort((a, b) => a - b);
  const runs: Run[] = [];
  const within = { word: cursor(words), change: cursor(changes), hidden: cursor(hidden) };
  for (const [i, from] of at.entries()) {
    const to = at[i + 1];
    if (to === undefined) break;
    const piece = cut.slice(from, to);
    const isHidden = within.hidden(from) !== null;
    runs.push({
      text: isHidden ? sign(piece) : piece,
      syntax: within.word(from)?.syntax ?? null,
      changed: within.change(from) !== null,
      hidden: isHidden,
    });
  }
  if (cut.length < text.length) {
    const left = `\u2026 ${text.length - cut.length} characters more`;
    runs.push({ text: left, syntax: null, changed: false, hidden: true });
  }
  return runs;
}

/** The nearest index before that does not stand inside a character. */
const whole = (text: string, at: number): number =>
  /[\udc00-\udfff]/.test(text[at] ?? '') && /[\ud800-\udbff]/.test(text[at - 1] ?? '') ? at - 1 : at;

/** Which of some ranges, in order, holds an index; asked for with growing ones. */
function cursor<R extends Range>(ranges: readonly R[]): (at: number) => R | null {
  let next = 0;
  return (at) => {
    while (next < ranges.length && (ranges[next]?.to ?? 0) <= at) next += 1;
    const range = ranges[next];
    return range && range.from <= at ? range : null;
  };
}

/** How many columns a line takes at most, with tabs as wide as `tab`. Wide characters count twice. */
export function columnsOf(text: string, tab: number): number {
  if (text.length <= LINE_CHARS_MAX && /^[ -~]*$/.test(text)) return text.length;
  let columns = 0;
  let at = 0;
  for (const char of text) {
    if (at > LINE_CHARS_MAX) return columns + 32;
    at += char.length;
    const code = char.codePointAt(0) ?? 0;
    if (code === 9) columns += tab - (columns % tab);
    else if (code < 0x20 || (code >= 0x7f && code < 0xae)) columns += 8;
    else if (code < 0x1100) columns += 1;
    else columns += 2;
  }
  return columns;
}
