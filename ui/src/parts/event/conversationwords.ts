/** What happened between the captain and the agents, in words. */

import { duration } from '../../kit/time';
import type { Glyph, Tone } from '../../kit/tone';
import { plural } from '../../kit/units';
import type { Fact, RequestEnd } from '../../state/types';
import { sourceName } from '../conversation/words';

export interface Sentence {
  text: string;
  tone: Tone;
  glyph: Glyph;
}

export const say = (text: string, tone: Tone = 'idle', glyph: Glyph = 'dot'): Sentence => ({
  text,
  tone,
  glyph,
});

/** Those facts that this file has words for. */
export type ConversationFact = Extract<
  Fact,
  {
    kind:
      | `message_${string}`
      | `messages_${string}`
      | `request_${string}`
      | `rule_${string}`
      | 'usage_measured'
      | 'context_crossed'
      | 'attempt_acknowledged'
      | 'attempt_rescued'
      | 'report_taken';
  }
>;

const MESSAGE_CHARS = 160;
const short = (text: string): string => {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > MESSAGE_CHARS ? `${line.slice(0, MESSAGE_CHARS)}…` : line;
};

function ended(end: RequestEnd, agent: string): Sentence {
  switch (end.kind) {
    case 'once':
      return say(`${agent} was allowed to, once`, 'ok', 'check');
    case 'always':
      return say(`${agent} was allowed to, and always from now on`, 'ok', 'check');
    case 'denied':
      return say(`${agent} was not allowed to${end.note ? ` — ${short(end.note)}` : ''}`, 'warn', 'slash');
    case 'answered':
      return say(`${agent} got its answer: ${short(end.text)}`, 'ok', 'check');
    case 'withdrawn':
      return say(`what ${agent} asked needs no answer any more: ${end.why}`, 'idle', 'slash');
  }
}

type Rescued = Extract<Fact, { kind: 'attempt_rescued' }>;

const RESCUES: Record<Rescued['step'], string> = {
  nudge: 'was nudged',
  rescue: 'had its turn called off',
  captain: 'needs you to look at it',
  restart: 'is started again',
};

const rescued = ({ step, silent_s }: Rescued, agent: string): Sentence =>
  say(
    `${agent} ${RESCUES[step]}: no sign of life for ${duration(silent_s * 1000)}`,
    step === 'captain' ? 'you' : 'warn',
    step === 'restart' ? 'loop' : 'bang',
  );

export function told(fact: ConversationFact, agent: string): Sentence {
  switch (fact.kind) {
    case 'message_queued':
      return say(
        `${sourceName(fact.message.from)} to ${agent}${fact.message.urgency === 'urgent' ? ', urgent' : ''}: ${short(fact.message.text)}`,
        'idle',
        'pen',
      );
    case 'messages_delivered':
      return say(`${plural(fact.message_ids.length, 'message')} delivered to ${agent}`, 'work', 'half');
    case 'messages_started':
      return say(`${agent} acts on ${plural(fact.message_ids.length, 'message')}`, 'work', 'play');
    case 'messages_acknowledged':
      return say(`${agent} answered to ${plural(fact.message_ids.length, 'message')}`, 'ok', 'check');
    case 'message_failed':
      return say(
        `a message to ${agent} could not be delivered${fact.quarantined ? ' and waits for you' : ''}: ${fact.problem}`,
        fact.quarantined ? 'bad' : 'warn',
        'bang',
      );
    case 'message_retried':
      return say(`a message to ${agent} is delivered again`, 'idle', 'loop');
    case 'message_discarded':
      return say(`a message to ${agent} was discarded`, 'idle', 'slash');
    case 'request_asked': {
      const { ask } = fact.request;
      return say(
        `${agent} asks: ${short(ask.kind === 'question' ? ask.text : ask.permission.title)}`,
        'you',
        'question',
      );
    }
    case 'request_ended':
      return ended(fact.end, agent);
    case 'request_deferred':
      return say(`what ${agent} asked was put off`, 'idle', 'pause');
    case 'request_told':
      return say(`${agent} knows the answer`, 'idle', 'check');
    case 'rule_added':
      return say(
        `from now on ${fact.rule.allow ? 'allowed' : 'forbidden'}: ${fact.rule.pattern}`,
        'idle',
        'pen',
      );
    case 'rule_removed':
      return say('a permission rule was removed', 'idle', 'slash');
    case 'usage_measured':
      return say(`the usage of ${agent} was measured`);
    case 'context_crossed':
      return say(`the context of ${agent} is more than ${fact.percent} % full`, 'warn', 'bang');
    case 'attempt_acknowledged':
      return say(`${agent} knows what to do: ${short(fact.said)}`, 'work', 'check');
    case 'attempt_rescued':
      return rescued(fact, agent);
    case 'report_taken':
      return fact.problem
        ? say(`a report of ${agent} is in quarantine: ${fact.problem}`, 'warn', 'bang')
        : say(`a report of ${agent} was applied`, 'idle', 'pen');
    default:
      // A newer engine tells of something this page does not know; it is named, not hidden.
      return say(`something happened: ${String((fact as { kind: unknown }).kind).replace(/_/g, ' ')}`);
  }
}
