/** Gates as lines of text, read the way the engine reads them. */
import { draftOf, GATES, type GateKind, gateLine, gateProblem, KINDS, newGate } from '../../state/gates';
import type { GateSpec } from '../../state/types';

/** A line as a gate, or what is wrong with it. */
export type ReadLine = { gate: GateSpec } | { problem: string };

export const lineOf = (gate: GateSpec): string => gateLine(draftOf(gate));

const TIMEOUT_S_DEFAULT = 600;
const wrong = (problem: string): ReadLine => ({ problem });
const example = (kind: GateKind): string =>
  kind === 'diff'
    ? 'diff: not empty'
    : kind === 'no-secrets'
      ? 'no-secrets: diff'
      : `${kind}: ${GATES[kind].example}`;

/** Reads a line such as `command(timeout=60): cargo test`, `file: out.txt` or `reviewer: any`. */
export function readLine(line: string): ReadLine {
  const read = split(line);
  if (read === null) return wrong('It does not begin with its kind, such as “command: cargo test”.');
  const kind = KINDS.find((known) => known === read.kind);
  if (kind === undefined)
    return wrong(`“${read.kind}” is not a kind of gate; use one of: ${KINDS.join(', ')}.`);
  if (read.text === '') return wrong(`It names nothing to check; such as “${example(kind)}”.`);
  if (read.options !== null && kind !== 'command') return wrong(`A “${kind}” gate has no options.`);
  const options = optionsOf(read.options ?? '');
  if (options === null)
    return wrong('Its options are “timeout=600” and “proof="{n} passed"”, separated by a comma.');
  const problem = gateProblem({ ...newGate(kind), text: read.text, ...options }, true);
  if (problem !== null) return wrong(problem);
  if ((kind === 'file' && outside(read.text)) || (kind === 'paths' && read.text.split(/\s+/).some(outside)))
    return wrong('It leads out of the directory the agent works in.');
  if (kind === 'file' && /(?:^|\/)\.?$/.test(read.text)) return wrong('It names a directory, not a file.');
  return { gate: made(kind, read.text, options) };
}

const outside = (path: string): boolean => path.startsWith('/') || path.split('/').includes('..');

function made(kind: GateKind, text: string, options: { timeout: string; proof: string }): GateSpec {
  switch (kind) {
    case 'command':
      return {
        kind: 'command',
        command: text,
        timeout_s: options.timeout === '' ? TIMEOUT_S_DEFAULT : Number(options.timeout),
        ...(options.proof === '' ? {} : { proof: options.proof }),
      };
    case 'file':
      return { kind: 'file', path: text };
    case 'diff':
      return { kind: 'diff_not_empty' };
    case 'paths':
      return { kind: 'diff_within', paths: text.split(/\s+/) };
    case 'max-lines':
      return { kind: 'max_lines', lines: Number(text) };
    case 'no-duplicates':
      return { kind: 'no_duplicates', lines: Number(text) };
    case 'no-secrets':
      return { kind: 'no_secrets' };
    case 'ci':
      return { kind: 'ci', name: text };
    case 'reviewer':
      return { kind: 'reviewer', agent: text === 'any' ? null : text };
    case 'human':
      return { kind: 'human', question: text };
  }
}

/** What stands before the colon, in its brackets, and behind it. */
function split(line: string): { kind: string; options: string | null; text: string } | null {
  const colon = line.indexOf(':');
  if (colon < 0) return null;
  const open = line.indexOf('(');
  if (open < 0 || open > colon)
    return { kind: line.slice(0, colon).trim(), options: null, text: line.slice(colon + 1).trim() };
  // The bracket that closes is not one in quotes.
  const inside = /^\(((?:[^")\\]|"(?:[^"\\]|\\.)*")*)\)\s*:(.*)$/s.exec(line.slice(open));
  if (inside === null) return null;
  return { kind: line.slice(0, open).trim(), options: inside[1] ?? '', text: (inside[2] ?? '').trim() };
}

function optionsOf(text: string): { timeout: string; proof: string } | null {
  const found = { timeout: '', proof: '' };
  let left = text.trim();
  while (left !== '') {
    const one = /^(timeout|proof)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^",]*))\s*(?:,\s*|$)/s.exec(left);
    if (one === null) return null;
    found[one[1] as 'timeout' | 'proof'] = (one[2]?.replace(/\\(.)/gs, '$1') ?? one[3] ?? '').trim();
    left = left.slice(one[0].length);
  }
  return found;
}

/** All lines that are not blank, and the first that is wrong. */
export function readLines(text: string): { gates: GateSpec[]; problem: string | null } {
  const gates: GateSpec[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const read = readLine(line.trim());
    if ('problem' in read) return { gates, problem: `Line ${index + 1}: ${read.problem}` };
    gates.push(read.gate);
  }
  return { gates, problem: null };
}
