/** Shows characters that would hide or reorder text by their number, in everything the engine answers. */

// Bidirectional controls, zero-width characters, soft hyphen, tags: what can make text look other than it is.
const HIDDEN =
  /[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;

const numbered = (char: string): string =>
  `\u2039U+${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}\u203a`;

/** Text with every hidden character as its number; JSON stays JSON, since none of them has a meaning in it. */
export const showHidden = (text: string): string => text.replace(HIDDEN, numbered);

/** The same for every text inside a value; what has nothing hidden is answered as the same object. */
export function showHiddenIn<T>(value: T): T {
  return walk(value) as T;
}

function walk(value: unknown): unknown {
  if (typeof value === 'string') return showHidden(value);
  if (typeof value !== 'object' || value === null) return value;
  let changed: Record<string, unknown> | unknown[] | null = null;
  for (const [key, inside] of Object.entries(value)) {
    const shown = walk(inside);
    if (shown === inside) continue;
    changed ??= Array.isArray(value) ? [...value] : { ...value };
    (changed as Record<string, unknown>)[key] = shown;
  }
  return changed ?? value;
}
