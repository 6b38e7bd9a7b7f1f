/** The places of a template while it is written: `{{name}}`, or `{{name|default}}`. */

export interface Place {
  name: string;
  /** Nothing where a value must be given. */
  default: string | null;
}

/** The places in the order they first stand there, each name once; `{{{{` is a literal `{{`. */
export function placesOf(text: string): Place[] {
  const found = new Map<string, Place>();
  for (const [, name, given] of text.matchAll(
    /\{\{\{\{|\{\{\s*([A-Za-z_][\w-]{0,63})\s*(?:\|((?:(?!\}\}).)*))?\}\}/gs,
  )) {
    if (name === undefined) continue;
    const place = found.get(name) ?? { name, default: null };
    found.set(name, { name, default: place.default ?? given?.trim() ?? null });
  }
  return [...found.values()];
}
