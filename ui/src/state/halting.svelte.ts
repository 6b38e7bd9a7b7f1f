/** Stopping everything: its own requests, independent of whatever else was read or hangs. */
import { Refusal } from '../backend/api';
import type { WorkApi } from '../backend/workapi';
import type { HaltView } from '../backend/worktypes';

type Stage =
  | { kind: 'closed' }
  | { kind: 'asking' }
  | { kind: 'stopping'; since: number }
  | { kind: 'stopped'; result: HaltView }
  | { kind: 'failed'; problem: Refusal };

export class Halting {
  stage = $state.raw<Stage>({ kind: 'closed' });
  resuming = $state(false);
  note = $state('');

  constructor(
    private readonly work: Pick<WorkApi, 'halt' | 'resumeSwarm'>,
    private readonly changed: () => void,
  ) {}

  get open(): boolean {
    return this.stage.kind !== 'closed';
  }

  /** Asks once; what is under way is not asked again. */
  ask(): void {
    if (this.stage.kind === 'closed') this.stage = { kind: 'asking' };
  }

  /** What has begun goes on; its result is shown when it is there. */
  close(): void {
    if (this.stage.kind !== 'stopping') this.stage = { kind: 'closed' };
  }

  async stop(): Promise<void> {
    if (this.stage.kind === 'stopping') return;
    this.stage = { kind: 'stopping', since: Date.now() };
    try {
      const note = this.note.trim();
      this.stage = { kind: 'stopped', result: await this.work.halt(note === '' ? null : note) };
      this.note = '';
    } catch (error) {
      const kept = 'It is not known whether anything was stopped. Try again: stopping twice does no harm.';
      this.stage = { kind: 'failed', problem: Refusal.of(error, kept) };
    }
    this.changed();
  }

  async resume(): Promise<void> {
    this.resuming = true;
    try {
      await this.work.resumeSwarm();
      this.changed();
    } finally {
      this.resuming = false;
    }
  }
}
