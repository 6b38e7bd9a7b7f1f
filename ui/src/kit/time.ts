/** Times in the captain's zone: absolute, and relative with one unit. */
import { language } from './locale';

const stamp = new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'medium' });
const clock = new Intl.DateTimeFormat(language, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hour12: false,
});

export const zone: string = Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';

export const absolute = (at: string): string => stamp.format(new Date(at));
export const clockTime = (at: string | number): string => clock.format(new Date(at));

/** A length of time with its two largest units: `42 s`, `3 min 5 s`, `2 h 4 min`, `5 d 3 h`. */
export function duration(ms: number): string {
  if (ms > 0 && ms < 1_000) return `${Math.round(ms)} ms`;
  const s = Math.max(0, Math.floor(ms / 1_000));
  const two = (a: number, unit: string, b: number, small: string) =>
    b === 0 ? `${a} ${unit}` : `${a} ${unit} ${b} ${small}`;
  if (s < 60) return `${s} s`;
  if (s < 3_600) return two(Math.floor(s / 60), 'min', s % 60, 's');
  if (s < 86_400) return two(Math.floor(s / 3_600), 'h', Math.floor((s % 3_600) / 60), 'min');
  return two(Math.floor(s / 86_400), 'd', Math.floor((s % 86_400) / 3_600), 'h');
}

/** An age with one unit: `now`, `42 s`, `3 min`, `2 h`, `5 d`. */
export function age(at: string, now: number): string {
  const s = Math.floor((now - Date.parse(at)) / 1_000);
  if (s < 2) return 'now';
  if (s < 60) return `${s} s`;
  if (s < 3_600) return `${Math.floor(s / 60)} min`;
  if (s < 86_400) return `${Math.floor(s / 3_600)} h`;
  return `${Math.floor(s / 86_400)} d`;
}

/** The local day of a moment, as `YYYY-MM-DD`. */
export function day(ms: number): string {
  const date = new Date(ms);
  const two = (n: number) => String(n).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}
