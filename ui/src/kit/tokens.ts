/** The tokens of tokens.css, for what is drawn or measured by code. */

export const token = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A size, in CSS pixels. `look` is what it depends on: pass what changes when the density does. */
export function pixels(name: string, look = ''): number {
  void look;
  const value = Number.parseFloat(token(name));
  return Number.isFinite(value) ? value : 0;
}
