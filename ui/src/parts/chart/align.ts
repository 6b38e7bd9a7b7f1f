/** Puts curves on one time axis, with their gaps as gaps. */
import type { Bucket } from '../../state/signals';

export interface Stepped {
  step_ms: number;
  buckets: readonly Bucket[];
}

/** The value at a moment: null in a gap, undefined where only others were measured. */
export type Value = number | null | undefined;

/** The moments of all curves, in seconds since 1970, and the mean, least and most of each. */
export interface Aligned {
  moments: number[];
  curves: { mean: Value[]; min: Value[]; max: Value[] }[];
}

/** A stretch without samples longer than this many times what is usual is a gap. */
const GAP_STEPS = 2.5;
/** The shortest distance of two columns, in milliseconds: samples of one tick lie a little beside each other. */
const STEP_MIN_MS = 1_000;

/** The column a bucket belongs to. */
function momentOf(at: string, stepMs: number): number {
  const step = Math.max(stepMs, STEP_MIN_MS);
  return Math.round(Date.parse(at) / step) * step;
}

/** Several curves over the moments of all of them, so that one crosshair fits them all. */
export function align(curves: readonly Stepped[]): Aligned {
  const step = Math.max(STEP_MIN_MS, ...curves.map(({ step_ms }) => step_ms));
  const columns = curves.map(
    ({ buckets }) => new Map(buckets.map((bucket) => [momentOf(bucket.at, step), bucket])),
  );
  const all = new Set(columns.flatMap((column) => [...column.keys()]));
  const moments = [...all].sort((a, b) => a - b);
  const usual = columns.map((column) => Math.max(step, usually([...column.keys()])));
  const at = withGaps(moments, Math.max(step, ...usual.filter((one) => one > 0)), step);
  return {
    moments: at.map((ms) => ms / 1_000),
    curves: columns.map((column, i) => filled(column, at, usual[i] ?? step)),
  };
}

/** From fewer samples than this nothing is known of what is usual. */
const USUAL_MIN = 4;

/** How far apart the samples of a curve are, as a rule: in more columns than samples most columns are empty. */
function usually(moments: readonly number[]): number {
  if (moments.length < USUAL_MIN) return 0;
  const apart: number[] = [];
  for (let i = 1; i < moments.length; i += 1) apart.push((moments[i] ?? 0) - (moments[i - 1] ?? 0));
  apart.sort((a, b) => a - b);
  return apart[Math.floor(apart.length / 4)] ?? 0;
}

/** A moment without samples in every stretch where there are none, so that no line is drawn across it. */
function withGaps(moments: readonly number[], usual: number, step: number): number[] {
  const all: number[] = [];
  for (const moment of moments) {
    const before = all.at(-1);
    if (before !== undefined && moment - before > GAP_STEPS * usual) all.push(before + step);
    all.push(moment);
  }
  return all;
}

/** The values of a curve at the moments of all. Where others were measured in between, its line goes on. */
function filled(column: ReadonlyMap<number, Bucket>, at: readonly number[], usual: number) {
  const found = { mean: [] as Value[], min: [] as Value[], max: [] as Value[] };
  const own = [...column.keys()].sort((a, b) => a - b);
  let next = 0;
  for (const moment of at) {
    while (next < own.length && (own[next] ?? 0) <= moment) next += 1;
    const here = column.get(moment);
    const [before, after] = [own[next - 1], own[next]];
    const joined = before !== undefined && after !== undefined && after - before <= GAP_STEPS * usual;
    const none = joined ? undefined : null;
    found.mean.push(here ? here.mean : none);
    found.min.push(here ? here.min : none);
    found.max.push(here ? here.max : none);
  }
  return found;
}

/** The latest value at a moment that is not across a gap. */
export function valueAt(values: readonly Value[] | undefined, at: number): number | null {
  let i = at;
  while (i > 0 && values?.[i] === undefined) i -= 1;
  return values?.[i] ?? null;
}
