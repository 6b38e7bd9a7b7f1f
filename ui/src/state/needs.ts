/** What needs the captain, each thing once: a request is not counted again as its mission and its agent. */
import type { MessageView, RequestView } from '../backend/agenttypes';
import type { AgentView, MissionView } from '../backend/types';
import { deferred } from './inbox.svelte';
import { STUCK } from './swarm.svelte';

export interface Needs {
  requests: RequestView[];
  /** Messages that could not be delivered. */
  quarantined: readonly MessageView[];
  /** Missions that wait for an answer, of which no request is known. */
  asking: MissionView[];
  reviews: MissionView[];
  /** Agents that only the captain can help. */
  stuck: AgentView[];
}

interface Waiting {
  requests: readonly RequestView[];
  quarantined: readonly MessageView[];
}

export function needsOf(
  missions: readonly MissionView[],
  agents: readonly AgentView[],
  inbox: Waiting,
  now: number,
): Needs {
  const requests = inbox.requests.filter((request) => !deferred(request, now));
  const asked = new Set(inbox.requests.map((request) => request.mission_id));
  const askers = new Set(inbox.requests.map((request) => request.agent_id));
  const asking = missions.filter((mission) => mission.state === 'needs_input');
  const waiting = new Set(asking.map((mission) => mission.id));
  const told = (agent: AgentView) =>
    agent.status.state === 'waiting_for_captain' &&
    (askers.has(agent.id) || waiting.has(agent.current?.mission_id ?? ''));
  return {
    requests,
    quarantined: inbox.quarantined,
    asking: asking.filter((mission) => !asked.has(mission.id)),
    reviews: missions.filter((mission) => mission.state === 'in_review'),
    stuck: agents.filter((agent) => STUCK.includes(agent.status.state) && !told(agent)),
  };
}

export const countOf = (needs: Needs): number =>
  needs.requests.length +
  needs.quarantined.length +
  needs.asking.length +
  needs.reviews.length +
  needs.stuck.length;
