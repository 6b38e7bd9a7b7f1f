/** Gates as they are picked and as the line that the engine reads. */
import type { GateSpec, Grade } from '../backend/types';

export type GateKind =
  | 'command'
  | 'file'
  | 'diff'
  | 'paths'
  | 'max-lines'
  | 'no-duplicates'
  | 'no-secrets'
  | 'ci'
  | 'reviewer'
  | 'human';

/** What was filled in for one gate. Numbers are kept as they were typed. */
export interface GateDraft {
  id: number;
  kind: GateKind;
  /** The command, file, patterns, number of lines, check, agent or question. */
  text: string;
  /** Of a command: its longest time in seconds, empty for the usual. */
  timeout: string;
  /** Of a command: the line that says how many checks ran. */
  proof: string;
}

export interface GateWords {
  /** On the button that adds one. */
  add: string;
  /** What makes it pass. */
  about: string;
  /** The label of its field; nothing where there is nothing to fill in. */
  field: string | null;
  example: string;
  proves: Grade;
  /** Looks at what changed, and so needs a repository. */
  changes: boolean;
}

export const GATES: Record<GateKind, GateWords> = {
  command: {
    add: 'Command that must succeed',
    about: 'Passes when it ends with exit code 0.',
    field: 'Command',
    example: 'cargo test',
    proves: 'observed',
    changes: false,
  },
  file: {
    add: 'File that must exist',
    about: 'Passes when the file is there and not empty.',
    field: 'File',
    example: 'report.md',
    proves: 'observed',
    changes: false,
  },
  diff: {
    add: 'Something must change',
    about: 'Passes when the attempt changed at least one file.',
    field: null,
    example: '',
    proves: 'self_report',
    changes: true,
  },
  paths: {
    add: 'Only these paths may change',
    about: 'Passes when every changed file fits one of the patterns.',
    field: 'Patterns',
    example: 'src/** tests/**',
    proves: 'self_report',
    changes: true,
  },
  'max-lines': {
    add: 'No file grows too long',
    about: 'Passes when no changed file has more lines than this.',
    field: 'Lines',
    example: '600',
    proves: 'self_report',
    changes: true,
  },
  'no-duplicates': {
    add: 'Nothing is there twice',
    about: 'Passes when no block of this many added lines is there a second time.',
    field: 'Lines of a block',
    example: '10',
    proves: 'self_report',
    changes: true,
  },
  'no-secrets': {
    add: 'No secrets',
    about: 'Passes when nothing that was added looks like a password, key or token.',
    field: null,
    example: '',
    proves: 'self_report',
    changes: true,
  },
  ci: {
    add: 'Build server',
    about: 'Passes when a build server reports this check as passed for the attempt’s commit.',
    field: 'Check',
    example: 'build',
    proves: 'independent',
    changes: false,
  },
  reviewer: {
    add: 'Review by another agent',
    about: 'Passes when another agent, asked to review the work, approves of it.',
    field: 'Reviewing agent',
    example: 'any',
    proves: 'independent',
    changes: false,
  },
  human: {
    add: 'Question to you',
    about: 'Passes when you accept the work.',
    field: 'Question',
    example: 'Does the text read well?',
    proves: 'human',
    changes: false,
  },
};

export const KINDS = Object.keys(GATES) as GateKind[];

const TIMEOUT_S_DEFAULT = 600;
const TIMEOUT_S_MAX = 86_400;

let last = 0;
const STARTS: Partial<Record<GateKind, string>> = {
  'max-lines': '600',
  'no-duplicates': '10',
  reviewer: 'any',
};

/** A gate of this kind with nothing filled in but what is usual. */
export function newGate(kind: GateKind): GateDraft {
  last += 1;
  return { id: last, kind, text: STARTS[kind] ?? '', timeout: '', proof: '' };
}

const quoted = (text: string): string => `"${text.replace(/\\/g, '\\\\').replace(/"/g, '\\"')}"`;
const whole = (text: string): number | null => (/^\d{1,9}$/.test(text.trim()) ? Number(text.trim()) : null);

