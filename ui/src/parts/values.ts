/** Values as they are kept, in words. */

/** A value in one line. */
export function valueWord(value: unknown): string {
  if (value === null || value === undefined) return 'not set';
  if (typeof value === 'string') return value === '' ? 'empty' : value;
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map(valueWord).join(', ');
  if (typeof value === 'object') {
    const parts = Object.entries(value).map(([name, inside]) => `${name} ${valueWord(inside)}`);
    return parts.join(' ');
  }
  return String(value);
}
