/** Hooks in words, and as they are written in a form. */
import { duration } from '../../kit/time';
import type { Hook, HookRun, NewHook } from '../../state/types';

/** What happens often enough to be wanted, by its kind; any other kind can be written down. */
export const KINDS: readonly { kind: string; word: string }[] = [
  { kind: 'mission_moved', word: 'a mission changes its state' },
  { kind: 'mission_created', word: 'a mission is made' },
  { kind: 'attempt_started', word: 'an attempt starts' },
  { kind: 'attempt_ended', word: 'an attempt ends' },
  { kind: 'gate_finished', word: 'a gate has decided' },
  { kind: 'work_merged', word: 'work is merged' },
  { kind: 'request_asked', word: 'an agent asks you something' },
  { kind: 'message_failed', word: 'a message cannot be delivered' },
  { kind: 'devlog_written', word: 'a devlog is written' },
  { kind: 'swarm_halted', word: 'everything is stopped' },
  { kind: 'logged_in', word: 'a browser signs in' },
  { kind: 'settings_changed', word: 'the settings are changed' },
];

export const kindWord = (kind: string): string => KINDS.find((one) => one.kind === kind)?.word ?? kind;

export const MIB = 1_048_576;

export interface HookDraft {
  name: string;
  /** As it is typed; the engine takes it apart. */
  command: string;
  kinds: string[];
  /** Further kinds, with commas in between. */
  further: string;
  timeout_s: number;
  memory_mib: number;
  per_minute: number;
}

/** What the fields are called. */
export const HOOK_FIELDS: Record<keyof HookDraft, string> = {
  name: 'Name',
  command: 'Command',
  kinds: 'It runs when',
  further: 'Further kinds of events',
  timeout_s: 'Seconds',
  memory_mib: 'Memory, MiB',
  per_minute: 'Runs a minute',
};

/** A word as it is written on a command line. */
const quoted = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;

/** A program and its arguments as one line, quoted as in a shell. */
export const lineOf = (command: readonly string[]): string => command.map(quoted).join(' ');

export function draftOf(hook: Hook | null): HookDraft {
  const known = (kind: string) => KINDS.some((one) => one.kind === kind);
  return {
    name: hook?.name ?? '',
    command: lineOf(hook?.command ?? []),
    kinds: hook ? hook.events.filter(known) : ['mission_moved'],
    further: hook ? hook.events.filter((kind) => !known(kind)).join(', ') : '',
    timeout_s: hook?.timeout_s ?? 10,
    memory_mib: Math.round((hook?.memory_bytes ?? 256 * MIB) / MIB),
    per_minute: hook?.per_minute ?? 60,
  };
}

/** What the form says, with the command taken apart. */
export function hookOf(draft: HookDraft, command: readonly string[]): NewHook {
  const further = draft.further.split(/[\s,]+/).filter(Boolean);
  return {
    name: draft.name.trim(),
    command: [...command],
    events: [...new Set([...draft.kinds, ...further])],
    timeout_s: draft.timeout_s,
    memory_bytes: draft.memory_mib * MIB,
    per_minute: draft.per_minute,
  };
}

/** How a run went, in one line. */
export function runWords(run: HookRun): string {
  const limit =
    run.limit === 'time'
      ? ' at its time limit'
      : run.limit === 'use'
        ? ' at its limit of memory or processes'
        : '';
  return `${run.how}${limit} after ${duration(run.ms)}`;
}
