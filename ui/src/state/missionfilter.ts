/** Which missions are shown and how, kept in the address. */
import type { MissionView } from '../backend/types';

export type MissionLook = 'board' | 'list' | 'graph' | 'timeline';
export const LOOKS: readonly MissionLook[] = ['board', 'list', 'graph', 'timeline'];

export interface MissionFilter {
  look: MissionLook;
  text: string;
  /** The name of a column of the board, in small letters with hyphens. */
  group: string;
  label: string;
  agent: string;
  /** What the lanes of the timeline are. */
  lanes: 'missions' | 'agents';
}

/** Reads what the address says; what makes no sense is left out. */
export function readFilter(query: string, look: MissionLook): MissionFilter {
  const params = new URLSearchParams(query);
  return {
    look: LOOKS.find((one) => one === params.get('view')) ?? look,
    text: params.get('text') ?? '',
    group: params.get('group') ?? '',
    label: params.get('label') ?? '',
    agent: params.get('agent') ?? '',
    lanes: params.get('lanes') === 'agents' ? 'agents' : 'missions',
  };
}

/** The other way round; only what is not as usual is written. */
export function writeFilter({ look, text, group, label, agent, lanes }: MissionFilter): string {
  const params = new URLSearchParams({ view: look });
  if (text !== '') params.set('text', text);
  if (group !== '') params.set('group', group);
  if (label !== '') params.set('label', label);
  if (agent !== '') params.set('agent', agent);
  if (lanes !== 'missions') params.set('lanes', lanes);
  return params.toString();
}

/** Whether anything is filtered out. */
export const isFiltering = ({ text, group, label, agent }: MissionFilter): boolean =>
  text.trim() !== '' || group !== '' || label !== '' || agent !== '';

/** The missions that fit; `states` are those of the group. */
export function fitting(
  missions: readonly MissionView[],
  { text, label, agent }: MissionFilter,
  states: readonly string[] | null,
): MissionView[] {
  const wanted = text.trim().toLowerCase();
  return missions.filter(
    (mission) =>
      (states === null || states.includes(mission.state)) &&
      (agent === '' || mission.agent_name === agent) &&
      (label === '' || (mission.labels ?? []).includes(label)) &&
      (wanted === '' ||
        `${mission.short_id} ${mission.title} ${mission.reason ?? ''} ${(mission.labels ?? []).join(' ')}`
          .toLowerCase()
          .includes(wanted)),
  );
}

/** Every label of these missions, in the order of the alphabet. */
export const labelsOf = (missions: readonly MissionView[]): string[] =>
  [...new Set(missions.flatMap((mission) => mission.labels ?? []))].sort((a, b) => a.localeCompare(b));
