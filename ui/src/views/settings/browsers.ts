/** What a browser calls itself, in a few words. */

const NAMES: readonly [RegExp, string][] = [
  [/\bEdgA?\//, 'Edge'],
  [/\bOPR\//, 'Opera'],
  [/\bSamsungBrowser\//, 'Samsung Internet'],
  [/\b(?:Firefox|FxiOS)\//, 'Firefox'],
  [/\b(?:Chrome|Chromium|CriOS|HeadlessChrome)\//, 'Chrome'],
  [/\bSafari\//, 'Safari'],
];
const SYSTEMS: readonly [RegExp, string][] = [
  [/\biPhone\b/, 'iPhone'],
  [/\biPad\b/, 'iPad'],
  [/\bAndroid\b/, 'Android'],
  [/\bWindows\b/, 'Windows'],
  [/\bCrOS\b/, 'ChromeOS'],
  [/\bMac OS X\b/, 'macOS'],
  [/\b(?:Linux|X11)\b/, 'Linux'],
];
/** Characters of a description that nothing is known about. */
const CHARS_MAX = 60;

const first = (known: readonly [RegExp, string][], text: string): string | null =>
  known.find(([pattern]) => pattern.test(text))?.[1] ?? null;

/** Such as `Firefox on Linux`; what is not recognised is shown as it is, shortened. */
export function browserOf(agent: string): string {
  const [name, system] = [first(NAMES, agent), first(SYSTEMS, agent)];
  if (name && system) return `${name} on ${system}`;
  if (name) return name;
  const plain = agent.trim();
  if (plain === '') return system ? `a browser on ${system}` : 'a browser that does not say what it is';
  return plain.length > CHARS_MAX ? `${plain.slice(0, CHARS_MAX)}…` : plain;
}

/** Whether it is carried about. */
export const isHandheld = (agent: string): boolean => /\b(?:iPhone|iPad|Android|Mobile)\b/.test(agent);
