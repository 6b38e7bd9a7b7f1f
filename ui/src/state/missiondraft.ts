/** What is typed into the sheet of a mission, new or changed, and what is asked of the engine with it. */
import type { EditMission, GateSpec, Grade, MissionDetail, NewMission, Priority } from '../backend/types';
import { draftOf, type GateDraft, gateLine, isBlank } from './gates';

/** What the sheet asks for, as it was typed. */
export interface Fields {
  title: string;
  brief: string;
  agent: string;
  repository: string;
  gates: readonly GateDraft[];
  priority: Priority;
  policy: string;
  proof: Grade | '';
  retries: string;
  backoff: string;
  hand_over: '' | 'yes' | 'no';
  labels: string;
  skills: string;
  depends_on: readonly string[];
  /** As a field for date and time holds it, in local time. */
  deadline: string;
  /** Minutes. */
  estimate: string;
  criteria: string;
  unattended: boolean;
  links: string;
  draft: boolean;
  template: string;
  values: Readonly<Record<string, string>>;
}

export const BLANK: Fields = {
  title: '',
  brief: '',
  agent: '',
  repository: '',
  gates: [],
  priority: 'normal',
  policy: '',
  proof: '',
  retries: '',
  backoff: '',
  hand_over: '',
  labels: '',
  skills: '',
  depends_on: [],
  deadline: '',
  estimate: '',
  criteria: '',
  unattended: false,
  links: '',
  draft: false,
  template: '',
  values: {},
};

/** What the fields are called. */
export const FIELD_WORDS: Partial<Record<keyof Fields, string>> = {
  title: 'Title',
  brief: 'Brief',
  agent: 'Agent',
  repository: 'Repository',
  gates: 'Gates',
  priority: 'Priority',
  policy: 'Policy',
  proof: 'Proof needed',
  retries: 'Retries',
  backoff: 'Pause before a retry, s',
  hand_over: 'A retry goes to another agent',
  labels: 'Labels',
  skills: 'Skills',
  depends_on: 'Depends on',
  deadline: 'Deadline',
  estimate: 'Estimate, min',
  criteria: 'Criteria',
  unattended: 'Unattended',
  links: 'Links',
};

/** Words between commas or on lines of their own, each once. */
export const words = (text: string): string[] => [
  ...new Set(
    text
      .split(/[,\n]/)
      .map((word) => word.trim())
      .filter(Boolean),
  ),
];

/** Lines that are not empty. */
export const lines = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);

/** A number as it was typed; nothing where there is none. */
const number = (text: string): number | null => (text.trim() === '' ? null : Number(text));

const orNothing = (text: string): string | null => (text.trim() === '' ? null : text.trim());

/** A moment as a field for local date and time holds it. */
export function localField(at: string | null | undefined): string {
  if (!at) return '';
  const date = new Date(at);
  const two = (n: number) => String(n).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}T${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** The moment that a field for local date and time names. */
export function fromLocal(field: string): string | null {
  const at = new Date(field);
  return field === '' || Number.isNaN(at.getTime()) ? null : at.toISOString();
}

/** The mission to be made from what was typed. */
export function toNew(fields: Fields): NewMission {
  return {
    title: fields.title.trim(),
    brief: fields.brief,
    agent: orNothing(fields.agent),
    repository: orNothing(fields.repository),
    gates: fields.gates.filter((gate) => !isBlank(gate)).map(gateLine),
    priority: fields.priority,
    policy: orNothing(fields.policy),
    proof: fields.proof === '' ? null : fields.proof,
    retries: number(fields.retries),
    backoff_s: number(fields.backoff),
    hand_over: fields.hand_over === '' ? null : fields.hand_over === 'yes',
    labels: words(fields.labels),
    skills: words(fields.skills),
    depends_on: [...fields.depends_on],
    deadline: fromLocal(fields.deadline),
    estimate_min: number(fields.estimate),
    criteria: lines(fields.criteria),
    unattended: fields.unattended,
    links: lines(fields.links),
    external_id: null,
    draft: fields.draft,
    template: fields.template === '' ? null : { name: fields.template, values: { ...fields.values } },
    if_similar: 'ask',
  };
}

/** The gates a mission has beside those its policy adds. */
export function ownGates(mission: Pick<MissionDetail, 'gates'>, policy: readonly GateSpec[]): GateSpec[] {
  const added = new Set(policy.map((gate) => gateLine(draftOf(gate))));
  return mission.gates.filter((gate) => !added.has(gateLine(draftOf(gate))));
}

/** What the sheet shows of a mission that is there; `policy` are the gates that its policy adds. */
export function fieldsOf(mission: MissionDetail, policy: readonly GateSpec[]): Fields {
  const estimate = mission.estimate;
  return {
    ...BLANK,
    title: mission.title,
    brief: mission.brief,
    agent: mission.agent ?? '',
    repository: mission.repository ?? '',
    gates: ownGates(mission, policy).map(draftOf),
    priority: mission.priority,
    policy: mission.policy,
    proof: mission.proof ?? '',
    retries: String(mission.retries_max),
    backoff: String(mission.backoff_s ?? 1),
    hand_over: mission.hand_over ? 'yes' : 'no',
    labels: (mission.labels ?? []).join(', '),
    skills: (mission.skills ?? []).join(', '),
    depends_on: [...(mission.depends_on ?? [])],
    deadline: localField(mission.deadline),
    // What was measured is not what the captain said.
    estimate:
      estimate && (estimate.samples ?? null) === null ? String(Math.round(estimate.seconds / 60)) : '',
    criteria: (mission.criteria ?? []).map(({ text }) => text).join('\n'),
    unattended: mission.unattended ?? false,
    links: (mission.links ?? []).join('\n'),
  };
}

/** Only what was changed; nothing where nothing was. */
export function toEdit(before: Fields, after: Fields): EditMission | null {
  const [was, is] = [toNew(before), toNew(after)];
  const change: Record<string, unknown> = {};
  for (const key of EDITS) {
    if (JSON.stringify(was[key]) === JSON.stringify(is[key])) continue;
    // Of these nothing means that they stay, so an emptied field changes nothing.
    if (is[key] === null && STAY.includes(key)) continue;
    change[key] = is[key];
  }
  return Object.keys(change).length === 0 ? null : (change as EditMission);
}

const EDITS = [
  'title',
  'brief',
  'agent',
  'repository',
  'gates',
  'priority',
  'policy',
  'proof',
  'retries',
  'backoff_s',
  'hand_over',
  'labels',
  'skills',
  'depends_on',
  'deadline',
  'estimate_min',
  'criteria',
  'unattended',
  'links',
] as const satisfies readonly (keyof EditMission & keyof NewMission)[];
const STAY: readonly string[] = ['policy', 'retries', 'backoff_s', 'hand_over'];

/** Whether anything was typed that would be missed. */
export const isTouched = (fields: Fields): boolean =>
  fields.title.trim() !== '' ||
  fields.brief.trim() !== '' ||
  fields.gates.length > 0 ||
  fields.criteria.trim() !== '' ||
  fields.template !== '';
