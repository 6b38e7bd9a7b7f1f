/** The attempts of a page of missions, read one mission at a time and kept until the mission changes. */
import type { Api } from '../backend/api';
import type { AttemptView, MissionView } from '../backend/types';

/** Missions read at the same time. */
const AT_ONCE = 4;

interface Kept {
  /** When the mission had changed last. */
  at: string;
  attempts: readonly AttemptView[];
}

export class Attempts {
  #kept = $state.raw<ReadonlyMap<string, Kept>>(new Map());
  /** Missions still to be read. */
  left = $state(0);
  error = $state.raw<unknown>(null);
  #turn = 0;

  constructor(private readonly api: Pick<Api, 'mission'>) {}

  /** What is known of a mission's attempts; nothing before they were read. */
  of(id: string): readonly AttemptView[] | null {
    return this.#kept.get(id)?.attempts ?? null;
  }

  /** Reads the attempts of those that changed; a later call takes over from an earlier one. */
  async read(missions: readonly MissionView[]): Promise<void> {
    this.#turn += 1;
    const turn = this.#turn;
    const wanted = missions.filter(
      ({ id, updated_at, attempt_count }) => attempt_count > 0 && this.#kept.get(id)?.at !== updated_at,
    );
    this.left = wanted.length;
    this.error = null;
    const queue = [...wanted];
    const work = async () => {
      for (let next = queue.shift(); next !== undefined && turn === this.#turn; next = queue.shift()) {
        const { attempts, updated_at } = await this.api.mission(next.id);
        // What was read is true whoever asked for it, unless something newer came first.
        if ((this.#kept.get(next.id)?.at ?? '') <= updated_at)
          this.#kept = new Map(this.#kept).set(next.id, { at: updated_at, attempts });
        if (turn !== this.#turn) return;
        this.left -= 1;
      }
    };
    try {
      await Promise.all(Array.from({ length: AT_ONCE }, work));
    } catch (error) {
      if (turn !== this.#turn) return;
      this.#turn += 1;
      this.error = error;
      this.left = 0;
    }
  }
}
