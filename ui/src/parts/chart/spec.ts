/** What a panel of a chart shows, in which unit. */
import type { Threshold } from '../../kit/plotmarks';
import { bytes, dollars, NONE, percent, scaled } from '../../kit/units';
import type { Source, Summary } from '../../state/signals';

export type Format = (value: number | null) => string;

export interface PanelSpec {
  id: string;
  title: string;
  /** What its numbers mean. */
  note: string;
  /** With the word of each where they are not told apart by a label. */
  sources: readonly (Source & { word?: string })[];
  /** How its numbers are written; by the unit of what was read where nothing is said. */
  format?: Format;
  /** The unit of a column of numbers in an export, likewise. */
  unit?: string;
  /** The least the upper end of the axis may be. */
  top?: number;
  /** What should not be exceeded, where need be from what its curves came to, by their words. */
  thresholds?: readonly Threshold[] | ((of: (word: string) => Summary | null) => readonly Threshold[]);
  /** What is said where nothing was measured. */
  empty?: string;
}

export const speedText: Format = (value) => (value === null ? NONE : `${bytes(value)}/s`);
export const perMinute: Format = (value) => (value === null ? NONE : scaled(value * 60));
export const usd: Format = (value) => dollars(value === null ? null : value * 1_000_000);

/** How numbers of a unit are written. */
export function formatOf(unit: string): Format {
  switch (unit) {
    case '%':
      return percent;
    case 'B':
      return bytes;
    case 'B/s':
      return speedText;
    case '$':
      return usd;
    case '':
      return scaled;
    default:
      return (value) => (value === null ? NONE : `${scaled(value)} ${unit}`);
  }
}
