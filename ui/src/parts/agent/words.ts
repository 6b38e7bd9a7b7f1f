/** What the states of an agent look like and are called. */
import type { Glyph, Tone } from '../../kit/tone';
import { plural } from '../../kit/units';
import { visible } from '../../state/ansi';
import type {
  AgentActivity,
  AgentState,
  AgentStatus,
  AgentView,
  Confidence,
  Supervision,
} from '../../state/types';

interface Words {
  word: string;
  tone: Tone;
  glyph: Glyph;
  /** Whether a process of it is alive. */
  live: boolean;
  /** Its place in the order of triage, from 0. */
  rank: number;
}

export const AGENT_STATES: Record<AgentState, Words> = {
  waiting_for_captain: { word: 'waiting for you', tone: 'you', glyph: 'bang', live: true, rank: 0 },
  lost_signal: { word: 'lost signal', tone: 'bad', glyph: 'question', live: false, rank: 1 },
  crash_looping: { word: 'crash looping', tone: 'bad', glyph: 'loop', live: false, rank: 1 },
  offline: { word: 'offline', tone: 'bad', glyph: 'slash', live: false, rank: 2 },
  stalled: { word: 'stalled', tone: 'warn', glyph: 'dots', live: true, rank: 3 },
  quiet: { word: 'quiet', tone: 'warn', glyph: 'dots', live: true, rank: 4 },
  working: { word: 'working', tone: 'work', glyph: 'play', live: true, rank: 5 },
  starting: { word: 'starting', tone: 'work', glyph: 'half', live: true, rank: 6 },
  stopping: { word: 'stopping', tone: 'idle', glyph: 'stop', live: true, rank: 7 },
  idle: { word: 'idle', tone: 'idle', glyph: 'ring', live: false, rank: 8 },
  paused: { word: 'paused', tone: 'idle', glyph: 'pause', live: false, rank: 9 },
};

/** Every state in the order of triage. */
export const AGENT_ORDER = (Object.keys(AGENT_STATES) as AgentState[]).sort(
  (a, b) => AGENT_STATES[a].rank - AGENT_STATES[b].rank,
);

export const byTriage = (a: AgentView, b: AgentView): number =>
  AGENT_STATES[a.status.state].rank - AGENT_STATES[b.status.state].rank || a.name.localeCompare(b.name);

/** What it is doing, in one line. */
export const doing = (agent: AgentView): string =>
  agent.current ? `${agent.current.short_id} ${agent.current.title}` : agent.status.reason;

/** A text without the search path in it, which is long and says nothing to most people. */
export const withoutPath = (text: string): string => text.replace(/ \((?:\/[^():]*:)+[^():]*\)/g, '');

/** The marks of Markdown, which say nothing in one line of plain text. */
const MARKS = /\*\*|`+|^\s*(?:#{1,6}|>|[-*])\s+/g;

/** What it said or printed last, in one line. The last line of a terminal is a piece of its screen, which is none. */
export function lastLine({ runtime, last_line: line }: AgentView): string | null {
  if (!line || (runtime.kind === 'command' && runtime.terminal)) return null;
  return visible(runtime.kind === 'command' ? line : line.replace(MARKS, ''));
}

/** How many arguments a program is started with; nothing where there are none. */
export const argumentWords = (args: readonly string[]): string =>
  args.length === 0 ? '' : ` with ${plural(args.length, 'argument')}`;

/** How sure a state is. */
export const CONFIDENCES: Record<Confidence, { word: string; about: string }> = {
  certain: { word: 'certain', about: 'The system or the agent itself says so.' },
  likely: { word: 'likely', about: 'Several signs point to it; none of them is proof.' },
  guess: { word: 'a guess', about: 'Only one weak sign points to it.' },
};

/** What says that an agent is in its state, and how sure that is. */
export const says = (status: AgentStatus): string =>
  `says: ${status.signal} (${CONFIDENCES[status.confidence].word})`;

export const RUNTIMES = {
  command: { word: 'command', about: 'Any program. Exit code 0 claims completion.' },
  acp: {
    word: 'Agent Client Protocol',
    about:
      'A program that speaks the protocol: it asks before it acts, and can be told things while it works.',
  },
  headless: {
    word: 'headless',
    about: 'A program that does one mission and tells of it as lines; it cannot be told things meanwhile.',
  },
  attached: {
    word: 'attached',
    about:
      'A program that was started elsewhere on this machine and asks for its missions itself. It is known by its heartbeat alone.',
  },
} as const;

/** How the lines of a headless program of one's own are read. */
export const FORMATS: readonly { value: string; word: string }[] = [
  { value: 'text', word: 'plain text: all of it is what it says' },
  { value: 'claude', word: 'as Claude Code and Qwen Code print' },
  { value: 'codex', word: 'as Codex prints' },
  { value: 'gemini', word: 'as the Gemini CLI prints' },
  { value: 'opencode', word: 'as opencode prints' },
  { value: 'goose', word: 'as goose prints' },
  { value: 'copilot', word: 'as the Copilot CLI prints' },
  { value: 'chat', word: 'as Kimi Code prints: messages of a chat' },
  { value: 'aider', word: 'as aider prints' },
];

export const SUPERVISIONS: Record<Supervision, { word: string; about: string }> = {
  cgroup: {
    word: 'control group',
    about: 'Nothing can leave it; its limits hold for all processes together.',
  },
  namespace: { word: 'process namespace', about: 'It ends with its first process.' },
  session: { word: 'session', about: 'Below a subreaper, recognised by a mark in the environment.' },
  group: { word: 'process group', about: 'A process that leaves its group may be missed.' },
};

/** What its conversation is doing, in a line; nothing where nothing is seen of one. */
export function activityLine(activity: AgentActivity): string {
  const { phase } = activity;
  switch (phase.kind) {
    case 'opening':
      return 'was started and has not answered yet';
    case 'turn':
      return activity.tool
        ? `turn ${activity.turn}, uses ${activity.tool}`
        : `works on turn ${activity.turn}`;
    case 'asking':
      return `waits for ${phase.open} ${phase.open === 1 ? 'answer' : 'answers'} of yours`;
    case 'limited':
      return `made to wait by its provider: ${phase.said}`;
    case 'cancelling':
      return 'its turn was cancelled; it is about to stop';
    case 'ending':
      return 'the conversation is over';
  }
}
