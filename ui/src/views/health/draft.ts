/** A check as it is written down: text fields of one form for all kinds, and back. */
import type { CheckProbe, CheckView, NewCheck } from '../../state/types';
import { lineOf } from './words';

export type ProbeKind = CheckProbe['kind'];

export interface CheckDraft {
  name: string;
  kind: ProbeKind;
  url: string;
  status: string;
  contains: string;
  slowMs: string;
  host: string;
  port: string;
  command: string;
  degradedCode: string;
  path: string;
  maxAge: string;
  degradedAge: string;
  freeFailed: string;
  freeDegraded: string;
  daysFailed: string;
  daysDegraded: string;
  period: string;
  grace: string;
  interval: string;
  timeout: string;
  failures: string;
  successes: string;
}

export const PROBES: readonly { value: ProbeKind; word: string; says: string }[] = [
  { value: 'http', word: 'Page', says: 'Asks for a page: its status, a text in it, how fast it comes.' },
  { value: 'tcp', word: 'Port', says: 'Opens a connection and sends nothing.' },
  { value: 'command', word: 'Command', says: 'Runs a program: exit code 0 is in order. No shell reads it.' },
  { value: 'file_age', word: 'File age', says: 'Looks how long ago a file was written, such as a backup.' },
  { value: 'disk', word: 'Disk', says: 'Looks how much of a disk is free.' },
  { value: 'certificate', word: 'Certificate', says: 'Looks how long a certificate is still valid.' },
  {
    value: 'heartbeat',
    word: 'Reports',
    says: 'Waits for something to report by itself; its silence is what counts.',
  },
];

const text = (value: number | null | undefined): string =>
  value === null || value === undefined ? '' : String(value);

/** The fields of a check, or those of a new one. */
export function draftOf(check: CheckView | null): CheckDraft {
  const settings = check?.settings ?? null;
  const draft: CheckDraft = {
    name: check?.name ?? '',
    kind: settings?.probe.kind ?? 'http',
    url: '',
    status: '',
    contains: '',
    slowMs: '',
    host: '',
    port: '443',
    command: '',
    degradedCode: '',
    path: '',
    maxAge: '86400',
    degradedAge: '',
    freeFailed: '5',
    freeDegraded: '10',
    daysFailed: '7',
    daysDegraded: '21',
    period: '3600',
    grace: '300',
    interval: text(settings?.interval_s ?? 30),
    timeout: text(settings?.timeout_s ?? 5),
    failures: text(settings?.failures ?? 3),
    successes: text(settings?.successes ?? 2),
  };
  const probe = settings?.probe;
  switch (probe?.kind) {
    case 'http':
      return {
        ...draft,
        url: probe.url,
        status: text(probe.status),
        contains: probe.contains ?? '',
        slowMs: text(probe.slow_ms),
      };
    case 'tcp':
      return { ...draft, host: probe.host, port: text(probe.port), slowMs: text(probe.slow_ms) };
    case 'command':
      return { ...draft, command: lineOf(probe.command), degradedCode: text(probe.degraded_code) };
    case 'file_age':
      return {
        ...draft,
        path: probe.path,
        maxAge: text(probe.max_age_s),
        degradedAge: text(probe.degraded_age_s),
      };
    case 'disk':
      return {
        ...draft,
        path: probe.path,
        freeFailed: text(probe.failed_free_percent),
        freeDegraded: text(probe.degraded_free_percent),
      };
    case 'certificate':
      return {
        ...draft,
        host: probe.host,
        port: text(probe.port),
        daysFailed: text(probe.failed_days),
        daysDegraded: text(probe.degraded_days),
      };
    case 'heartbeat':
      return { ...draft, period: text(probe.period_s), grace: text(probe.grace_s) };
    case undefined:
      return draft;
  }
}

/** What has to be a whole number, and is not; nothing where all is well. */
export function numberFault(draft: CheckDraft): keyof CheckDraft | null {
  const wanted: Record<ProbeKind, readonly (keyof CheckDraft)[]> = {
    http: ['status', 'slowMs'],
    tcp: ['port', 'slowMs'],
    command: ['degradedCode'],
    file_age: ['maxAge', 'degradedAge'],
    disk: ['freeFailed', 'freeDegraded'],
    certificate: ['port', 'daysFailed', 'daysDegraded'],
    heartbeat: ['period', 'grace'],
  };
  const optional: readonly (keyof CheckDraft)[] = ['status', 'slowMs', 'degradedCode', 'degradedAge'];
  const all: (keyof CheckDraft)[] = [...wanted[draft.kind], 'interval', 'timeout', 'failures', 'successes'];
  const wrong = (field: keyof CheckDraft) =>
    !/^\d{1,9}$/.test(draft[field].trim()) && !(optional.includes(field) && draft[field].trim() === '');
  return all.find(wrong) ?? null;
}

/** `command` are the words of its command line, as the engine took it apart. */
export function checkOf(draft: CheckDraft, command: readonly string[]): NewCheck {
  const number = (value: string) => Number(value.trim());
  const maybe = (value: string) => (value.trim() === '' ? undefined : number(value));
  const probe = (): CheckProbe => {
    switch (draft.kind) {
      case 'http':
        return {
          kind: 'http',
          url: draft.url.trim(),
          status: maybe(draft.status),
          contains: draft.contains === '' ? undefined : draft.contains,
          slow_ms: maybe(draft.slowMs),
        };
      case 'tcp':
        return {
          kind: 'tcp',
          host: draft.host.trim(),
          port: number(draft.port),
          slow_ms: maybe(draft.slowMs),
        };
      case 'command':
        return { kind: 'command', command: [...command], degraded_code: maybe(draft.degradedCode) };
      case 'file_age':
        return {
          kind: 'file_age',
          path: draft.path.trim(),
          max_age_s: number(draft.maxAge),
          degraded_age_s: maybe(draft.degradedAge),
        };
      case 'disk':
        return {
          kind: 'disk',
          path: draft.path.trim(),
          failed_free_percent: number(draft.freeFailed),
          degraded_free_percent: number(draft.freeDegraded),
        };
      case 'certificate':
        return {
          kind: 'certificate',
          host: draft.host.trim(),
          port: number(draft.port),
          failed_days: number(draft.daysFailed),
          degraded_days: number(draft.daysDegraded),
        };
      case 'heartbeat':
        return { kind: 'heartbeat', period_s: number(draft.period), grace_s: number(draft.grace) };
    }
  };
  return {
    name: draft.name.trim(),
    probe: probe(),
    interval_s: number(draft.interval),
    timeout_s: number(draft.timeout),
    failures: number(draft.failures),
    successes: number(draft.successes),
  };
}
