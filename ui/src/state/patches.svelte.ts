/** The patches of one attempt's work, read file by file when they are looked at. */
import type { WorkApi } from '../backend/workapi';
import type { ChangedFile, PatchView } from '../backend/worktypes';

export type Loaded =
  | { kind: 'reading' }
  | { kind: 'read'; patch: PatchView }
  | { kind: 'failed'; error: unknown };

/** Patches kept; those read first make room. */
export const PATCHES_KEPT = 30;

export class Patches {
  #known = $state.raw<ReadonlyMap<string, Loaded>>(new Map());

  constructor(private readonly work: Pick<WorkApi, 'patch'>) {}

  of(commit: string, file: ChangedFile): Loaded | null {
    return this.#known.get(keyOf(commit, file)) ?? null;
  }

  /** Reads a file's patch unless it is there or under way. */
  async read(attempt: string, commit: string, file: ChangedFile): Promise<void> {
    if (!file.exact || this.of(commit, file)?.kind === 'read' || this.of(commit, file)?.kind === 'reading')
      return;
    const key = keyOf(commit, file);
    this.#put(key, { kind: 'reading' });
    try {
      const patch = await this.work.patch(attempt, file.path, file.old_path ?? undefined);
      this.#put(key, { kind: 'read', patch });
    } catch (error) {
      this.#put(key, { kind: 'failed', error });
    }
  }

  #put(key: string, loaded: Loaded): void {
    const next = new Map(this.#known);
    next.delete(key);
    next.set(key, loaded);
    for (const old of next.keys()) {
      if (next.size <= PATCHES_KEPT) break;
      next.delete(old);
    }
    this.#known = next;
  }
}

const keyOf = (commit: string, file: ChangedFile): string => `${commit} ${file.path}`;
