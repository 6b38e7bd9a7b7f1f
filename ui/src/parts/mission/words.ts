/** What the states, actions, grades and policies of a mission look like and are called. */
import type { Glyph, Tone } from '../../kit/tone';
import { NONE } from '../../kit/units';
import type {
  Ask,
  Grade,
  MissionInput,
  MissionState,
  MissionView,
  Priority,
  Verdict,
} from '../../state/types';

interface Words {
  word: string;
  tone: Tone;
  glyph: Glyph;
}

export const MISSION_STATES: Record<MissionState, Words> = {
  needs_input: { word: 'needs input', tone: 'you', glyph: 'bang' },
  in_review: { word: 'in review', tone: 'review', glyph: 'eye' },
  running: { word: 'running', tone: 'work', glyph: 'play' },
  verifying: { word: 'verifying', tone: 'work', glyph: 'loop' },
  assigned: { word: 'assigned', tone: 'work', glyph: 'half' },
  queued: { word: 'queued', tone: 'idle', glyph: 'dots' },
  paused: { word: 'paused', tone: 'idle', glyph: 'pause' },
  draft: { word: 'draft', tone: 'idle', glyph: 'pen' },
  failed: { word: 'failed', tone: 'bad', glyph: 'cross' },
  done: { word: 'done', tone: 'ok', glyph: 'check' },
  cancelled: { word: 'cancelled', tone: 'idle', glyph: 'slash' },
};

/** What the owner is to a mission in this state. */
export function ownerWord(state: MissionState): string {
  if (state === 'done' || state === 'failed' || state === 'cancelled') return 'worked on by';
  return state === 'draft' || state === 'queued' || state === 'paused' ? 'meant for' : 'in the hands of';
}

/** States in which what it is made of may be changed. */
export const EDITABLE: readonly MissionState[] = [
  'draft',
  'queued',
  'paused',
  'in_review',
  'failed',
  'cancelled',
];

/** States in which it may go to the trash. */
export const REMOVABLE: readonly MissionState[] = ['draft', 'done', 'failed', 'cancelled'];

/** States in which an agent may still be chosen. */
export const WAITS: readonly MissionState[] = ['draft', 'queued', 'paused', 'failed', 'cancelled'];

/** Whether the agent it was meant for is no more. */
export const agentRemoved = ({ waiting, agent, agent_name }: MissionView): boolean =>
  waiting?.kind === 'agent_removed' || Boolean(agent && !agent_name);

/** Who works on it or is meant to; nothing to say once others have tried it and nobody is chosen. */
export function whose(mission: MissionView): string {
  if (agentRemoved(mission)) return 'agent removed';
  if (mission.agent_name) return mission.agent_name;
  return mission.attempt_count > 0 && mission.state !== 'queued' ? NONE : 'any agent';
}

export interface Column {
  name: string;
  states: readonly MissionState[];
  /** What will appear here. */
  about: string;
}

/** The name of a column as it stands in addresses and test ids. */
export const slug = (name: string): string => name.toLowerCase().replace(' ', '-');

/** The board, from left to right. */
export const COLUMNS: readonly Column[] = [
  { name: 'Draft', states: ['draft'], about: 'Missions you keep for later.' },
  { name: 'Queue', states: ['queued', 'paused'], about: 'Missions that wait for an agent.' },
  { name: 'Working', states: ['assigned', 'running', 'verifying'], about: 'Missions an agent works on.' },
  { name: 'Needs you', states: ['needs_input', 'in_review'], about: 'Work that waits for your answer.' },
  { name: 'Done', states: ['done'], about: 'Missions proved done.' },
  {
    name: 'Failed',
    states: ['failed', 'cancelled'],
    about: 'Missions that came to nothing, with the reason.',
  },
];

/** What dropping a mission of this state on a column asks for; nothing where only the scheduler can move it. */
export function dropAsk(column: Column, from: MissionState): Ask | null {
  switch (column.name) {
    case 'Queue':
      if (from === 'draft') return 'queue';
      return from === 'paused' ? 'resume' : 'retry';
    case 'Done':
      return 'accept';
    case 'Failed':
      return from === 'in_review' ? 'reject' : 'cancel';
    default:
      return null;
  }
}

