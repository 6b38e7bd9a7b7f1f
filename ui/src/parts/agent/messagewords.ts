/** How far a message is, in words. Delivery is not activation: each step has a time of its own. */
import type { Glyph, Tone } from '../../kit/tone';
import type { AgentView, MessageState, MessageView } from '../../state/types';

export const MESSAGE_STATES: Record<MessageState, { word: string; tone: Tone; glyph: Glyph; about: string }> =
  {
    queued: { word: 'queued', tone: 'idle', glyph: 'dots', about: 'It waits for the agent.' },
    delivered: { word: 'delivered', tone: 'work', glyph: 'half', about: 'The agent’s program has it.' },
    started: { word: 'started', tone: 'work', glyph: 'play', about: 'The agent has begun to act on it.' },
    acknowledged: {
      word: 'acknowledged',
      tone: 'ok',
      glyph: 'check',
      about: 'The agent has answered to it.',
    },
    quarantined: {
      word: 'in quarantine',
      tone: 'bad',
      glyph: 'bang',
      about: 'It could not be delivered and waits for you.',
    },
    discarded: { word: 'discarded', tone: 'idle', glyph: 'slash', about: 'It is not delivered any more.' },
  };

/** When an agent hears what it is told now. */
export function whenHeard({ current, runtime }: Pick<AgentView, 'current' | 'runtime'>): string {
  if (!current) return 'It is not at work: it hears this with its next mission.';
  switch (runtime.kind) {
    case 'acp':
      return 'It hears this at the end of its turn, and goes on with it.';
    case 'attached':
      return 'It hears this with its next heartbeat, and reads it when it asks for it.';
    case 'headless':
      return 'It cannot be told things while it works: it hears this with its next mission.';
    case 'command':
      return runtime.terminal
        ? 'It hears this with its next mission. What it should hear now is typed into its terminal.'
        : 'It gets this as a file, which it has to look for.';
  }
}

export interface Step {
  word: string;
  /** When; nothing while it has not come so far. */
  at: string | null;
}

/** The four steps of a message. */
export const stepsOf = (message: MessageView): Step[] => [
  { word: 'queued', at: message.queued_at },
  { word: 'delivered', at: message.delivered_at ?? null },
  { word: 'started', at: message.started_at ?? null },
  { word: 'acknowledged', at: message.acknowledged_at ?? null },
];
