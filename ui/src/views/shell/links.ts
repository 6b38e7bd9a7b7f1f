/** The screens in their order, with what waits on each. */
import Bot from '@lucide/svelte/icons/bot';
import ChartLine from '@lucide/svelte/icons/chart-line';
import FolderGit from '@lucide/svelte/icons/folder-git-2';
import GitPullRequest from '@lucide/svelte/icons/git-pull-request-arrow';
import HeartPulse from '@lucide/svelte/icons/heart-pulse';
import Hexagon from '@lucide/svelte/icons/hexagon';
import InboxIcon from '@lucide/svelte/icons/inbox';
import ListChecks from '@lucide/svelte/icons/list-checks';
import NotebookText from '@lucide/svelte/icons/notebook-text';
import SettingsIcon from '@lucide/svelte/icons/settings';
import Vote from '@lucide/svelte/icons/vote';
import type { Hive } from '../../state/hive.svelte';

/** `first` are those that a phone shows at once; the others are behind *More* there. */
export const LINKS = [
  { view: 'deck', label: 'Deck', icon: Hexagon, first: true },
  { view: 'inbox', label: 'Inbox', icon: InboxIcon, first: true },
  { view: 'missions', label: 'Missions', icon: ListChecks, first: true },
  { view: 'review', label: 'Review', icon: GitPullRequest, first: false },
  { view: 'agents', label: 'Agents', icon: Bot, first: true },
  { view: 'performance', label: 'Performance', icon: ChartLine, first: false },
  { view: 'health', label: 'Health', icon: HeartPulse, first: false },
  { view: 'devlogs', label: 'Devlogs', icon: NotebookText, first: false },
  { view: 'topics', label: 'Topics', icon: Vote, first: false },
  { view: 'places', label: 'Worktrees', icon: FolderGit, first: false },
  { view: 'settings', label: 'Settings', icon: SettingsIcon, first: false },
] as const;

export type LinkView = (typeof LINKS)[number]['view'];

/** How many things each screen has to show; none where a number would say nothing. */
export function numbersOf({ waiting, inbox, missions, swarm }: Hive): Record<LinkView, number> {
  return {
    deck: waiting,
    inbox: inbox.counts.total,
    missions: missions.list.length,
    review: swarm.overview?.missions.in_review ?? 0,
    agents: swarm.agents.length,
    performance: 0,
    health: 0,
    devlogs: 0,
    topics: 0,
    places: 0,
    settings: 0,
  };
}

/** What a number says, where that is not plain. */
export const ABOUT: Partial<Record<LinkView, string>> = {
  deck: 'need you: to answer, to review or to put right',
  inbox: 'wait for your answer',
};

/** Whether a number is how much waits for the captain. */
export const isYours = (view: LinkView): boolean => view === 'deck' || view === 'inbox';

export const LINK_WORDS = {
  connecting: 'connecting',
  live: 'live',
  reconnecting: 'reconnecting',
  signed_out: 'signed out',
} as const;
