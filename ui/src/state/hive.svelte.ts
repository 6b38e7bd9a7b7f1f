/** Everything the screens share, made once over one backend. */
import { AgentApi } from '../backend/agentapi';
import { Api, Refusal } from '../backend/api';
import type { Backend } from '../backend/backend';
import { HealthApi } from '../backend/healthapi';
import { HouseApi } from '../backend/houseapi';
import type { Event, Frame } from '../backend/types';
import { WorkApi } from '../backend/workapi';
import { Connection } from './connection.svelte';
import { Follower } from './follower';
import { Halting } from './halting.svelte';
import { Inbox } from './inbox.svelte';
import { Missions } from './missions.svelte';
import { countOf, needsOf } from './needs';
import { Network } from './network.svelte';
import { Notices } from './notices.svelte';
import { Now } from './now.svelte';
import { Reviewing } from './reviewing.svelte';
import { Router } from './router.svelte';
import { Settings } from './settings.svelte';
import { Sheets } from './sheets.svelte';
import { Swarm } from './swarm.svelte';

export class Hive {
  readonly api: Api;
  readonly work: WorkApi;
  readonly agents: AgentApi;
  readonly house: HouseApi;
  readonly health: HealthApi;
  readonly inbox: Inbox;
  readonly halting: Halting;
  readonly swarm: Swarm;
  readonly missions: Missions;
  readonly connection: Connection;
  /** Conversations as they grow. */
  readonly talk: Follower;
  readonly network = new Network();
  readonly settings = new Settings();
  readonly notices = new Notices();
  readonly router = new Router();
  readonly sheets = new Sheets();
  readonly now = new Now();
  readonly reviewing = new Reviewing(localStorage);
  /** Counts readings of everything, for screens that read things of their own. */
  fresh = $state(0);
  /** Counts changes of devlogs. */
  devlogsChanged = $state(0);
  /** The first reading failed with this. */
  problem = $state.raw<unknown>(null);

  /** Everything that needs the captain, each thing once; what was put off comes back with the next change. */
  needs = $derived.by(() =>
    needsOf(
      this.missions.list,
      this.swarm.agents,
      this.inbox,
      Date.parse(this.swarm.overview?.now ?? '') || 0,
    ),
  );
  /** How much that is: the one number of the badge and the title. */
  waiting = $derived(countOf(this.needs));

  #listeners = new Set<(events: readonly Event[]) => void>();

  constructor(readonly backend: Backend) {
    this.api = new Api(backend);
    this.work = new WorkApi(backend);
    this.agents = new AgentApi(backend);
    this.house = new HouseApi(backend);
    this.health = new HealthApi(backend);
    this.inbox = new Inbox(this.agents);
    this.halting = new Halting(this.work, () => void this.read());
    this.swarm = new Swarm(this.api);
    this.missions = new Missions(this.api);
    this.connection = new Connection(
      backend,
      (frames) => this.#apply(frames),
      () => this.read(),
      () => this.#signedIn(),
    );
    this.talk = new Follower(this.agents, (topic, onFrame) => this.connection.follow(topic, onFrame));
  }

  start(): void {
    this.router.start();
    this.now.start();
    this.network.start();
    this.connection.start();
  }

  async read(): Promise<void> {
    try {
      await Promise.all([this.swarm.read(), this.missions.read()]);
      this.fresh += 1;
      void this.inbox.read();
      this.problem = null;
    } catch (error) {
      this.problem = error;
    }
  }

  /** Calls back with events as they come, until the answer is called. */
  listen(listener: (events: readonly Event[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async pauseAgent(id: string): Promise<void> {
    this.swarm.put(await this.api.pauseAgent(id));
  }

  async resumeAgent(id: string): Promise<void> {
    this.swarm.put(await this.api.resumeAgent(id));
  }

  async removeAgent(id: string): Promise<void> {
    await this.api.removeAgent(id);
    this.swarm.drop(id);
  }

  async startDemo(): Promise<void> {
    await this.api.startDemo();
    await this.read();
  }

  async removeDemo(): Promise<void> {
    await this.api.removeDemo();
    await this.read();
    this.devlogsChanged += 1;
  }

  #apply(frames: readonly Frame[]): void {
    this.swarm.apply(frames);
    // What stands in a snapshot is past, and was read with everything else.
    const events = frames.flatMap(({ payload, seq }) =>
      payload.kind === 'events' && typeof seq === 'number' ? payload.events : [],
    );
    if (events.length === 0) return;
    this.missions.apply(events);
    this.inbox.apply(events);
    if (events.some(({ fact }) => fact.kind === 'devlog_written' || fact.kind === 'devlog_removed')) {
      this.devlogsChanged += 1;
    }
    for (const listener of this.#listeners) listener(events);
  }

  async #signedIn(): Promise<boolean> {
    try {
      await this.api.overview();
      return true;
    } catch (error) {
      return !(error instanceof Refusal && error.status === 401);
    }
  }
}
