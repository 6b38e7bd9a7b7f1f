/** The time for relative ages: one ticking value for the whole page. */

export class Now {
  ms = $state(Date.now());

  start(): void {
    setInterval(() => {
      if (!document.hidden) this.ms = Date.now();
    }, 1_000);
    document.addEventListener('visibilitychange', () => {
      this.ms = Date.now();
    });
  }
}
