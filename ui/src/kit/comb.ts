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
  /** What it is coloured by in place of its state; nothing where it has no value. */
  heat?: { part: number; text: string } | null;
}

/** Steps of the scale of values. */
export const HEAT_STEPS = 5;
/** From this step on what stands on it is in the other colour. */
const HEAT_HIGH = 4;

/** The step of a part of the scale, from 1. */
export const heatStep = (part: number): number =>
  Math.min(HEAT_STEPS, Math.floor(Math.max(0, part) * HEAT_STEPS) + 1);

/** Below this radius a cell has only its colour and shape of line, above it a glyph, then a name. */
const GLYPH_FROM = 7;
const NAME_FROM = 30;
/** From this radius on a value is written in its cell; below it a dot grows with it. */
const VALUE_FROM = 20;

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
    if (cell.heat !== undefined) {
      heated(to, { shape, radius, focused: index === at ? focus : null }, cell, cell.heat);
      to.restore();
      continue;
    }
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

interface Shaped {
  shape: Path2D;
  radius: number;
  /** The colour of its edge where it is pointed at. */
  focused: string | null;
}

/** A cell coloured by a value: darker or lighter, and written or as a dot that grows with it. */
function heated(
  to: CanvasRenderingContext2D,
  { shape, radius, focused }: Shaped,
  cell: Cell,
  heat: NonNullable<Cell['heat']> | null,
): void {
  const step = heat ? heatStep(heat.part) : 0;
  const on = token(step >= HEAT_HIGH ? '--on-heat-high' : '--on-heat-low');
  to.fillStyle = token(heat ? `--heat-${step}` : '--bg-sunken');
  to.fill(shape);
  to.strokeStyle = focused ?? token('--line-strong');
  to.lineWidth = focused ? 3 : 1;
  if (!heat) to.setLineDash([2, 3]);
  to.stroke(shape);
  to.setLineDash([]);
  to.fillStyle = heat ? on : token('--text-dim');
  if (radius >= VALUE_FROM) {
    const named = radius >= NAME_FROM;
    to.fillText(fitted(to, heat?.text ?? '\u2014', radius * 1.6), 0, named ? radius * 0.3 : 0);
    if (named) to.fillText(fitted(to, cell.name, radius * 1.5), 0, -radius * 0.18);
  } else if (heat) {
    to.beginPath();
    to.arc(0, 0, Math.max(0.5, radius * 0.62 * Math.sqrt(Math.min(1, heat.part))), 0, 2 * Math.PI);
    to.fill();
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
