/**
 * What is asked of the engine's signals. This is the one place that knows how: what a curve is made from is named as a
 * query would, and read with what the engine offers.
 */
import { type Api, Refusal } from '../backend/api';
import type { SeriesRange } from '../backend/types';
import type { Span } from './timerange';

export type Bucket = SeriesRange['buckets'][number];

/** One signal: its level, or how fast it grows by the second. */
export interface Source {
  signal: string;
  rate?: boolean;
  /** One curve for each value of this label, its series added up; without it one curve for all of them. */
  by?: string;
  /** Series with these labels are left out. */
  without?: Readonly<Record<string, string>>;
}

/** What a source comes to over a stretch of time. */
export interface Curve {
  /** The value of the label it is told apart by. */
  of: string | null;
  unit: string;
  step_ms: number;
  buckets: readonly Bucket[];
}

/** How an engine refuses a signal that it does not know. */
const UNKNOWN = 'not_found';

/** Reads a source; nothing where the engine does not know the signal, as an older one does not. */
export async function readSource(
  api: Pick<Api, 'range'>,
  source: Source,
  span: Span,
  points: number,
): Promise<Curve[] | null> {
  const at = (ms: number) => new Date(ms).toISOString();
  try {
    const series = await api.range({ name: source.signal, from: at(span.from), to: at(span.to), points });
    return curvesOf(source, series);
  } catch (error) {
    if (error instanceof Refusal && error.code === UNKNOWN) return null;
    throw error;
  }
}

/** Series as curves: those that belong together added up, totals as rates. */
export function curvesOf(source: Source, series: readonly SeriesRange[]): Curve[] {
  const { by, without = {} } = source;
  const groups = new Map<string, SeriesRange[]>();
  for (const one of series) {
    const { labels } = one.key;
    if (Object.entries(without).some(([label, value]) => labels[label] === value)) continue;
    const of = by === undefined ? '' : (labels[by] ?? '');
    groups.set(of, [...(groups.get(of) ?? []), one]);
  }
  return [...groups].map(([of, together]) => {
    const step_ms = Math.max(...together.map((one) => one.step_ms));
    const ready = together.map(({ buckets }) => (source.rate ? rates(buckets, step_ms) : buckets));
    return {
      of: by === undefined ? null : of,
      unit: together[0]?.unit ?? '',
      step_ms,
      buckets: ready.length === 1 ? (ready[0] ?? []) : added(ready, step_ms),
    };
  });
}

/** A stretch without samples longer than this many buckets is a gap: nothing is known of what happened in it. */
const GAP_STEPS = 2.5;

/** How fast a total grows by the second. One that is smaller than before began anew at zero. */
export function rates(buckets: readonly Bucket[], stepMs: number): Bucket[] {
  const found: Bucket[] = [];
  for (const [i, bucket] of buckets.entries()) {
    const before = buckets[i - 1];
    if (!before) continue;
    const ms = Date.parse(bucket.at) - Date.parse(before.at);
    if (ms <= 0 || ms > GAP_STEPS * Math.max(stepMs, 1_000)) continue;
    const grown = bucket.last >= before.last ? bucket.last - before.last : bucket.last;
    const value = (grown * 1_000) / ms;
    found.push({ ...bucket, min: value, max: value, mean: value, last: value });
  }
  return found;
}

/** Several as one: what falls into the same bucket is added up. */
function added(all: readonly (readonly Bucket[])[], stepMs: number): Bucket[] {
  const step = Math.max(stepMs, 1_000);
  const sums = new Map<number, Bucket>();
  for (const bucket of all.flat()) {
    const moment = Math.round(Date.parse(bucket.at) / step) * step;
    const sum = sums.get(moment);
    sums.set(
      moment,
      sum
        ? {
            at: sum.at,
            min: sum.min + bucket.min,
            max: sum.max + bucket.max,
            mean: sum.mean + bucket.mean,
            last: sum.last + bucket.last,
            count: Math.max(sum.count, bucket.count),
          }
        : { ...bucket, at: new Date(moment).toISOString() },
    );
  }
  return [...sums].sort(([one], [other]) => one - other).map(([, bucket]) => bucket);
}

/** What a curve comes to over the time that is shown. */
export interface Summary {
  last: number;
  min: number;
  mean: number;
  max: number;
}

/** Nothing where there is no sample. */
export function summaryOf({ buckets }: Pick<Curve, 'buckets'>): Summary | null {
  const latest = buckets.at(-1);
  if (!latest) return null;
  let [min, max, sum, count] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 0];
  for (const bucket of buckets) {
    min = Math.min(min, bucket.min);
    max = Math.max(max, bucket.max);
    sum += bucket.mean * bucket.count;
    count += bucket.count;
  }
  return { last: latest.last, min, mean: count > 0 ? sum / count : latest.mean, max };
}
