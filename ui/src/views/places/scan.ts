/** The report of a scan as text to paste: one `file:line` a line. */
import { plural } from '../../kit/units';
import type { ScanReport } from '../../state/types';

export function asText(report: ScanReport): string {
  const out = [`${plural(report.files, 'file')}, ${plural(report.lines, 'line')}`];
  if (report.truncated) out.push(`not complete: ${report.truncated}`);
  if (report.oversize.length > 0) out.push('', 'Too long');
  for (const file of report.oversize) out.push(`${file.path}:${file.lines} ${plural(file.lines, 'line')}`);
  for (const twin of report.duplicates) {
    out.push('', `${plural(twin.lines, 'equal line')} in ${plural(twin.places_total, 'place')}`);
    for (const place of twin.places) out.push(`${place.path}:${place.line}`);
  }
  if (report.skipped.length > 0) out.push('', 'Not read');
  for (const one of report.skipped) out.push(`${one.path} ${one.why}`);
  return `${out.join('\n')}\n`;
}
