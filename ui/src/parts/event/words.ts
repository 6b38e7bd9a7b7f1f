/** What happened, in words. */
import { duration } from '../../kit/time';
import { bytes, plural } from '../../kit/units';
import { gateKind, gateLabel } from '../../state/gates';
import { href } from '../../state/router.svelte';
import type { Event, Exit, Fact, GateSpec } from '../../state/types';
import { GRADES, MISSION_STATES, VERDICTS } from '../mission/words';
import { type Sentence, say, told } from './conversationwords';
import { ofHealth } from './healthwords';
import { inHouse } from './housewords';

export interface Names {
  agent: (id: string) => string | null;
  mission: (id: string) => { short_id: string; title: string } | null;
}

export interface Said extends Sentence {
  /** The mission or agent it is about. */
  about: string | null;
  link: string | null;
}

function ended(exit: Exit): string {
  switch (exit.kind) {
    case 'code':
      return `ended with exit code ${exit.code}`;
    case 'signal':
      return `was ended by signal ${exit.signal}`;
    case 'stopped':
      return exit.killed ? 'was killed after its grace ran out' : 'was stopped';
    case 'not_started':
      return `did not start: ${exit.reason}`;
    case 'rebooted':
      return 'was cut off when the machine was restarted';
    case 'lost':
      return `was lost: ${exit.reason}`;
    case 'over_limit':
      return `was ended: ${exit.reason}`;
    case 'answered':
      return `ended its conversation: ${exit.reason}`;
    case 'no_login':
      return `has to be logged in: ${exit.reason}`;
    case 'called_off':
      return 'ended, because you called its turn off';
    case 'handed_over':
      return 'handed over, because its context was full';
  }
}

type TrashEntry = Extract<Fact, { kind: 'trashed' }>['item'];

const MERGES = { merge: 'merge', squash: 'one commit', rebase: 'rebased' } as const;

/** A command says by itself what it is; the rest is told with its kind. */
const gateWords = (gate: GateSpec): string =>
  gate.kind === 'command' || gate.kind === 'file'
    ? gateLabel(gate)
    : `${gateKind(gate)} (${gateLabel(gate)})`;

const trashed = (item: TrashEntry): string =>
  item.kind === 'mission'
    ? 'the mission'
    : `the worktree of attempt ${item.attempt ?? '?'} (${bytes(item.bytes)})`;

