/** Puts series on one time axis, with their gaps as gaps. */
import type { PlotData } from '../../kit/plot';
import type { SeriesRange } from '../../state/types';

/** A stretch without samples longer than this many buckets is a gap. */
const GAP_STEPS = 2.5;

/** The moment of a bucket: signals are measured at the same ticks, but a bucket may begin a little beside its neighbour's. */
export function momentOf(at: string, stepMs: number): number {
  const step = Math.max(stepMs, 1_000);
  return Math.round(Date.parse(at) / step) * step;
}

/** Several series over the moments of all of them, so that one crosshair fits them all. */
export function align(series: readonly (SeriesRange | null)[]): PlotData[] {
  const moments = new Set<number>();
  let step = 0;
  for (const one of series) {
    if (!one) continue;
    step = Math.max(step, one.step_ms, 1_000);
  }
  const moment = (at: string) => momentOf(at, step);
  for (const one of series) for (const bucket of one?.buckets ?? []) moments.add(moment(bucket.at));
  const at = withGaps(
    [...moments].sort((a, b) => a - b),
    step,
  );
  return series.map((one) => {
    const byMoment = new Map(one?.buckets.map((bucket) => [moment(bucket.at), bucket]));
    const pick = (of: 'mean' | 'min' | 'max') => at.map((ms) => byMoment.get(ms)?.[of] ?? null);
    return [at.map((ms) => ms / 1_000), pick('mean'), pick('min'), pick('max')];
  });
}

/** Adds a moment without samples into every gap, so that no line is drawn across it. */
function withGaps(moments: number[], step: number): number[] {
  const all: number[] = [];
  for (const moment of moments) {
    const before = all.at(-1);
    if (before !== undefined && moment - before > GAP_STEPS * step) all.push(before + step);
    all.push(moment);
  }
  return all;
}
