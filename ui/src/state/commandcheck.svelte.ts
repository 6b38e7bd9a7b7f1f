/** What a command line would start, asked while it is typed; the newest line wins. */
import type { Api } from '../backend/api';
import type { CommandCheck } from '../backend/types';

/** How long nothing is typed before it is asked. */
export const CHECK_AFTER_MS = 250;

export class CommandChecking {
  value = $state.raw<CommandCheck | null>(null);
  /** Why it could not be asked. */
  problem = $state<string | null>(null);
  #turn = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(private readonly api: Pick<Api, 'checkCommand'>) {}

  /** Asks once nothing was changed for a moment. What was known of another line is forgotten at once. */
  ask(line: string, directory: string): void {
    this.stop();
    this.value = null;
    this.problem = null;
    const [typed, at] = [line.trim(), directory.trim()];
    if (typed === '') return;
    this.#timer = setTimeout(() => void this.#ask(typed, at === '' ? null : at), CHECK_AFTER_MS);
  }

  /** Waits until it is known what the line would start, or why it is not. */
  async settled(): Promise<void> {
    while (this.#timer !== null) await new Promise((done) => setTimeout(done, CHECK_AFTER_MS / 5));
  }

  /** Calls off what is about to be asked; an answer under way is not heard. */
  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#turn += 1;
  }

  async #ask(line: string, directory: string | null): Promise<void> {
    const turn = this.#turn;
    try {
      const found = await this.api.checkCommand(line, directory);
      if (turn === this.#turn) this.value = found;
    } catch (error) {
      if (turn === this.#turn) this.problem = error instanceof Error ? error.message : String(error);
    }
    if (turn === this.#turn) this.#timer = null;
  }
}
