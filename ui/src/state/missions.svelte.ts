/** The missions: one list, kept fresh by reading again what events speak of. */
import type { Api, Ask } from '../backend/api';
import type { EditMission, Event, MissionDetail, MissionView, NewMission, Wish } from '../backend/types';
import type { Fields } from './missiondraft';

/** Missions read for the board and the list; older ones are found by search. */
export const MISSIONS_READ = 1_000;
const PAGE = 500;
/** From this many changed missions on, reading the list is cheaper. */
const ONE_BY_ONE_MAX = 6;
/** Waiting reasons depend on other missions: the list is read again when things have settled. */
const SETTLE_MS = 1_500;

/** A detail without what only details have. */
export function summary(detail: MissionDetail): MissionView {
  const {
    brief: _brief,
    evidence: _evidence,
    attempts: _attempts,
    owner: _owner,
    dependencies: _dependencies,
    dependents: _dependents,
    actual_s: _actual,
    estimate_error_percent: _error,
    checkpoints: _checkpoints,
    similar: _similar,
    ...view
  } = detail;
  return view;
}

export class Missions {
  /** Newest first. */
  list = $state.raw<readonly MissionView[]>([]);
  ready = $state(false);
  /** Whether there are older ones than those read. */
  more = $state(false);
  /** A new mission that was begun and neither created nor thrown away. */
  kept = $state.raw<Fields | null>(null);
  byId = $derived(new Map(this.list.map((mission) => [mission.id, mission])));

  #touched = new Set<string>();
  #busy = false;
  #settle: ReturnType<typeof setTimeout> | null = null;
  #reading = 0;

  constructor(private readonly api: Api) {}

  async read(): Promise<void> {
    const reading = ++this.#reading;
    const all: MissionView[] = [];
    let cursor: string | undefined;
    do {
      const page = await this.api.missions({ cursor, limit: PAGE });
      all.push(...page.items);
      cursor = page.next ?? undefined;
    } while (cursor !== undefined && all.length < MISSIONS_READ);
    // A later reading has already answered.
    if (reading !== this.#reading) return;
    this.list = all;
    this.more = cursor !== undefined;
    this.ready = true;
  }

  /** Takes note of what events speak of. */
  apply(events: readonly Event[]): void {
    for (const { subject, fact } of events) {
      if (fact.kind === 'mission_removed') this.list = this.list.filter(({ id }) => id !== fact.mission_id);
      else if (subject.mission_id) this.#touched.add(subject.mission_id);
    }
    if (this.#touched.size > 0) void this.#catchUp();
  }

  async #catchUp(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      while (this.#touched.size > 0) {
        const ids = [...this.#touched];
        this.#touched.clear();
        if (ids.length > ONE_BY_ONE_MAX) await this.read();
        else for (const detail of await Promise.all(ids.map((id) => this.api.mission(id)))) this.put(detail);
      }
    } catch {
      // The connection says so by itself and reads everything again when it is back.
    } finally {
      this.#busy = false;
      if (this.#settle !== null) clearTimeout(this.#settle);
      this.#settle = setTimeout(() => void this.read().catch(() => undefined), SETTLE_MS);
    }
  }

  put(detail: MissionDetail): void {
    const view = summary(detail);
    const known = this.byId.has(view.id);
    this.list = known ? this.list.map((one) => (one.id === view.id ? view : one)) : [view, ...this.list];
  }

  async add(mission: NewMission): Promise<MissionDetail> {
    return this.#put(await this.api.addMission(mission));
  }

  async edit(id: string, change: EditMission, version: string | null = null): Promise<MissionDetail> {
    return this.#put(await this.api.editMission(id, change, version));
  }

  async remove(id: string): Promise<void> {
    await this.api.removeMission(id);
    this.list = this.list.filter((one) => one.id !== id);
  }

  async ask(id: string, ask: Ask, wish: Partial<Wish> = {}): Promise<MissionDetail> {
    return this.#put(await this.api.ask(id, ask, wish));
  }

  async assign(id: string, agent: string | null): Promise<MissionDetail> {
    return this.#put(await this.api.assign(id, agent));
  }

  #put(detail: MissionDetail): MissionDetail {
    this.put(detail);
    return detail;
  }
}
