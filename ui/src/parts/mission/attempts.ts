/** What the states of an attempt look like. */
import type { Glyph, Tone } from '../../kit/tone';
import type { AttemptState, AttemptView } from '../../state/types';

interface Look {
  tone: Tone;
  glyph: Glyph;
}

const STATES: Record<AttemptState, Look> = {
  leased: { tone: 'work', glyph: 'half' },
  starting: { tone: 'work', glyph: 'half' },
  running: { tone: 'work', glyph: 'play' },
  exited: { tone: 'work', glyph: 'stop' },
  verifying: { tone: 'work', glyph: 'loop' },
  accepted: { tone: 'ok', glyph: 'check' },
  rejected: { tone: 'bad', glyph: 'cross' },
  lost: { tone: 'bad', glyph: 'question' },
  stopped: { tone: 'idle', glyph: 'stop' },
};

/** Where an attempt stands, as a word with its look. */
export function attemptWords(
  attempt: Pick<AttemptView, 'state' | 'stopping' | 'in_review' | 'frozen'>,
): Look & { word: string } {
  const look = STATES[attempt.state];
  if (attempt.stopping) return { ...look, word: 'stopping' };
  if (attempt.in_review) return { tone: 'review', glyph: 'eye', word: 'in review' };
  if (attempt.frozen) return { tone: 'idle', glyph: 'pause', word: 'held' };
  return { ...look, word: attempt.state };
}
