/** The swarm as it is now: the overview and every agent, replaced once per animation frame. */
import type { Api } from '../backend/api';
import type { AgentState, AgentView, Event, Frame, Overview } from '../backend/types';

/** Events kept for the activity list. */
export const EVENTS_KEPT = 200;

/** States out of which only the captain helps an agent; one whose program is missing may simply not be needed. */
export const STUCK: readonly AgentState[] = ['waiting_for_captain', 'lost_signal', 'crash_looping'];

/** Puts changed agents into a list without touching the others; the order stays, new ones come last. */
export function merged(
  list: readonly AgentView[],
  changed: readonly AgentView[],
  removed: ReadonlySet<string>,
): AgentView[] {
  const byId = new Map(changed.map((agent) => [agent.id, agent]));
  const next: AgentView[] = [];
  for (const agent of list) {
    if (removed.has(agent.id)) continue;
    next.push(byId.get(agent.id) ?? agent);
    byId.delete(agent.id);
  }
  for (const agent of byId.values()) if (!removed.has(agent.id)) next.push(agent);
  return next;
}

/** How many are in one of these states. */
export const counted = (
  by: Readonly<Record<string, number>> | undefined,
  states: readonly string[],
): number => states.reduce((sum, state) => sum + (by?.[state] ?? 0), 0);

export class Swarm {
  overview = $state.raw<Overview | null>(null);
  agents = $state.raw<readonly AgentView[]>([]);
  /** Newest first. */
  events = $state.raw<readonly Event[]>([]);
  /** Whether the first reading has succeeded. */
  ready = $state(false);
  /** Its state and grade as a whole. */
  health = $derived(this.overview?.swarm ?? null);
  byId = $derived(new Map(this.agents.map((agent) => [agent.id, agent])));

  /** What changed while a reading is under way is newer than the reading. */
  #meanwhile: { changed: Map<string, AgentView>; removed: Set<string> } | null = null;

  constructor(private readonly api: Api) {}

  async read(): Promise<void> {
    const meanwhile = { changed: new Map<string, AgentView>(), removed: new Set<string>() };
    this.#meanwhile = meanwhile;
    const [overview, agents, events] = await Promise.all([
      this.api.overview(),
      this.api.agents(),
      this.api.events({ limit: EVENTS_KEPT }),
    ]);
    if (this.#meanwhile === meanwhile) this.#meanwhile = null;
    this.overview = overview;
    this.agents = merged(agents, [...meanwhile.changed.values()], meanwhile.removed);
    this.events = newest(events, this.events);
    this.ready = true;
  }

  apply(frames: readonly Frame[]): void {
    const changed = new Map<string, AgentView>();
    const removed = new Set<string>();
    const events: Event[] = [];
    let overview: Overview | null = null;
    for (const { payload } of frames) {
      if (payload.kind === 'signals') overview = payload.overview;
      else if (payload.kind === 'events') events.push(...payload.events);
      else if (payload.kind === 'agents') {
        for (const agent of payload.agents) {
          changed.set(agent.id, agent);
          removed.delete(agent.id);
        }
        for (const id of payload.removed) {
          removed.add(id);
          changed.delete(id);
        }
      }
    }
    for (const [id, agent] of changed) this.#meanwhile?.changed.set(id, agent);
    for (const id of removed) this.#meanwhile?.removed.add(id);
    if (overview) this.overview = overview;
    if (changed.size > 0 || removed.size > 0)
      this.agents = merged(this.agents, [...changed.values()], removed);
    if (events.length > 0) this.events = newest(events, this.events);
  }

  /** Shows an answer at once, without waiting for the stream to bring it. */
  put(agent: AgentView): void {
    this.agents = merged(this.agents, [agent], new Set());
  }

  drop(id: string): void {
    this.agents = merged(this.agents, [], new Set([id]));
  }
}

function newest(some: readonly Event[], known: readonly Event[]): Event[] {
  const bySeq = new Map([...known, ...some].map((event) => [event.seq, event]));
  return [...bySeq.values()].sort((a, b) => b.seq - a.seq).slice(0, EVENTS_KEPT);
}