/** The line as it is written into the mission. */
export function gateLine(gate: GateDraft): string {
  const text = gate.text.trim().replace(/\s*\n\s*/g, ' ');
  switch (gate.kind) {
    case 'diff':
      return 'diff: not empty';
    case 'no-secrets':
      return 'no-secrets: diff';
    case 'command': {
      const options = [
        gate.timeout.trim() === '' ? null : `timeout=${gate.timeout.trim()}`,
        gate.proof.trim() === '' ? null : `proof=${quoted(gate.proof.trim())}`,
      ].filter((option) => option !== null);
      return options.length === 0 ? `command: ${text}` : `command(${options.join(', ')}): ${text}`;
    }
    case 'reviewer':
      return `reviewer: ${text === '' ? 'any' : text}`;
    default:
      return `${gate.kind}: ${text}`;
  }
}

/** Whether nothing was filled in, so that it is left out. */
export const isBlank = (gate: GateDraft): boolean =>
  GATES[gate.kind].field !== null && gate.kind !== 'reviewer' && gate.text.trim() === '';

/** What is wrong with it before anybody is asked; nothing where it can be written. */
export function gateProblem(gate: GateDraft, repository: boolean): string | null {
  if (isBlank(gate)) return null;
  if (GATES[gate.kind].changes && !repository)
    return 'It looks at what changed, so the mission needs a repository.';
  if (gate.kind === 'max-lines' && (whole(gate.text) ?? 0) < 1) return 'A number of lines from 1 on.';
  if (gate.kind === 'no-duplicates' && (whole(gate.text) ?? 0) < 3) return 'A number of lines from 3 on.';
  if (gate.kind !== 'command') return null;
  const seconds = gate.timeout.trim() === '' ? TIMEOUT_S_DEFAULT : whole(gate.timeout);
  if (seconds === null || seconds < 1 || seconds > TIMEOUT_S_MAX)
    return 'A time from 1 to 86400 seconds (a day).';
  const proof = gate.proof.trim();
  if (proof !== '' && (proof.split('{n}').length !== 2 || proof === '{n}'))
    return 'The proof says with {n} where the number of checks stands, such as “{n} passed”.';
  return null;
}

/** A gate that is there, as what would have been filled in. */
export function draftOf(gate: GateSpec): GateDraft {
  switch (gate.kind) {
    case 'command':
      return {
        ...newGate('command'),
        text: gate.command,
        timeout: gate.timeout_s === TIMEOUT_S_DEFAULT ? '' : String(gate.timeout_s),
        proof: gate.proof ?? '',
      };
    case 'file':
      return { ...newGate('file'), text: gate.path };
    case 'diff_not_empty':
      return newGate('diff');
    case 'diff_within':
      return { ...newGate('paths'), text: gate.paths.join(' ') };
    case 'max_lines':
      return { ...newGate('max-lines'), text: String(gate.lines) };
    case 'no_duplicates':
      return { ...newGate('no-duplicates'), text: String(gate.lines) };
    case 'no_secrets':
      return newGate('no-secrets');
    case 'ci':
      return { ...newGate('ci'), text: gate.name };
    case 'reviewer':
      return { ...newGate('reviewer'), text: gate.agent ?? 'any' };
    case 'human':
      return { ...newGate('human'), text: gate.question };
  }
}

/** What a gate is about, without its kind. */
export function gateLabel(gate: GateSpec): string {
  switch (gate.kind) {
    case 'command':
      return gate.command;
    case 'diff_not_empty':
      return 'something changed';
    case 'no_secrets':
      return 'nothing looks like a secret';
    default:
      return draftOf(gate).text;
  }
}

/** The word for its kind. */
export function gateKind(gate: GateSpec): GateKind {
  switch (gate.kind) {
    case 'diff_not_empty':
      return 'diff';
    case 'diff_within':
      return 'paths';
    case 'max_lines':
      return 'max-lines';
    case 'no_duplicates':
      return 'no-duplicates';
    case 'no_secrets':
      return 'no-secrets';
    default:
      return gate.kind;
  }
}
