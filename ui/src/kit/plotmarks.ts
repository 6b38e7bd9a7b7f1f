/** What is drawn on a chart beside its curves: limits across it, and what happened to time. */
import type uPlot from 'uplot';
import { token } from './tokens';

/** A value that should not be exceeded. */
export interface Threshold {
  value: number;
  label: string;
  tone: 'warn' | 'bad';
}

/** Something that happened to time: from one moment to another, or at one moment. */
export interface TimeMark {
  /** In milliseconds since 1970. */
  from: number;
  to: number;
  /** One or two characters that tell it from the others without its colour. */
  sign: string;
}

const TONES: Record<Threshold['tone'], { colour: string; dash: readonly number[] }> = {
  warn: { colour: '--warn', dash: [6, 4] },
  bad: { colour: '--bad', dash: [2, 3] },
};
/** A stretch that is narrower than this is drawn as a line. */
const BAND_PX = 6;
const HATCH_PX = 7;
const FONT_PX = 11;

/** Whether an axis that reaches up to `most` is stretched for a threshold: where what is shown comes near it. */
export const nears = (most: number, { value }: Threshold): boolean => most >= value / 2;

function within(plot: uPlot, paint: (to: CanvasRenderingContext2D, scale: number) => void): void {
  const { ctx, bbox } = plot;
  const scale = devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.font = `${FONT_PX * scale}px ${token('--sans')}`;
  paint(ctx, scale);
  ctx.restore();
}

/** Stretches hatched, moments as dashed lines, each with its sign: behind the curves. */
export function drawTimeMarks(plot: uPlot, marks: readonly TimeMark[]): void {
  if (marks.length === 0) return;
  within(plot, (to, scale) => {
    const { left, top, width, height } = plot.bbox;
    to.strokeStyle = token('--line-strong');
    to.fillStyle = token('--text-dim');
    to.lineWidth = scale;
    to.textBaseline = 'top';
    for (const mark of marks) {
      const begin = plot.valToPos(mark.from / 1_000, 'x', true);
      const end = plot.valToPos(mark.to / 1_000, 'x', true);
      if (end < left || begin > left + width) continue;
      if (end - begin >= BAND_PX * scale) hatch(to, begin, end, top, height, HATCH_PX * scale);
      else {
        to.setLineDash([3 * scale, 3 * scale]);
        to.beginPath();
        to.moveTo(end, top);
        to.lineTo(end, top + height);
        to.stroke();
        to.setLineDash([]);
      }
      to.fillText(mark.sign, Math.max(begin, left) + 3 * scale, top + 2 * scale);
    }
  });
}

function hatch(
  to: CanvasRenderingContext2D,
  begin: number,
  end: number,
  top: number,
  height: number,
  step: number,
): void {
  to.save();
  to.beginPath();
  to.rect(begin, top, end - begin, height);
  to.clip();
  to.globalAlpha = 0.35;
  to.beginPath();
  for (let x = begin - height; x < end; x += step) {
    to.moveTo(x, top + height);
    to.lineTo(x + height, top);
  }
  to.stroke();
  to.restore();
}

/** Lines across, with their words; one that is above the axis is told at its top. */
export function drawThresholds(plot: uPlot, thresholds: readonly Threshold[]): void {
  if (thresholds.length === 0) return;
  within(plot, (to, scale) => {
    const { left, top, width } = plot.bbox;
    const highest = plot.scales.y?.max ?? 0;
    let above = 0;
    /** Where labels stand already: one beside another, not one over another. */
    const taken: { y: number; left: number }[] = [];
    to.textAlign = 'right';
    for (const one of thresholds) {
      const { colour, dash } = TONES[one.tone];
      to.strokeStyle = token(colour);
      to.fillStyle = token(colour);
      const edge = left + width - 4 * scale;
      if (one.value > highest) {
        to.textBaseline = 'top';
        to.fillText(`${one.label} \u2191`, edge, top + (2 + above * (FONT_PX + 2)) * scale);
        above += 1;
        continue;
      }
      const y = Math.round(plot.valToPos(one.value, 'y', true)) + 0.5;
      to.lineWidth = scale;
      to.setLineDash(dash.map((length) => length * scale));
      to.beginPath();
      to.moveTo(left, y);
      to.lineTo(left + width, y);
      to.stroke();
      to.setLineDash([]);
      const under = y - top < (FONT_PX + 4) * scale;
      to.textBaseline = under ? 'top' : 'bottom';
      const at = y + (under ? FONT_PX : -FONT_PX) * scale;
      const near = taken.filter((label) => Math.abs(label.y - at) < 1.5 * FONT_PX * scale);
      const right = Math.min(edge, ...near.map((label) => label.left - 6 * scale));
      to.fillText(one.label, right, y + (under ? 2 : -2) * scale);
      taken.push({ y: at, left: right - to.measureText(one.label).width });
    }
  });
}

/**
 * The samples of a curve that stand alone, between two gaps: a line would not show them. What is undefined was not
 * measured at that moment and is no gap.
 */
export function lonely(values: ArrayLike<number | null | undefined>, from: number, to: number): number[] {
  const found: number[] = [];
  const open = (i: number, way: 1 | -1): boolean => {
    let at = i + way;
    while (at >= 0 && at < values.length && values[at] === undefined) at += way;
    return typeof values[at] !== 'number';
  };
  for (let i = from; i <= to; i += 1)
    if (typeof values[i] === 'number' && open(i, -1) && open(i, 1)) found.push(i);
  return found;
}
