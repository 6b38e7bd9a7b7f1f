/** What happened to the house, in words: hooks, secrets, backups, logins. */
import { plural } from '../../kit/units';
import type { Fact } from '../../state/types';
import { type Sentence, say } from './conversationwords';

/** Those facts that this file has words for. */
export type HouseFact = Extract<
  Fact,
  { kind: `hook_${string}` | `secret_${string}` | 'backup_made' | 'logged_in' | 'logged_out' }
>;

const LEFT: Record<Extract<Fact, { kind: 'logged_out' }>['why'], string> = {
  signed_out: 'a browser signed out',
  revoked: 'a browser was signed out from elsewhere',
  again: 'a browser signed in anew; what it had before ended',
  crowded: 'the browser that was signed in longest made room for another',
  token_revoked: 'a browser was signed out: its token was revoked',
};

export function inHouse(fact: HouseFact): Sentence {
  switch (fact.kind) {
    case 'hook_saved': {
      const { name, enabled, off_because: why } = fact.hook;
      if (enabled) return say(`the hook ${name} was saved`, 'idle', 'pen');
      return why
        ? say(`the hook ${name} was switched off: ${why}`, 'bad', 'slash')
        : say(`the hook ${name} is switched off`, 'idle', 'slash');
    }
    case 'hook_removed':
      return say('a hook was removed', 'idle', 'slash');
    case 'hook_failed':
      return say(`the hook ${fact.name} failed: ${fact.reason}`, 'warn', 'bang');
    case 'secret_kept':
      return say(`the secret ${fact.name} was kept`, 'idle', 'pen');
    case 'secret_removed':
      return say(`the secret ${fact.name} was removed`, 'idle', 'slash');
    case 'backup_made':
      return say(`the backup ${fact.file} was made, with ${plural(fact.events, 'event')}`, 'ok', 'check');
    case 'logged_in':
      return fact.login.via === 'pairing'
        ? say('a browser was paired', 'idle', 'eye')
        : say('a browser signed in as you', 'idle', 'eye');
    case 'logged_out':
      return say(LEFT[fact.why], 'idle', 'slash');
  }
}
