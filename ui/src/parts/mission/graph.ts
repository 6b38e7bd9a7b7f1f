/** Missions and what they depend on, as a graph. */
import type { GraphNode } from '../../kit/graph';
import type { Link } from '../../kit/layered';
import type { MissionView } from '../../state/types';
import { MISSION_STATES } from './words';

export interface MissionNode extends GraphNode {
  short_id: string;
}

export interface Dependencies {
  nodes: MissionNode[];
  links: Link[];
  /** Missions shown that neither depend on another nor are depended on. */
  alone: number;
  /** Missions that are depended on and are not among those read. */
  unknown: number;
}

/** Those of the shown that have dependencies, and everything they depend on or that depends on them. */
export function dependencies(shown: readonly MissionView[], all: readonly MissionView[]): Dependencies {
  const byId = new Map(all.map((mission) => [mission.id, mission]));
  const inView = new Set(shown.map(({ id }) => id));
  const wanted = new Set<string>();
  const links: Link[] = [];
  const unknown = new Set<string>();
  for (const mission of all) {
    for (const before of mission.depends_on ?? []) {
      if (!inView.has(mission.id) && !inView.has(before)) continue;
      if (!byId.has(before)) {
        unknown.add(before);
        wanted.add(mission.id);
        continue;
      }
      wanted.add(before).add(mission.id);
      links.push({ from: before, to: mission.id });
    }
  }
  const nodes = all
    .filter(({ id }) => wanted.has(id))
    .map((mission) => {
      const { word, tone, glyph } = MISSION_STATES[mission.state];
      const { id, short_id, title } = mission;
      return { id, short_id, title, sub: `${short_id} · ${word}`, tone, glyph };
    });
  return {
    nodes,
    links,
    alone: shown.filter(({ id }) => !wanted.has(id)).length,
    unknown: unknown.size,
  };
}
