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

export type SectionId =
  | 'appearance'
  | 'agents'
  | 'work'
  | 'access'
  | 'configuration'
  | 'hooks'
  | 'secrets'
  | 'log'
  | 'privacy'
  | 'care'
  | 'about';

export interface Section {
  id: SectionId;
  title: string;
  /** What is found there, in a few words. */
  about: string;
  icon: Component<{ size?: number | string; 'aria-hidden'?: 'true' }>;
  /** Whether it fills the screen instead of standing in columns that can be read. */
  whole?: boolean;
}

export const SECTIONS: readonly Section[] = [
  {
    id: 'appearance',
    title: 'Appearance and keys',
    about: 'theme, palette, motion, density, shortcuts',
    icon: Palette,
  },
  {
    id: 'agents',
    title: 'Agents',
    about: 'programs that are known, what they may do, how they are held',
    icon: Bot,
  },
  {
    id: 'work',
    title: 'Work',
    about: 'limits, defaults, policies, templates',
    icon: ListChecks,
  },
  {
    id: 'access',
    title: 'Access',
    about: 'signed-in browsers, pairing, access tokens',
    icon: KeyRound,
  },
  {
    id: 'configuration',
    title: 'Configuration',
    about: 'every change, going back, export and import',
    icon: HistoryIcon,
  },
  {
    id: 'hooks',
    title: 'Hooks',
    about: 'commands of yours that run when something happens',
    icon: Webhook,
  },
  {
    id: 'secrets',
    title: 'Secrets',
    about: 'what agents are given and nobody is shown',
    icon: LockKeyhole,
  },
  {
    id: 'log',
    title: 'Log',
    about: 'what the engine wrote down',
    icon: Activity,
    whole: true,
  },
  {
    id: 'privacy',
    title: 'Privacy',
    about: 'what is kept where, what leaves this machine',
    icon: ShieldCheck,
  },
  {
    id: 'care',
    title: 'Checks and recovery',
    about: 'doctor, restart, reconcile, diagnostics',
    icon: LifeBuoy,
  },
  { id: 'about', title: 'About', about: 'version, and the engine’s own figures', icon: Info },
];
