/** What an agent may do, in words, and as it is written in a form. */
import { bytes, count } from '../../kit/units';
import type { Conduct, HomeAccess, Limits, PermissionPolicy } from '../../state/types';

export const POLICIES: Record<PermissionPolicy, { word: string; about: string }> = {
  ask: {
    word: 'ask me',
    about: 'You are asked about everything that no rule answers. The agent waits meanwhile.',
  },
  auto_in_worktree: {
    word: 'free inside its worktree',
    about: 'Reading, and changes inside of its worktree, are allowed. You are asked about the rest.',
  },
  allow_list: {
    word: 'only what a rule allows',
    about: 'What a rule allows is allowed. Everything else is denied, and nobody is asked.',
  },
  read_only: {
    word: 'read only',
    about: 'Reading is allowed. Everything else is denied.',
  },
  unattended: {
    word: 'unattended',
    about:
      'The agent runs in its own unattended mode and asks nothing; what it asks all the same is allowed. Use it with a sandbox.',
  },
};
export const POLICY_ORDER = Object.keys(POLICIES) as PermissionPolicy[];

export const HOMES: Record<HomeAccess, { word: string; about: string }> = {
  full: { word: 'readable and writable', about: 'All of your home, to read and to write.' },
  read_only: { word: 'readable', about: 'All of your home, to read only.' },
  hidden: {
    word: 'hidden',
    about: 'Nothing of your home. An agent that signs in by files there will not find them.',
  },
};

export const plainConduct = (): Conduct => ({
  permissions: 'auto_in_worktree',
  limits: {},
  sandbox: null,
  rules: '',
  files: false,
  handover_at_percent: null,
});

/** Those limits that are set, in words. */
export function limitWords(limits: Limits): string[] {
  const words: string[] = [];
  if (limits.memory_bytes) words.push(`${bytes(limits.memory_bytes)} of memory`);
  if (limits.processes) words.push(`${count(limits.processes)} processes`);
  if (limits.cpu_weight) words.push(`processor weight ${count(limits.cpu_weight)}`);
  if (limits.open_files) words.push(`${count(limits.open_files)} open files`);
  if (limits.output_bytes) words.push(`${bytes(limits.output_bytes)} of output kept`);
  return words;
}

/** Stands where a variable's value is not told; sent back, the value stays as it is. */
export const HIDDEN = '«hidden»';

/** Variables as they are written, one `NAME=value` in a line. */
export const envText = (env: Readonly<Record<string, string>>): string =>
  Object.entries(env)
    .map(([name, value]) => `${name}=${value}`)
    .join('\n');

export interface ReadEnv {
  env: Record<string, string>;
  /** The first line that is wrong, in words. */
  problem: string | null;
}

export function readEnv(text: string): ReadEnv {
  const env: Record<string, string> = {};
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const at = line.indexOf('=');
    const name = line.slice(0, at).trim();
    if (at < 1 || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
      return { env, problem: `Line ${i + 1}: write NAME=value, the name of letters, digits and _.` };
    env[name] = line.slice(at + 1);
  }
  return { env, problem: null };
}

/** Words separated by commas or spaces, each once. */
export const readSkills = (text: string): string[] => [...new Set(text.split(/[\s,]+/).filter(Boolean))];

const MIB = 1024 * 1024;
/** Mebibytes as typed; nothing where nothing was. */
export const ofMib = (text: string): number | null =>
  Number(text) > 0 ? Math.round(Number(text) * MIB) : null;
export const toMib = (n: number | null | undefined): string => (n ? String(Math.round(n / MIB)) : '');
export const ofNumber = (text: string): number | null => (Number(text) > 0 ? Math.round(Number(text)) : null);

/** Conduct as it is written in a form: numbers are text until they are sent. */
export interface ConductDraft {
  permissions: PermissionPolicy;
  memory_mib: string;
  processes: string;
  cpu_weight: string;
  open_files: string;
  output_mib: string;
  sandboxed: boolean;
  writable: string;
  home: HomeAccess;
  network: boolean;
  rules: string;
  files: boolean;
  handover: string;
}

const text = (n: number | null | undefined): string => (n ? String(n) : '');

export function draftOf(conduct: Conduct): ConductDraft {
  const { limits, sandbox } = conduct;
  return {
    permissions: conduct.permissions,
    memory_mib: toMib(limits.memory_bytes),
    processes: text(limits.processes),
    cpu_weight: text(limits.cpu_weight),
    open_files: text(limits.open_files),
    output_mib: toMib(limits.output_bytes),
    sandboxed: sandbox !== null && sandbox !== undefined,
    writable: sandbox?.writable.join('\n') ?? '',
    home: sandbox?.home ?? 'read_only',
    network: sandbox?.network ?? true,
    rules: conduct.rules,
    files: conduct.files,
    handover: text(conduct.handover_at_percent),
  };
}

export function conductOf(draft: ConductDraft): Conduct {
  return {
    permissions: draft.permissions,
    limits: {
      memory_bytes: ofMib(draft.memory_mib),
      processes: ofNumber(draft.processes),
      cpu_weight: ofNumber(draft.cpu_weight),
      open_files: ofNumber(draft.open_files),
      output_bytes: ofMib(draft.output_mib),
    },
    sandbox: draft.sandboxed
      ? {
          writable: draft.writable
            .split('\n')
            .map((line) => line.trim())
            .filter(Boolean),
          home: draft.home,
          network: draft.network,
        }
      : null,
    rules: draft.rules,
    files: draft.files,
    handover_at_percent: ofNumber(draft.handover),
  };
}