function sentence(event: Event, agent: string): Sentence {
  const { fact } = event;
  switch (fact.kind) {
    case 'engine_started':
      return say(
        `Hivekeeper ${fact.version} started${fact.clean ? '' : ' after it had ended without order'}`,
        fact.clean ? 'idle' : 'warn',
      );
    case 'engine_stopped':
      return say('Hivekeeper stopped');
    case 'agent_added':
      return say('was created', 'idle', 'ring');
    case 'agent_changed':
      return say(
        fact.agent.paused ? 'was paused' : 'was changed',
        'idle',
        fact.agent.paused ? 'pause' : 'ring',
      );
    case 'agent_removed':
      return say('an agent was removed', 'idle', 'slash');
    case 'agent_cleared':
      return say(`${agent} may start again although it failed again and again`, 'idle', 'play');
    case 'mission_created':
      return say('was written down', 'idle', 'pen');
    case 'mission_moved': {
      const { word, tone, glyph } = MISSION_STATES[fact.to];
      const proof = fact.to === 'done' ? `, evidence: ${GRADES[fact.grade].word}` : '';
      return say(`is ${word}${proof}${fact.note ? ` — ${fact.note}` : ''}`, tone, glyph);
    }
    case 'mission_changed':
      return say(fact.brief ? 'was changed, its brief too' : 'was changed', 'idle', 'pen');
    case 'mission_progressed': {
      const met = fact.criteria.filter((criterion) => criterion.met).length;
      const criteria = fact.criteria.length > 0 ? ` (${met} of ${fact.criteria.length} criteria met)` : '';
      const percent = fact.progress.percent ?? null;
      return say(
        `reports ${percent === null ? 'progress' : `${percent} %`}: ${fact.progress.text}${criteria}`,
        'work',
        'half',
      );
    }
    case 'handoff_written':
      return say(
        fact.handoff
          ? `has a handoff from attempt ${fact.handoff.from} for the next one`
          : 'starts anew: the next attempt gets no handoff',
        'idle',
        'pen',
      );
    case 'work_merged':
      return say(
        `was put onto ${fact.merge.target} as ${fact.merge.commit.slice(0, 10)} (${MERGES[fact.merge.how]})`,
        'ok',
        'check',
      );
    case 'mission_restored':
      return say('was taken back out of the trash', 'idle', 'loop');
    case 'mission_assigned':
      return say(fact.agent_id ? `is meant for ${agent}` : 'is open to any agent');
    case 'mission_removed':
      return say('a mission was removed', 'idle', 'slash');
    case 'attempt_leased':
      return say(`was taken by ${agent} (attempt ${fact.attempt.n})`, 'work', 'half');
    case 'attempt_prepared':
      return say(
        fact.workplace.branch ? `has its worktree on ${fact.workplace.branch}` : 'has its directory',
        'work',
        'half',
      );
    case 'attempt_started':
      return say(`${agent} runs as process ${fact.process.program.pid}`, 'work', 'play');
    case 'attempt_adopted':
      return say(`${agent} was still running and was taken over`, 'work', 'play');
    case 'attempt_stopping':
      return say(`${agent} is being stopped`, 'idle', 'stop');
    case 'attempt_exited': {
      const { exit } = fact.record;
      const fine = (exit.kind === 'code' && exit.code === 0) || (exit.kind === 'answered' && exit.completed);
      return say(`${agent} ${ended(fact.record.exit)}`, fine ? 'work' : 'warn', 'stop');
    }
    case 'attempt_verifying':
      return say('its gates run', 'work', 'loop');
    case 'work_recorded':
      return say(
        `${plural(fact.work.commits.length, 'commit')} secured: +${fact.work.diff.insertions} −${fact.work.diff.deletions}`,
        'work',
        'check',
      );
    case 'gate_finished': {
      const { word, tone, glyph } = VERDICTS[fact.result.verdict];
      return say(
        `gate ${gateWords(fact.result.gate)} ${word} in ${duration(fact.result.duration_ms)}${fact.result.by ? `, answered by ${fact.result.by}` : ''}`,
        tone,
        glyph,
      );
    }
    case 'attempt_ended':
      return say(
        `attempt of ${agent} ${fact.state}${fact.note ? ` — ${fact.note}` : ''}`,
        fact.state === 'accepted' ? 'ok' : 'idle',
        'stop',
      );
    case 'attempt_reviewing':
      return say('its gates passed; somebody’s answer is awaited', 'review', 'eye');
    case 'review_assigned':
      return say(`${agent} was asked to review its work`, 'review', 'eye');
    case 'attempt_frozen':
      return fact.frozen
        ? say(`the processes of ${agent} are held where they are`, 'idle', 'pause')
        : say(`the processes of ${agent} go on`, 'work', 'play');
    case 'checkpoint_made':
      return say(
        `has checkpoint ${fact.checkpoint.n} at ${fact.checkpoint.commit.slice(0, 10)} — ${fact.checkpoint.note}`,
        'idle',
        'check',
      );
    case 'checkpoint_restored':
      return say(
        `was taken back to a checkpoint; what was there before is in ${fact.before.slice(0, 10)}`,
        'warn',
        'loop',
      );
    case 'swarm_halted':
      return say(`everything was stopped${fact.note ? ` — ${fact.note}` : ''}`, 'bad', 'stop');
    case 'swarm_resumed':
      return say('the swarm goes on', 'work', 'play');
    case 'settings_changed':
      return say('the settings were changed', 'idle', 'pen');
    case 'policy_saved':
      return say(`the policy ${fact.policy.name} was saved`, 'idle', 'pen');
    case 'policy_removed':
      return say(`the policy ${fact.name} was removed`, 'idle', 'slash');
    case 'template_saved':
      return say(`the template ${fact.template.name} was saved`, 'idle', 'pen');
    case 'template_removed':
      return say(`the template ${fact.name} was removed`, 'idle', 'slash');
    case 'trashed':
      return say(`${trashed(fact.item)} went to the trash`, 'idle', 'slash');
    case 'trash_emptied':
      return fact.end === 'restored'
        ? say('something was restored from the trash', 'idle', 'loop')
        : say('something was removed from the trash for good', 'idle', 'slash');
    case 'topic_opened':
      return say(`the agents are asked: ${fact.topic.title}`, 'review', 'question');
    case 'vote_cast':
      return say(`${agent} votes for ${fact.vote.option} — ${fact.vote.rationale}`, 'review', 'check');
    case 'topic_closed':
      return say(
        `a question was decided: ${fact.decision.option ?? 'for nothing'} — ${fact.decision.because}`,
        'ok',
        'check',
      );
    case 'result_late':
      return say(`a late result was kept and not applied: ${fact.note}`, 'warn', 'question');
    case 'devlog_written':
      return say('devlog written', 'idle', 'pen');
    case 'devlog_removed':
      return say('a devlog was removed', 'idle', 'slash');
    case 'token_made':
      return say(
        `the token ${fact.token.name} was made: it opens the door as ${fact.token.role}`,
        'idle',
        'pen',
      );
    case 'token_revoked':
      return say('a token was revoked; it opens nothing any more', 'idle', 'slash');
    case 'attempt_taken':
      return say(`${agent}, which runs elsewhere, took the mission`, 'work', 'play');
    case 'hook_saved':
    case 'hook_removed':
    case 'hook_failed':
    case 'secret_kept':
    case 'secret_removed':
    case 'backup_made':
    case 'logged_in':
    case 'logged_out':
      return inHouse(fact);
    case 'check_saved':
    case 'check_removed':
    case 'check_reported':
    case 'checks_changed':
    case 'maintenance_saved':
    case 'maintenance_removed':
      return ofHealth(fact);
    default:
      return told(fact, agent);
  }
}

export function words(event: Event, names: Names): Said {
  const { subject, fact } = event;
  const added = fact.kind === 'agent_added' || fact.kind === 'agent_changed' ? fact.agent : null;
  const created = fact.kind === 'mission_created' ? fact.mission : null;
  const agent = (subject.agent_id ? names.agent(subject.agent_id) : null) ?? added?.name ?? 'the agent';
  const mission = subject.mission_id ? (names.mission(subject.mission_id) ?? created) : null;
  const said = sentence(event, agent);
  if (mission)
    return {
      ...said,
      about: `${mission.short_id} ${mission.title}`,
      link: href('missions', mission.short_id),
    };
  if (added) return { ...said, about: added.name, link: href('agents', added.id) };
  return {
    ...said,
    about: null,
    link: subject.agent_id && fact.kind !== 'agent_removed' ? href('agents', subject.agent_id) : null,
  };
}
