/** Screens and dialogs that are loaded when they are opened, and soon after the start. */
import { type Load, warm } from '../../kit/later';

export const SCREENS = {
  missions: () => import('../missions/Missions.svelte'),
  mission: () => import('../missions/MissionPage.svelte'),
  agents: () => import('../agents/Agents.svelte'),
  agent: () => import('../agents/AgentPage.svelte'),
  inbox: () => import('../inbox/Inbox.svelte'),
  reviews: () => import('../review/Review.svelte'),
  review: () => import('../review/ReviewPage.svelte'),
  performance: () => import('../performance/Performance.svelte'),
  health: () => import('../health/Health.svelte'),
  check: () => import('../health/CheckPage.svelte'),
  devlogs: () => import('../devlogs/Devlogs.svelte'),
  topics: () => import('../topics/Topics.svelte'),
  topic: () => import('../topics/TopicPage.svelte'),
  places: () => import('../places/Places.svelte'),
  import: () => import('../import/Import.svelte'),
  settings: () => import('../settings/Settings.svelte'),
} satisfies Record<string, Load>;

export const DIALOGS = {
  newMission: () => import('../missions/NewMission.svelte'),
  editMission: () => import('../missions/EditMission.svelte'),
  newAgent: () => import('../agents/NewAgent.svelte'),
  editAgent: () => import('../agents/EditAgent.svelte'),
  removeAgent: () => import('../agents/RemoveAgent.svelte'),
  broadcast: () => import('../agents/Broadcast.svelte'),
  newTopic: () => import('../topics/NewTopic.svelte'),
  plan: () => import('../settings/Plan.svelte'),
  scan: () => import('../places/Scan.svelte'),
} satisfies Record<string, Load>;

/** How long the first screen has for itself. */
const SOON_MS = 1_500;

/** Loads everything that may be opened, one after the other while nothing else is done. What fails is tried when it is opened. */
export function warmAll(): () => void {
  const left: Load[] = [...Object.values(DIALOGS), ...Object.values(SCREENS)];
  let gone = false;
  const next = () => {
    const load = gone ? undefined : left.pop();
    if (load) void warm(load).then(whenIdle, () => undefined);
  };
  const whenIdle = () => {
    // The window's engine has no such call.
    if (typeof requestIdleCallback === 'function') requestIdleCallback(next);
    else setTimeout(next, 50);
  };
  const timer = setTimeout(whenIdle, SOON_MS);
  return () => {
    gone = true;
    clearTimeout(timer);
  };
}
