/** One thing read from the engine and read again when asked; the newest answer wins. */

export class Detail<T> {
  value = $state.raw<T | null>(null);
  error = $state.raw<unknown>(null);
  loading = $state(false);
  #turn = 0;

  constructor(private readonly load: () => Promise<T>) {}

  async read(): Promise<void> {
    this.#turn += 1;
    const turn = this.#turn;
    this.loading = true;
    try {
      const value = await this.load();
      if (turn === this.#turn) {
        this.value = value;
        this.error = null;
      }
    } catch (error) {
      if (turn === this.#turn) this.error = error;
    } finally {
      if (turn === this.#turn) this.loading = false;
    }
  }

  put(value: T): void {
    this.#turn += 1;
    this.value = value;
    this.error = null;
    this.loading = false;
  }
}
