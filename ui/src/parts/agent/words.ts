/** What the states of an agent look like and are called. */
import type { Glyph, Tone } from '../../kit/tone';
import { STUCK } from '../../state/swarm.svelte';
import type { AgentState, AgentView } from '../../state/types';

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

/** Whether something is wrong with it that only the captain can put right. */
export const inTrouble = (agent: AgentView): boolean => STUCK.includes(agent.status.state);

/** What it is doing, in one line. */
export const doing = (agent: AgentView): string =>
  agent.current ? `${agent.current.short_id} ${agent.current.title}` : agent.status.reason;
