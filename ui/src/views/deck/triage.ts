/** Everything in the order of triage: needs you, working, review, idle, done. */
import type { Tone } from '../../kit/tone';
import { AGENT_STATES, byTriage, lastLine, says } from '../../parts/agent/words';
import { MISSION_STATES } from '../../parts/mission/words';
import { type Needs, needsOf } from '../../state/needs';
import { href } from '../../state/router.svelte';
import type { AgentView, MessageView, MissionState, MissionView, RequestView } from '../../state/types';

export interface Item {
  key: string;
  link: string;
  /** A mission's readable id; nothing for an agent. */
  id: string | null;
  title: string;
  /** The exact question, reason or latest action. */
  line: string;
  agent: string | null;
  since: string;
  word: string;
  tone: Tone;
  glyph: (typeof MISSION_STATES)[MissionState]['glyph'];
}

export interface Group {
  name: string;
  items: Item[];
  /** How many there are in all. */
  total: number;
  /** What of the total is not among its items. */
  about: string;
  none: string;
}

/** Finished missions shown. */
const DONE_SHOWN = 8;
const SHOWN = 40;
const LINE_CHARS = 240;

function ofMission(mission: MissionView, byId: ReadonlyMap<string, AgentView>): Item {
  const worker = [...byId.values()].find((agent) => agent.current?.mission_id === mission.id);
  return {
    key: mission.id,
    link:
      mission.state === 'needs_input' && worker?.requests_open
        ? href('inbox')
        : href(mission.state === 'in_review' ? 'review' : 'missions', mission.short_id),
    id: mission.short_id,
    title: mission.title,
    line: (worker && lastLine(worker)) ?? mission.reason ?? '',
    agent: mission.agent_name ?? null,
    since: mission.updated_at,
    ...MISSION_STATES[mission.state],
  };
}

function ofAgent(agent: AgentView): Item {
  const { word, tone, glyph } = AGENT_STATES[agent.status.state];
  return {
    key: agent.id,
    link: agent.requests_open ? href('inbox') : href('agents', agent.id),
    id: null,
    title: agent.name,
    line: `${agent.status.reason} · ${says(agent.status)}`,
    agent: null,
    since: agent.status.since,
    word,
    tone,
    glyph,
  };
}

function ofRequest(request: RequestView): Item {
  const { ask } = request;
  const exact = ask.kind === 'question' ? ask.text : (ask.permission.command ?? ask.permission.title);
  return {
    key: request.id,
    link: href('inbox', request.id),
    id: request.short_id ?? null,
    title: ask.kind === 'question' ? 'A question' : ask.permission.title,
    line: exact.replace(/\s+/g, ' ').slice(0, LINE_CHARS),
    agent: request.agent ?? null,
    since: request.asked_at,
    word: ask.kind === 'question' ? 'asks' : 'asks for a permission',
    tone: 'you',
    glyph: ask.kind === 'question' ? 'question' : 'bang',
  };
}

const ofMessage = (message: MessageView): Item => ({
  key: message.id,
  link: href('inbox', message.id),
  id: null,
  title: 'A message could not be delivered',
  line: message.problem ?? message.text.slice(0, LINE_CHARS),
  agent: message.agent ?? null,
  since: message.queued_at,
  word: 'in quarantine',
  tone: 'bad',
  glyph: 'bang',
});

export function triage(
  missions: readonly MissionView[],
  agents: readonly AgentView[],
  needs: Needs = needsOf(missions, agents, { requests: [], quarantined: [] }, 0),
): Group[] {
  const byMission = new Map(agents.flatMap((agent) => (agent.current ? [[agent.id, agent] as const] : [])));
  const pick = (...states: MissionState[]) =>
    missions
      .filter((mission) => states.includes(mission.state))
      .map((mission) => ofMission(mission, byMission));
  const group = (name: string, none: string, all: Item[], shown = SHOWN): Group => ({
    name,
    none,
    items: all.slice(0, shown),
    total: all.length,
    about: '',
  });
  const reviews = pick('in_review');
  const asking = [
    ...needs.requests.map(ofRequest),
    ...needs.quarantined.map(ofMessage),
    ...needs.asking.map((mission) => ofMission(mission, byMission)),
    ...[...needs.stuck].sort(byTriage).map(ofAgent),
  ];
  const free = agents
    .filter((agent) => ['idle', 'paused', 'offline'].includes(agent.status.state))
    .sort(byTriage)
    .map(ofAgent);
  const nothing = reviews.length > 0 ? 'Nothing but the reviews below.' : 'Nothing waits for you.';
  const asks = group('Needs you', nothing, asking);
  return [
    {
      ...asks,
      // The one number of what needs the captain; reviews are part of it and have their own place below.
      total: asks.total + reviews.length,
      about: reviews.length > 0 ? `${reviews.length} to review, below` : '',
    },
    group('Working', 'No mission is being worked on.', pick('running', 'verifying', 'assigned')),
    group('Review', 'No work waits for your review.', reviews),
    group('Idle', 'No agent is free and nothing is queued.', [...pick('queued', 'paused', 'draft'), ...free]),
    group('Done', 'Finished missions will be here.', pick('done', 'failed', 'cancelled'), DONE_SHOWN),
  ];
}
