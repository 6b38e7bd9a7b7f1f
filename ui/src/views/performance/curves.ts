/** What a panel draws: its curves with their names, colours and figures, on one time axis. */
import type { MultiData } from '../../kit/multiplot';
import { align } from '../../parts/chart/align';
import { type Curve, type Summary, summaryOf } from '../../state/signals';
import type { PanelSpec } from './panels';

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
}

/** `nameOf` says what a label's value is called. */
export function pictureOf(
  spec: PanelSpec,
  curves: readonly (readonly Curve[] | null)[],
  nameOf: (of: string) => string,
): Picture {
  const all = spec.sources.flatMap((source, i) =>
    (curves[i] ?? []).map((curve) => ({
      id: `${source.signal}/${curve.of ?? ''}`,
      name: curve.of === null ? (source.word ?? spec.title) : nameOf(curve.of),
      curve,
      summary: summaryOf(curve),
    })),
  );
  const measured = all.filter(({ summary }) => summary !== null);
  const kept =
    measured.length <= CURVES_MAX
      ? measured
      : [...measured].sort((a, b) => (b.summary?.mean ?? 0) - (a.summary?.mean ?? 0)).slice(0, CURVES_MAX);
  // By name, so that a curve keeps its colour while others come and go beside it as far as that can be.
  if (spec.sources.some(({ by }) => by !== undefined)) kept.sort((a, b) => a.name.localeCompare(b.name));
  const drawn = kept.map((one, i) => ({
    ...one,
    colour: `--series-${(i % COLOURS) + 1}`,
    dash: DASHES[Math.floor(i / COLOURS) % DASHES.length] ?? [],
  }));
  const aligned = align(
    drawn.map(({ curve }) => ({
      key: { name: '', labels: {} },
      unit: curve.unit,
      step_ms: curve.step_ms,
      buckets: [...curve.buckets],
    })),
  );
  const data: MultiData = [aligned[0]?.[0] ?? []];
  for (const [, mean, least, most] of aligned) data.push(mean, least, most);
  return { drawn, left: measured.length - kept.length, data };
}

/** A cell of a CSV file: quoted where it needs to be, and never a formula. */
function cell(value: string): string {
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Every bucket that is shown, with its mean, least and most; times as ISO 8601. */
export function csvOf(spec: PanelSpec, { drawn, data }: Picture): string {
  const head = [
    'time',
    ...drawn.flatMap(({ name }) => ['mean', 'min', 'max'].map((of) => `${name} ${of} (${spec.unit})`)),
  ];
  const lines = (data[0] ?? []).map((s, at) =>
    [
      new Date((s ?? 0) * 1_000).toISOString(),
      ...data.slice(1).map((column) => String(column[at] ?? '')),
    ].join(','),
  );
  return `${[head.map(cell).join(','), ...lines].join('\r\n')}\r\n`;
}
