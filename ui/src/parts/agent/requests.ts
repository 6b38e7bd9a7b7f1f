/** What an agent asks for, in words. */
import type { RequestView } from '../../state/types';

/** What it says of itself. */
export const titleOf = ({ ask }: RequestView): string =>
  ask.kind === 'question' ? ask.text : ask.permission.title;

/** The exact thing that is asked for, in one line. */
export function lineOf(request: RequestView): string {
  const { ask } = request;
  if (ask.kind === 'question') return ask.text;
  const { permission } = ask;
  if (permission.command) return permission.command;
  const [first, ...more] = permission.changes;
  if (first) return more.length > 0 ? `${first.path} and ${more.length} more` : first.path;
  return permission.places[0] ?? permission.input ?? permission.title;
}

/** Whether a text begins as a pattern of a rule does, and goes on. */
export const isPattern = (text: string): boolean => /^(?:run|edit|read|tool|fetch):\s*\S/.test(text.trim());
export const PATTERN_PROBLEM = 'Begin with run:, edit:, read:, tool: or fetch: and say what.';
