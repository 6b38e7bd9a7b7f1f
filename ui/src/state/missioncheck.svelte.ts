/** What the engine would make of a mission, asked while it is typed; the newest question wins. */
import type { Api } from '../backend/api';
import type { MissionCheck, NewMission } from '../backend/types';

/** How long nothing is typed before it is asked. */
export const ASK_AFTER_MS = 400;

export class Checking {
  value = $state.raw<MissionCheck | null>(null);
  error = $state.raw<unknown>(null);
  busy = $state(false);
  #abort: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(private readonly api: Pick<Api, 'checkMission'>) {}

  /** Asks once nothing was changed for a moment; a question under way is called off. */
  ask(mission: NewMission): void {
    this.stop();
    this.#timer = setTimeout(() => void this.#ask(mission), ASK_AFTER_MS);
  }

  /** Calls off what is asked or is about to be. */
  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#abort?.abort();
    this.#abort = null;
    this.busy = false;
  }

  /** Forgets the answer. */
  clear(): void {
    this.stop();
    this.value = null;
    this.error = null;
  }

  async #ask(mission: NewMission): Promise<void> {
    const abort = new AbortController();
    this.#abort = abort;
    this.busy = true;
    try {
      const value = await this.api.checkMission({ ...mission, if_similar: 'create' }, abort.signal);
      if (abort.signal.aborted) return;
      this.value = value;
      this.error = null;
    } catch (error) {
      if (abort.signal.aborted) return;
      this.error = error;
    }
    this.busy = false;
  }
}
