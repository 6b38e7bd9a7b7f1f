/** Attempts as bars over time. */
import type { Bar, Lane } from '../../kit/lanes';
import { plural } from '../../kit/units';
import type { AttemptView, MissionView } from '../../state/types';
import { attemptWords } from './attempts';
import { MISSION_STATES } from './words';

type Known = (id: string) => readonly AttemptView[] | null;

function bar(attempt: AttemptView, title: string): Bar {
  const { tone, glyph, word } = attemptWords(attempt);
  const said = [attempt.note, attempt.ended ? `The program ${attempt.ended}.` : null];
  return {
    id: attempt.id,
    from: Date.parse(attempt.leased_at),
    to: attempt.ended_at ? Date.parse(attempt.ended_at) : null,
    tone,
    glyph,
    title,
    about: [word, ...said.filter((line) => line !== null && line !== undefined)],
  };
}

/** One lane a mission, newest first; its bars are its attempts. */
export function byMission(missions: readonly MissionView[], known: Known): Lane[] {
  return missions.map((mission) => {
    const attempts = known(mission.id) ?? [];
    return {
      id: mission.id,
      title: mission.title,
      sub: `${mission.short_id} · ${MISSION_STATES[mission.state].word}`,
      bars: attempts.map((attempt) =>
        bar(attempt, `Attempt ${attempt.n}, ${attempt.agent ?? 'a removed agent'}`),
      ),
    };
  });
}

/** One lane an agent; its bars are its attempts at these missions. */
export function byAgent(missions: readonly MissionView[], known: Known): Lane[] {
  const lanes = new Map<string, { title: string; bars: Bar[] }>();
  for (const mission of missions) {
    for (const attempt of known(mission.id) ?? []) {
      const lane = lanes.get(attempt.agent_id) ?? { title: attempt.agent ?? 'a removed agent', bars: [] };
      lane.bars.push(bar(attempt, `${mission.short_id} ${mission.title}`));
      lanes.set(attempt.agent_id, lane);
    }
  }
  return [...lanes]
    .map(([id, { title, bars }]) => ({ id, title, sub: plural(bars.length, 'attempt'), bars }))
    .sort((a, b) => a.title.localeCompare(b.title));
}
