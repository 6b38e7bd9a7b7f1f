/** Lines of the log, as they are shown. */
import type { Glyph, Tone } from '../../kit/tone';
import type { LogLine } from '../../state/types';

export type Level = 'error' | 'warn' | 'info' | 'debug' | 'trace';

export const LEVELS: readonly { value: Level; word: string; tone: Tone; glyph: Glyph }[] = [
  { value: 'error', word: 'error', tone: 'bad', glyph: 'cross' },
  { value: 'warn', word: 'warning', tone: 'warn', glyph: 'bang' },
  { value: 'info', word: 'info', tone: 'work', glyph: 'dot' },
  { value: 'debug', word: 'debug', tone: 'idle', glyph: 'ring' },
  { value: 'trace', word: 'trace', tone: 'idle', glyph: 'dots' },
];

/** How grave a line is; what is not known counts as least. */
export const levelOf = (line: LogLine): Level =>
  LEVELS.find(({ value }) => value === line.level.toLowerCase())?.value ?? 'trace';

const same = (a: LogLine, b: LogLine): boolean =>
  a.time === b.time && a.message === b.message && a.target === b.target;

/** The newest lines put before those that are known, the newest first; `gap` where lines between them may be missing. */
export function merged(
  known: readonly LogLine[],
  newest: readonly LogLine[],
): { lines: LogLine[]; gap: boolean } {
  const [last] = known;
  if (!last) return { lines: [...newest], gap: false };
  const at = newest.findIndex((line) => same(line, last));
  // Nothing of what is known is on the page: what was written meanwhile is more than a page.
  return at < 0
    ? { lines: [...newest], gap: true }
    : { lines: [...newest.slice(0, at), ...known], gap: false };
}

/** The further fields of a line, as texts. */
export function restOf(line: LogLine): [string, string][] {
  // The description says of a field only that it is one.
  return Object.entries(line.fields as Record<string, unknown>).map(([name, value]) => [
    name,
    typeof value === 'string' ? value : JSON.stringify(value),
  ]);
}
