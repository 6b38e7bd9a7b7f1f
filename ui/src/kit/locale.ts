/** A language tag that formatting functions accept, whatever the system says. */

/** WebKitGTK under `LANG=C` reports a language that is no language tag, at which `Intl` and uPlot throw. */
export function validLanguage(said: string | undefined): string {
  try {
    return Intl.getCanonicalLocales(said ?? '')[0] ?? 'en';
  } catch {
    return 'en';
  }
}

export const language: string = validLanguage(
  typeof navigator === 'undefined' ? undefined : navigator.language,
);

/** Makes `navigator.language` valid for code that reads it by itself. */
export function guardLanguage(): void {
  if (navigator.language !== language) {
    Object.defineProperty(navigator, 'language', { value: language, configurable: true });
  }
}
