/** What is asked of the engine's signals, as expressions, and what the answers come to. */
import { type Api, Refusal } from '../backend/api';
import type { SignalAnswer, SignalMark } from '../backend/types';
import type { Span } from './timerange';

export type Bucket = SignalAnswer['series'][number]['buckets'][number];
export type Tier = SignalAnswer['tier'];
export type { SignalMark };

/** Stands in an expression for a length of time that fits the columns it is asked for. */
const WINDOW = '$window';

/** One question: an expression, and what its curves are told apart by. */
export interface Source {
  expr: string;
  /** One curve for each value of this label. */
  by?: string;
  /** As many curves as there are series, told apart by all their labels. */
  each?: boolean;
}

/** Only series with these values of their labels, or without them. */
export interface Only {
  is?: Readonly<Record<string, string | readonly string[]>>;
  not?: Readonly<Record<string, string | readonly string[]>>;
}

/** A text between quotation marks, as the language reads it. */
const quoted = (text: string): string => `"${text.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n')}"`;
const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');

/** A signal's name with its labels in braces. */
export function selector(signal: string, { is = {}, not = {} }: Only = {}): string {
  const one = (label: string, value: string | readonly string[], plain: string, regex: string) =>
    typeof value === 'string'
      ? `${label}${plain}${quoted(value)}`
      : value.length === 1
        ? `${label}${plain}${quoted(value[0] ?? '')}`
        : `${label}${regex}${quoted(value.map(literal).join('|'))}`;
  const all = [
    ...Object.entries(is).map(([label, value]) => one(label, value, '=', '=~')),
    ...Object.entries(not).map(([label, value]) => one(label, value, '!=', '!~')),
  ];
  return all.length === 0 ? signal : `${signal}{${all.join(',')}}`;
}

/** How fast a counter grows by the second; its series added up, or one curve for each value of a label. */
export function speed(signal: string, only: Only = {}, by?: string): string {
  const rate = `rate(${selector(signal, only)}[${WINDOW}])`;
  return by === undefined ? `sum(${rate})` : `sum by (${by}) (${rate})`;
}

/** What a source comes to over a stretch of time. */
export interface Curve {
  /** The value of the label it is told apart by. */
  of: string | null;
  labels: Readonly<Record<string, string>>;
  unit: string;
  step_ms: number;
  buckets: readonly Bucket[];
}

/** What was read of a source. */
export interface Reading {
  curves: readonly Curve[];
  /** Curves that were left out, those with the smallest mean. */
  left: number;
  marks: readonly SignalMark[];
  notes: readonly string[];
  tier: Tier;
  step_ms: number;
}

/** How an engine refuses a signal that it does not know. */
const UNKNOWN = 'not_found';
/** How much time a rate needs at least to see a counter grow, in seconds: a few samples of each kind. */
const WINDOW_S: Record<Tier, number> = { raw: 10, minute: 180, hour: 3 * 3_600 };

/** The expression as it is asked, where there is a column each so many milliseconds. */
export function asked(expr: string, stepMs: number, tier: Tier): string {
  const seconds = Math.max(WINDOW_S[tier], Math.ceil(stepMs / 1_000));
  return expr.replaceAll(WINDOW, `${seconds}s`);
}

export interface Wanted {
  span: Span;
  points: number;
  /** The most curves, those with the largest mean. */
  top: number;
  /** How finely it was read the last time. */
  tier?: Tier;
  signal?: AbortSignal;
}

/** Reads a source; nothing where the engine does not know the signal, as an older one does not. */
export async function readSource(
  api: Pick<Api, 'signalsOver'>,
  source: Source,
  wanted: Wanted,
): Promise<Reading | null> {
  const { span, points, top, signal } = wanted;
  const at = (ms: number) => new Date(ms).toISOString();
  const ask = (tier: Tier) => {
    const expr = asked(source.expr, (span.to - span.from) / points, tier);
    return api.signalsOver({ expr, from: at(span.from), to: at(span.to), points, top }, signal);
  };
  try {
    const tier = wanted.tier ?? 'raw';
    const answer = await ask(tier);
    // What is kept by the minute or the hour has no two samples in a window that is shorter.
    const again = source.expr.includes(WINDOW) && WINDOW_S[answer.tier] > WINDOW_S[tier];
    return readingOf(source, again ? await ask(answer.tier) : answer);
  } catch (error) {
    if (error instanceof Refusal && error.code === UNKNOWN) return null;
    throw error;
  }
}

/** An answer's series as curves. */
export function readingOf({ by }: Source, answer: SignalAnswer): Reading {
  const { tier, step_ms, marks, notes, left_out: left } = answer;
  const curves = answer.series.map(({ labels, unit, buckets }) => ({
    of: by === undefined ? null : (labels[by] ?? ''),
    labels,
    unit,
    step_ms,
    buckets,
  }));
  return { curves, left, marks, notes, tier, step_ms };
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
