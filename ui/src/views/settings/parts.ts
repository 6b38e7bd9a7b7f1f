/** What each part of the settings shows. */
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
import type { SectionId } from './sections';
import WorkRules from './WorkRules.svelte';

export const SHOWN: Record<SectionId, Component> = {
  appearance: Appearance,
  agents: AgentRules,
  work: WorkRules,
  access: Access,
  configuration: Configuration,
  hooks: Hooks,
  secrets: Secrets,
  log: LogView,
  privacy: Privacy,
  care: Care,
  about: About,
};
