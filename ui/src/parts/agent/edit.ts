/** An agent as it is edited: the fields of the form, and what of them was changed. */
import type { AgentChange, AgentView } from '../../state/types';
import { type ConductDraft, conductOf, draftOf, envText, plainConduct, readEnv, readSkills } from './conduct';

export interface AgentDraft extends ConductDraft {
  name: string;
  role: string;
  skills: string;
  command: string;
  directory: string;
  grace: number;
  env: string;
}

export function agentDraftOf(agent: AgentView): AgentDraft {
  const { runtime } = agent;
  return {
    name: agent.name,
    role: agent.role,
    skills: agent.skills.join(', '),
    command: agent.command,
    directory: agent.directory ?? '',
    grace: agent.grace_s,
    env: envText('env' in runtime ? runtime.env : {}),
    ...draftOf(agent.conduct ?? plainConduct()),
  };
}

/** Only what was changed: what is not named stays as it is. */
export function agentChange(was: AgentDraft, mine: AgentDraft): AgentChange {
  const next: AgentChange = {};
  if (mine.name.trim() !== was.name) next.name = mine.name.trim();
  if (mine.role.trim() !== was.role) next.role = mine.role.trim();
  const skills = readSkills(mine.skills);
  if (skills.join() !== readSkills(was.skills).join()) next.skills = skills;
  const directory = mine.directory.trim();
  if (directory !== was.directory) next.directory = directory === '' ? null : directory;
  if (mine.grace !== was.grace) next.grace_s = mine.grace;
  if (mine.env !== was.env) next.env = readEnv(mine.env).env;
  if (mine.command.trim() !== was.command) next.command = mine.command.trim();
  const conduct = conductOf(mine);
  if (JSON.stringify(conduct) !== JSON.stringify(conductOf(was))) next.conduct = conduct;
  return next;
}

/** What the fields are called. */
export const AGENT_FIELDS: Record<keyof AgentDraft, string> = {
  name: 'Name',
  role: 'Role',
  skills: 'Skills',
  command: 'Command',
  directory: 'Directory',
  grace: 'Grace, s',
  env: 'Environment',
  permissions: 'Permissions',
  memory_mib: 'Memory, MiB',
  processes: 'Processes',
  cpu_weight: 'Processor weight',
  open_files: 'Open files',
  output_mib: 'Output kept, MiB',
  sandboxed: 'Sandbox',
  writable: 'Writable directories',
  home: 'Home',
  network: 'Network',
  rules: 'What it is told',
  files: 'Files in the worktree',
  handover: 'Hand over at, %',
};
