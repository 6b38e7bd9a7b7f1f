/** Draws the cells of a honeycomb. */
import { type Comb, middle } from './hexgrid';
import { token } from './tokens';
import { GLYPHS, type Glyph, type Tone } from './tone';

export interface Cell {
  name: string;
  /** Lines of the tooltip. */
  about: readonly string[];
  tone: Tone;
  glyph: Glyph;
  /** Whether it is alive: drawn full instead of as an outline. */
  live: boolean;
}

/** Below this radius a cell has only its colour and shape of line, above it a glyph, then a name. */
const GLYPH_FROM = 7;
const NAME_FROM = 30;

const TOKENS: Record<Tone, [string, string]> = {
  you: ['--accent', '--accent-bg'],
  work: ['--work', '--work-bg'],
  review: ['--review', '--review-bg'],
  ok: ['--ok', '--ok-bg'],
  warn: ['--warn', '--warn-bg'],
  bad: ['--bad', '--bad-bg'],
  idle: ['--idle', '--idle-bg'],
};

function hexagon(radius: number): Path2D {
  const path = new Path2D();
  for (let corner = 0; corner < 6; corner += 1) {
    const angle = (Math.PI / 3) * corner - Math.PI / 2;
    path.lineTo(radius * Math.cos(angle), radius * Math.sin(angle));
  }
  path.closePath();
  return path;
}

interface Ink {
  line: string;
  fill: string;
}

function inks(): Record<Tone, Ink> {
  const ink = (tone: Tone): Ink => ({ line: token(TOKENS[tone][0]), fill: token(TOKENS[tone][1]) });
  return {
    you: ink('you'),
    work: ink('work'),
    review: ink('review'),
    ok: ink('ok'),
    warn: ink('warn'),
    bad: ink('bad'),
    idle: ink('idle'),
  };
}

export function draw(
  to: CanvasRenderingContext2D,
  grid: Comb,
  cells: readonly Cell[],
  at: number | null,
): void {
  const colours = inks();
  const text = token('--text');
  const focus = token('--focus');
  const { radius } = grid;
  const shape = hexagon(radius - Math.max(1, radius * 0.06));
  const small = `600 ${token('--t-micro')} ${token('--sans')}`;
  const glyphs = new Map<Glyph, Path2D>();
  to.textAlign = 'center';
  to.textBaseline = 'middle';
  to.font = small;
  to.lineJoin = 'round';
  to.lineCap = 'round';
  for (const [index, cell] of cells.entries()) {
    const { x, y } = middle(grid, index);
    const ink = colours[cell.tone];
    to.save();
    to.translate(x, y);
    to.fillStyle = ink.fill;
    to.fill(shape);
    to.strokeStyle = index === at ? focus : ink.line;
    to.lineWidth = index === at ? 3 : cell.live ? Math.max(1, Math.min(2, radius / 10)) : 1;
    if (!cell.live && radius >= GLYPH_FROM) to.setLineDash([3, 3]);
    to.stroke(shape);
    to.setLineDash([]);
    if (radius < GLYPH_FROM) mark(to, radius, cell, ink);
    else {
      const size = Math.min(22, radius * 0.95);
      to.save();
      to.translate(-size / 2, -size / 2 - (radius >= NAME_FROM ? radius * 0.22 : 0));
      to.scale(size / 16, size / 16);
      paint(to, glyphs, cell.glyph, ink.line);
      to.restore();
    }
    if (radius >= NAME_FROM) {
      to.fillStyle = text;
      to.fillText(fitted(to, cell.name, radius * 1.5), 0, radius * 0.34);
    }
    to.restore();
  }
}

/** What tells states apart where a glyph would be too small: full, empty, struck through, half or a dot. */
function mark(to: CanvasRenderingContext2D, radius: number, cell: Cell, ink: Ink): void {
  const inner = radius * 0.52;
  to.fillStyle = ink.line;
  to.beginPath();
  if (cell.tone === 'you') to.arc(0, 0, inner * 0.75, 0, 2 * Math.PI);
  else if (cell.tone === 'warn') to.rect(-inner, 0, 2 * inner, inner);
  else if (cell.live) to.rect(-inner, -inner, 2 * inner, 2 * inner);
  to.fill();
  if (cell.tone !== 'bad') return;
  to.moveTo(-inner, inner);
  to.lineTo(inner, -inner);
  to.stroke();
}

function paint(to: CanvasRenderingContext2D, known: Map<Glyph, Path2D>, glyph: Glyph, colour: string): void {
  const path = known.get(glyph) ?? new Path2D(GLYPHS[glyph].d);
  known.set(glyph, path);
  if (GLYPHS[glyph].fill) {
    to.fillStyle = colour;
    to.fill(path);
  } else {
    to.strokeStyle = colour;
    to.lineWidth = 1.8;
    to.stroke(path);
  }
}

/** A text cut to a width, with an ellipsis. */
function fitted(to: CanvasRenderingContext2D, text: string, width: number): string {
  if (to.measureText(text).width <= width) return text;
  let cut = text;
  while (cut.length > 1 && to.measureText(`${cut}\u2026`).width > width) cut = cut.slice(0, -1);
  return `${cut}\u2026`;
}
