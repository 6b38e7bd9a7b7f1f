/** The parts of the settings, in their order. */
import Activity from '@lucide/svelte/icons/activity';
import Bot from '@lucide/svelte/icons/bot';
import HistoryIcon from '@lucide/svelte/icons/history';
import Info from '@lucide/svelte/icons/info';
import KeyRound from '@lucide/svelte/icons/key-round';
import LifeBuoy from '@lucide/svelte/icons/life-buoy';
import ListChecks from '@lucide/svelte/icons/list-checks';
import LockKeyhole from '@lucide/svelte/icons/lock-keyhole';
import Palette from '@lucide/svelte/icons/palette';
import ShieldCheck from '@lucide/svelte/icons/shield-check';
import Webhook from '@lucide/svelte/icons/webhook';
import type { Component } from 'svelte';
import About from './About.svelte';
import Access from './Access.svelte';
import AgentRules from './AgentRules.svelte';
import Appearance from './Appearance.svelte';
import Care from './Care.svelte';
import Configuration from './Configuration.svelte';
import Hooks from './Hooks.svelte';
import LogView from './LogView.svelte';
import Privacy from './Privacy.svelte';
import Secrets from './Secrets.svelte';
import WorkRules from './WorkRules.svelte';

export interface Section {
  id: string;
  title: string;
  /** What is found there, in a few words. */
  about: string;
  icon: Component<{ size?: number | string; 'aria-hidden'?: 'true' }>;
  shows: Component;
  /** Whether it fills the screen instead of standing in columns that can be read. */
  whole?: boolean;
}

export const SECTIONS: readonly Section[] = [
  {
    id: 'appearance',
    title: 'Appearance and keys',
    about: 'theme, palette, motion, density, shortcuts',
    icon: Palette,
    shows: Appearance,
  },
  {
    id: 'agents',
    title: 'Agents',
    about: 'programs that are known, what they may do, how they are held',
    icon: Bot,
    shows: AgentRules,
  },
  {
    id: 'work',
    title: 'Work',
    about: 'limits, defaults, policies, templates',
    icon: ListChecks,
    shows: WorkRules,
  },
  {
    id: 'access',
    title: 'Access',
    about: 'signed-in browsers, pairing, access tokens',
    icon: KeyRound,
    shows: Access,
  },
  {
    id: 'configuration',
    title: 'Configuration',
    about: 'every change, going back, export and import',
    icon: HistoryIcon,
    shows: Configuration,
  },
  {
    id: 'hooks',
    title: 'Hooks',
    about: 'commands of yours that run when something happens',
    icon: Webhook,
    shows: Hooks,
  },
  {
    id: 'secrets',
    title: 'Secrets',
    about: 'what agents are given and nobody is shown',
    icon: LockKeyhole,
    shows: Secrets,
  },
  {
    id: 'log',
    title: 'Log',
    about: 'what the engine wrote down',
    icon: Activity,
    shows: LogView,
    whole: true,
  },
  {
    id: 'privacy',
    title: 'Privacy',
    about: 'what is kept where, what leaves this machine',
    icon: ShieldCheck,
    shows: Privacy,
  },
  {
    id: 'care',
    title: 'Checks and recovery',
    about: 'doctor, restart, reconcile, diagnostics',
    icon: LifeBuoy,
    shows: Care,
  },
  { id: 'about', title: 'About', about: 'version, and the engine’s own figures', icon: Info, shows: About },
];