export const ASKS: Record<Ask, { word: string; hint: string; danger: boolean }> = {
  accept: { word: 'Accept', hint: 'The work is good: the mission is done.', danger: false },
  queue: { word: 'Queue', hint: 'Offer it to the agents.', danger: false },
  resume: { word: 'Resume', hint: 'Put it back into the queue.', danger: false },
  retry: { word: 'Retry', hint: 'Queue it for another attempt.', danger: false },
  pause: { word: 'Pause', hint: 'Hold it back.', danger: false },
  send_back: {
    word: 'Send back',
    hint: 'The agent gets your comments and goes on from its work.',
    danger: false,
  },
  reject: {
    word: 'Reject',
    hint: 'The work is not good: the mission has failed. The branch stays.',
    danger: true,
  },
  cancel: {
    word: 'Cancel',
    hint: 'Call it off and stop its processes. The branch and the output stay.',
    danger: true,
  },
};

/** What a request touches, to be read before it is confirmed. */
export function touches(
  ask: Ask,
  { state, agent_name, repository }: Pick<MissionView, 'state' | 'agent_name' | 'repository'>,
): string[] {
  const kept = repository
    ? 'Its branch, its worktree and its output stay.'
    : 'Its directory and its output stay.';
  if (ask === 'reject') return ['The mission has failed, because the work is not good.', kept];
  if (ask !== 'cancel') return [];
  if (state === 'running' || state === 'assigned')
    return [`The processes of ${agent_name ?? 'its agent'} are ended now.`, kept];
  if (state === 'verifying') return ['The gates that run are ended now.', kept];
  return ['Nothing of it runs.', kept];
}

const ASK_ORDER = Object.keys(ASKS) as Ask[];

/** What the captain may ask for, the likeliest first. */
export const asksOf = (allowed: readonly MissionInput[]): Ask[] =>
  ASK_ORDER.filter((ask) => allowed.includes(ask));

/** So many asks leave room for the title. */
const SHOWN_MAX = 3;

/** The rarer asks, which are in a menu where there are many. Work on a repository is also rejected on its review. */
export function foldedOf({ allowed, repository }: Pick<MissionView, 'allowed' | 'repository'>): Ask[] {
  const all = asksOf(allowed);
  const rare: readonly Ask[] = repository ? ['retry', 'reject', 'cancel'] : ['retry', 'cancel'];
  return all.length > SHOWN_MAX ? all.filter((ask) => rare.includes(ask)) : [];
}

export const GRADES: Record<Grade, { word: string; about: string; rank: number }> = {
  none: { word: 'none', about: 'nothing was proved', rank: 0 },
  self_report: { word: 'self-report', about: 'the agent says so', rank: 1 },
  observed: { word: 'observed', about: 'a gate the engine ran has passed', rank: 2 },
  independent: { word: 'independent', about: 'another agent or system confirmed it', rank: 3 },
  human: { word: 'human', about: 'you accepted it', rank: 4 },
};

export const PRIORITIES: Record<Priority, string> = {
  urgent: 'Urgent',
  high: 'High',
  normal: 'Normal',
  low: 'Low',
};

export const VERDICTS: Record<Verdict, Words> = {
  passed: { word: 'passed', tone: 'ok', glyph: 'check' },
  failed: { word: 'failed', tone: 'bad', glyph: 'cross' },
  timed_out: { word: 'timed out', tone: 'bad', glyph: 'dots' },
  broken: { word: 'broken', tone: 'bad', glyph: 'question' },
};

/** A share of one as a whole percentage. */
export const share = (part: number): string => `${Math.round(part * 100)} %`;

/** How far away a deadline is, and whether it has passed. */
export function deadlineWords(deadline: string, now: number): { text: string; late: boolean } {
  const left = Date.parse(deadline) - now;
  const late = left < 0;
  return { text: late ? `${largest(-left)} overdue` : `due in ${largest(left)}`, late };
}

/** A length of time by its largest unit. */
function largest(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return 'less than a minute';
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h`;
  return `${Math.floor(minutes / 1_440)} d`;
}

/** The error of an estimate: `20 % longer than estimated`. */
export function errorWords(percent: number): string {
  const whole = Math.round(percent);
  if (whole === 0) return 'as estimated';
  return whole > 0 ? `${whole} % longer than estimated` : `${-whole} % shorter than estimated`;
}
