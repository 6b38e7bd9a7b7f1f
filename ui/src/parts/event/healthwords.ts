/** What happened to health, in words: checks, what they found, and maintenance. */
import { plural } from '../../kit/units';
import type { Fact } from '../../state/types';
import { type Sentence, say } from './conversationwords';

/** Those facts that this file has words for. */
export type HealthFact = Extract<
  Fact,
  { kind: `check_${string}` | 'checks_changed' | `maintenance_${string}` }
>;

type Change = Extract<Fact, { kind: 'checks_changed' }>['changes'][number];

const REPORTED: Record<Extract<Fact, { kind: 'check_reported' }>['report'], string> = {
  start: 'something that is waited for has begun',
  success: 'something that is waited for has reported',
  failure: 'something that is waited for said that it failed',
};

/** One change, in the words of its worst news. */
function changed(change: Change): Sentence {
  const why = change.reason ? `: ${change.reason}` : '';
  switch (change.to) {
    case 'ok':
      return say('a check is in order again', 'ok', 'check');
    case 'degraded':
      return say(`a check is degraded${why}`, 'warn', 'bang');
    case 'failed':
      return say(`a check has failed${why}`, 'bad', 'bang');
    case 'unknown':
      return say(`of a check nothing is known${why}`, 'idle', 'question');
  }
}

export function ofHealth(fact: HealthFact): Sentence {
  switch (fact.kind) {
    case 'check_saved':
      return fact.check.enabled
        ? say(`the check ${fact.check.name} was saved`, 'idle', 'pen')
        : say(`the check ${fact.check.name} is switched off`, 'idle', 'slash');
    case 'check_removed':
      return say('a check was removed', 'idle', 'slash');
    case 'check_reported':
      return say(REPORTED[fact.report], fact.report === 'failure' ? 'bad' : 'idle', 'check');
    case 'checks_changed': {
      const [first, ...more] = fact.changes;
      if (first && more.length === 0) return changed(first);
      const failed = fact.changes.filter((change) => change.to === 'failed').length;
      const all = plural(fact.changes.length, 'check');
      return failed > 0
        ? say(`${all} changed, and ${failed} failed`, 'bad', 'bang')
        : say(`${all} changed`, 'idle', 'loop');
    }
    case 'maintenance_saved':
      return say(
        fact.maintenance.note ? `maintenance was set: ${fact.maintenance.note}` : 'maintenance was set',
        'idle',
        'pen',
      );
    case 'maintenance_removed':
      return say('maintenance was called off', 'idle', 'slash');
  }
}
