/**
 * Terminal output as lines of plain text runs: SGR colours are kept, every other control sequence is dropped,
 * characters that would hide or reorder text are made visible.
 */
import { showHidden } from '../backend/hidden';

export interface Pen {
  /** 0-7 of the terminal's colours; nothing is the ordinary one. */
  colour: number | null;
  bold: boolean;
  dim: boolean;
  italic: boolean;
  underline: boolean;
}

export interface Run {
  text: string;
  pen: Pen;
}

export interface Line {
  runs: Run[];
  /** The pen the next line goes on with. */
  pen: Pen;
  /** Its length in the file, its line end included. */
  bytes: number;
}

export const plainPen: Pen = { colour: null, bold: false, dim: false, italic: false, underline: false };

/** Characters of one line that are shown. */
export const LINE_CHARS_MAX = 2_000;

const encoder = new TextEncoder();
const ESC = '\\u001b';
const BEL = '\\u0007';
// CSI with its parameters and final byte; OSC; DCS, SOS, PM and APC; every other escape.
const SEQUENCE = new RegExp(
  `${ESC}(?:\\[([0-9;:<=>?]*)([ -/]*[@-~])|\\][^${BEL}${ESC}]*(?:${BEL}|${ESC}\\\\|$)|[PX^_][^${ESC}]*(?:${ESC}\\\\|$)|[ -/]*[0-~]|$)`,
  'g',
);
const CONTROL = /[^\P{Cc}\t]/gu;

/** Shows characters that hide or reorder text by their number, and drops control characters. */
export function visible(text: string): string {
  return showHidden(text).replace(CONTROL, '');
}

/** The nearest of the eight colours for one of the 256. */
function ofPalette(n: number): number | null {
  if (n < 16) return n % 8;
  if (n >= 232) return n < 244 ? 0 : 7;
  const rgb = [Math.floor((n - 16) / 36), Math.floor((n - 16) / 6) % 6, (n - 16) % 6];
  return ofRgb(rgb.map((level) => level * 51));
}

function ofRgb(rgb: number[]): number {
  return rgb.reduce((colour, level, bit) => colour | (level >= 128 ? 1 << bit : 0), 0);
}

/** The pen after a sequence such as `1;31`. */
export function drawn(pen: Pen, parameters: string): Pen {
  const codes = parameters.split(/[;:]/).map((code) => Number(code || 0));
  let next = { ...pen };
  for (let i = 0; i < codes.length; i += 1) {
    const code = codes[i] ?? 0;
    if (code === 0) next = { ...plainPen };
    else if (code === 1) next.bold = true;
    else if (code === 2) next.dim = true;
    else if (code === 3) next.italic = true;
    else if (code === 4) next.underline = true;
    else if (code === 22) next = { ...next, bold: false, dim: false };
    else if (code === 23) next.italic = false;
    else if (code === 24) next.underline = false;
    else if (code >= 30 && code <= 37) next.colour = code - 30;
    else if (code >= 90 && code <= 97) next.colour = code - 90;
    else if (code === 39) next.colour = null;
    else if (code === 38 || code === 48) {
      const short = codes[i + 1] === 5;
      if (code === 38) next.colour = short ? ofPalette(codes[i + 2] ?? 7) : ofRgb(codes.slice(i + 2, i + 5));
      i += short ? 2 : 4;
    }
  }
  return next;
}

/** Reads one line of output, without its line end. */
export function parseLine(raw: string, pen: Pen): Line {
  // A carriage return starts the line again, as progress displays do.
  const parts = raw.replace(/\r+$/, '').split('\r');
  const text = parts.at(-1) ?? '';
  const runs: Run[] = [];
  let at = 0;
  let current = pen;
  let left = LINE_CHARS_MAX;
  const push = (piece: string) => {
    const shown = visible(piece);
    if (shown === '' || left <= 0) return;
    const cut =
      shown.length > left ? `${shown.slice(0, left)} \u2026 ${shown.length - left} characters more` : shown;
    left -= shown.length;
    runs.push({ text: cut, pen: current });
  };
  for (const match of text.matchAll(SEQUENCE)) {
    push(text.slice(at, match.index));
    at = match.index + match[0].length;
    if (match[2] === 'm') current = drawn(current, match[1] ?? '');
  }
  push(text.slice(at));
  return { runs, pen: current, bytes: encoder.encode(raw).length + 1 };
}

/** Text without any control sequence, line by line; for output that is shown as a whole. */
export function plainText(text: string): string {
  const line = (raw: string) =>
    visible((raw.replace(/\r+$/, '').split('\r').at(-1) ?? '').replace(SEQUENCE, ''));
  return text.split('\n').map(line).join('\n');
}
