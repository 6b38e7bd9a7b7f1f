/** What a panel draws: its curves with their names, colours and figures, on one time axis. */
import type { MultiData } from '../../kit/multiplot';
import type { Threshold } from '../../kit/plotmarks';
import { type Curve, type Reading, type Summary, summaryOf } from '../../state/signals';
import { align } from './align';
import { type Format, formatOf, type PanelSpec } from './spec';

/** Curves drawn at most; of more than these the largest are. */
export const CURVES_MAX = 16;
/** Colours there are; from then on a curve is dashed too. */
export const COLOURS = 8;
const DASHES: readonly (readonly number[])[] = [[], [6, 4], [2, 3]];

export interface Drawn {
  id: string;
  name: string;
  colour: string;
  dash: readonly number[];
  curve: Curve;
  summary: Summary | null;
}

export interface Picture {
  drawn: readonly Drawn[];
  /** Those that are not drawn. */
  left: number;
  data: MultiData;
  format: Format;
  unit: string;
  thresholds: readonly Threshold[];
}

/** What a curve is called that is told apart by all its labels. */
function labelled(
  { labels }: Curve,
  nameOf: (of: string) => string,
  several: boolean,
  fallback: string,
): string {
  const { __name__: name, ...others } = labels;
  const words = Object.entries(others).map(([label, value]) =>
    label === 'agent' ? nameOf(value) : `${label} ${value}`,
  );
  if (name !== undefined && (several || words.length === 0)) words.unshift(name);
  return words.length > 0 ? words.join(' · ') : fallback;
}

/** `nameOf` says what a label's value is called. */
export function pictureOf(
  spec: PanelSpec,
  readings: readonly (Pick<Reading, 'curves' | 'left'> | null)[],
  nameOf: (of: string) => string,
): Picture {
  const names = new Set(readings.flatMap((one) => one?.curves.map(({ labels }) => labels.__name__) ?? []));
  const all = spec.sources.flatMap((source, i) =>
    (readings[i]?.curves ?? []).map((curve) => {
      const of = source.each ? JSON.stringify(curve.labels) : (curve.of ?? '');
      const word = source.word ?? spec.title;
      const plain = curve.of === null ? word : nameOf(curve.of);
      return {
        id: `${i}/${of}`,
        name: source.each ? labelled(curve, nameOf, names.size > 1, word) : plain,
        curve,
        summary: summaryOf(curve),
      };
    }),
  );
  const measured = all.filter(({ summary }) => summary !== null);
  const kept =
    measured.length <= CURVES_MAX
      ? measured
      : [...measured].sort((a, b) => (b.summary?.mean ?? 0) - (a.summary?.mean ?? 0)).slice(0, CURVES_MAX);
  // By name, so that a curve keeps its colour while others come and go beside it as far as that can be.
  if (spec.sources.some(({ by, each }) => by !== undefined || each))
    kept.sort((a, b) => a.name.localeCompare(b.name));
  const drawn = kept.map((one, i) => ({
    ...one,
    colour: `--series-${(i % COLOURS) + 1}`,
    dash: DASHES[Math.floor(i / COLOURS) % DASHES.length] ?? [],
  }));
  const aligned = align(drawn.map(({ curve }) => curve));
  const data: MultiData = [aligned.moments];
  for (const { mean, min, max } of aligned.curves) data.push(mean, min, max);
  const unit = spec.unit ?? drawn[0]?.curve.unit ?? '';
  const left = measured.length - kept.length + readings.reduce((sum, one) => sum + (one?.left ?? 0), 0);
  return {
    drawn,
    left,
    data,
    unit,
    format: spec.format ?? formatOf(unit),
    thresholds: thresholdsOf(spec, drawn),
  };
}

function thresholdsOf({ thresholds = [] }: PanelSpec, drawn: readonly Drawn[]): readonly Threshold[] {
  if (typeof thresholds !== 'function') return thresholds;
  return thresholds((word) => drawn.find(({ name }) => name === word)?.summary ?? null);
}

/** A cell of a CSV file: quoted where it needs to be, and never a formula. */
function cell(value: string): string {
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Every bucket that is shown, with its mean, least and most; times as ISO 8601. */
export function csvOf({ drawn, data, unit }: Picture): string {
  const head = [
    'time',
    ...drawn.flatMap(({ name }) =>
      ['mean', 'min', 'max'].map((of) => `${name} ${of}${unit === '' ? '' : ` (${unit})`}`),
    ),
  ];
  const lines = (data[0] ?? []).map((s, at) =>
    [
      new Date((s ?? 0) * 1_000).toISOString(),
      ...data.slice(1).map((column) => String(column[at] ?? '')),
    ].join(','),
  );
  return `${[head.map(cell).join(','), ...lines].join('\r\n')}\r\n`;
}
