/** The keys that work on every screen. */
import type { Hive } from '../../state/hive.svelte';
import type { Route, View } from '../../state/router.svelte';

export const KEYS: readonly { keys: string; does: string }[] = [
  { keys: 'Ctrl K', does: 'Search and do anything' },
  { keys: '?', does: 'Show these keys' },
  { keys: 'g d', does: 'Go to the deck' },
  { keys: 'g i', does: 'Go to the inbox' },
  { keys: 'g m', does: 'Go to the missions' },
  { keys: 'g r', does: 'Go to what is in review' },
  { keys: 'g a', does: 'Go to the agents' },
  { keys: 'g p', does: 'Go to the performance' },
  { keys: 'g h', does: 'Go to the health' },
  { keys: 'g l', does: 'Go to the devlogs' },
  { keys: 'g t', does: 'Go to the topics' },
  { keys: 'g w', does: 'Go to the worktrees and the trash' },
  { keys: 'g s', does: 'Go to the settings' },
  { keys: 'n', does: 'New mission' },
  { keys: 'Ctrl Shift .', does: 'Stop all agents, from everywhere' },
  { keys: 'Esc', does: 'Close what is open, then the latest notice' },
];

/** What is pressed while the missions are looked at. */
export const MISSION_KEYS: readonly { keys: string; does: string }[] = [
  { keys: '1', does: 'As a board' },
  { keys: '2', does: 'As a list' },
  { keys: '3', does: 'As a graph' },
  { keys: '4', does: 'On a timeline' },
];

const PLACES: Record<string, View> = {
  d: 'deck',
  i: 'inbox',
  m: 'missions',
  r: 'review',
  a: 'agents',
  p: 'performance',
  h: 'health',
  l: 'devlogs',
  t: 'topics',
  w: 'places',
  s: 'settings',
};
/** How long a `g` waits for its second key. */
const PREFIX_MS = 1_200;

/** Screens on which `n` means something else. */
const ownN = (route: Route): boolean =>
  route.view === 'inbox' || (route.view === 'review' && route.id !== null);

const typing = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.isContentEditable || ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName));

export function shortcuts(hive: Hive): (event: KeyboardEvent) => void {
  let prefixAt = Number.NEGATIVE_INFINITY;
  return (event) => {
    const { sheets, router } = hive;
    // By its place: with Shift the key is another character on each keyboard.
    if ((event.ctrlKey || event.metaKey) && event.shiftKey && event.code === 'Period') {
      event.preventDefault();
      hive.halting.ask();
      return;
    }
    if (event.defaultPrevented) return;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
      event.preventDefault();
      if (sheets.open?.kind === 'palette') sheets.close();
      else sheets.show({ kind: 'palette' });
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || sheets.open) return;
    if (document.querySelector('[role="dialog"]')) return;
    const prefixed = event.timeStamp - prefixAt < PREFIX_MS;
    prefixAt = Number.NEGATIVE_INFINITY;
    const place = PLACES[event.key];
    if (prefixed && place) router.go(place);
    else if (event.key === 'g') prefixAt = event.timeStamp;
    else if (event.key === 'n' && !ownN(router.route)) sheets.show({ kind: 'new-mission', agent: null });
    else if (event.key === '?') sheets.show({ kind: 'keys' });
    else if (event.key === 'Escape' && hive.notices.list.length > 0) hive.notices.closeLast();
    else return;
    event.preventDefault();
  };
}
