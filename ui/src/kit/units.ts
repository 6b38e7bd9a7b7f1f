/** Numbers with their unit; no number where there is no sample. */
import { language } from './locale';

const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });

export const NONE = '\u2014';
const IEC = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** Bytes in IEC units with three digits: `1.50 MiB`, `23.4 GiB`, `512 B`. */
export function bytes(n: number | null | undefined): string {
  if (n === null || n === undefined || !Number.isFinite(n)) return NONE;
  let value = n;
  let unit = 0;
  while (Math.abs(value) >= 1_023.95 && unit < IEC.length - 1) {
    value /= 1_024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits)} ${IEC[unit]}`;
}

export function percent(n: number | null | undefined): string {
  if (n === null || n === undefined || !Number.isFinite(n)) return NONE;
  return `${n >= 10 || n === 0 ? n.toFixed(0) : n.toFixed(1)} %`;
}

export const count = (n: number | null | undefined): string =>
  n === null || n === undefined || !Number.isFinite(n) ? NONE : whole.format(n);

const SI = ['', ' k', ' M', ' G', ' T'] as const;

/** A number that may be large, with three digits: `12`, `3.40 k`, `25.0 M`. */
export function scaled(n: number | null | undefined): string {
  if (n === null || n === undefined || !Number.isFinite(n)) return NONE;
  let value = n;
  let unit = 0;
  while (Math.abs(value) >= 999.5 && unit < SI.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  const size = Math.abs(value);
  const digits = Number.isInteger(value) && unit === 0 ? 0 : size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return `${value.toFixed(digits)}${SI[unit]}`;
}

export const plural = (n: number, one: string, many = `${one}s`): string =>
  `${count(n)} ${n === 1 ? one : many}`;

const money = new Intl.NumberFormat(language, {
  style: 'currency',
  currency: 'USD',
  minimumFractionDigits: 2,
  maximumFractionDigits: 4,
});

/** An amount in millionths of a US dollar; what is not known is no amount, and less than shown says so. */
export function dollars(micros: number | null | undefined): string {
  if (micros === null || micros === undefined || !Number.isFinite(micros)) return NONE;
  return micros > 0 && micros < 100 ? `< ${money.format(0.0001)}` : money.format(micros / 1_000_000);
}
