/** Whether this machine has a network. Nothing of the engine's own needs one. */

/** What does not work without a network, in words. */
export const REMOTE: readonly string[] = [
  'agents whose model is elsewhere',
  'remotes of repositories',
  'links to the web',
];

export class Network {
  online = $state(true);

  /** Follows what the system says. */
  start(
    target: Pick<Window, 'addEventListener'> = window,
    known: Pick<Navigator, 'onLine'> = navigator,
  ): void {
    this.online = known.onLine;
    target.addEventListener('online', () => {
      this.online = true;
    });
    target.addEventListener('offline', () => {
      this.online = false;
    });
  }
}
