/** Changes of the configuration in words. */
import type { ConfigChange, SettingsChange } from '../../state/types';

export { valueWord } from '../../parts/values';

/** What the settings are called on the screen. */
export const KEYS: Record<string, string> = {
  running_max: 'Attempts at once',
  starts_per_cycle: 'Starts per cycle',
  memory_free_min_percent: 'Memory to keep free, %',
  policy: 'Policy',
  policy_of_label: 'Policy by label',
  merge: 'Merge reviewed work',
  trash_days: 'Days in the trash',
  traces_to: 'Send traces to',
};

export const keyWord = (key: string): string => KEYS[key] ?? key.replaceAll('_', ' ');

/** Who made a change. */
export function actorWord(actor: SettingsChange['actor'], agent: (id: string) => string | null): string {
  switch (actor.kind) {
    case 'captain':
      return 'you';
    case 'engine':
      return 'the engine';
    case 'agent':
      return agent(actor.id) ?? 'an agent that was removed';
    case 'token':
      return `the token ${actor.name}`;
  }
}

export const PARTS: Record<ConfigChange['part'], string> = {
  settings: 'settings',
  policy: 'policy',
  template: 'template',
  rule: 'permission rule',
  hook: 'hook',
};
