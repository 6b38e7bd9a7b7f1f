/** How finely a chart shows what was measured. */
import { duration } from '../../kit/time';
import type { Reading } from '../../state/signals';

const TIERS = { raw: '', minute: ', kept by the minute', hour: ', kept by the hour' } as const;

/** `3 s a column, from least to most`; nothing where nothing was read. */
export function resolutionText(readings: readonly (Pick<Reading, 'step_ms' | 'tier'> | null)[]): string {
  const [first] = readings.filter((one) => one !== null);
  if (!first) return '';
  return `${duration(first.step_ms)} a column, from least to most${TIERS[first.tier]}`;
}
