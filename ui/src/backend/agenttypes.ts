/** What conversations, messages, usage, the inbox and presets speak of. */
import type { components } from './schema';

type Schemas = components['schemas'];

/** Who says something to an agent. */
export type Source = { kind: 'captain' } | { kind: 'agent'; id: string; name: string } | { kind: 'system' };

export type ToolKind =
  | 'read'
  | 'edit'
  | 'delete'
  | 'move'
  | 'search'
  | 'execute'
  | 'think'
  | 'fetch'
  | 'own'
  | 'other';

export type ToolState = 'pending' | 'running' | 'completed' | 'failed' | 'abandoned';

/** A file before and after; cut where it is long. */
export interface FileChange {
  path: string;
  before?: string | null;
  after: string;
}

export interface ToolCall {
  title: string;
  name?: string | null;
  tool: ToolKind;
  state: ToolState;
  input?: string | null;
  output?: string | null;
  changes: FileChange[];
  places: string[];
  started_at?: string | null;
  ended_at?: string | null;
  slow: boolean;
}

export type PlanState = 'pending' | 'in_progress' | 'completed';

export interface PlanStep {
  text: string;
  state: PlanState;
}

/** What is not known stays unknown; it is never zero. */
export interface Tokens {
  uncached_input?: number | null;
  cache_read?: number | null;
  cache_write?: number | null;
  output?: number | null;
  reasoning?: number | null;
}

export interface ContextFill {
  used: number;
  size: number;
}

export type Body =
  | { kind: 'prompt'; from: Source; text: string }
  | { kind: 'message'; text: string }
  | { kind: 'thought'; text: string }
  | { kind: 'tool_call'; call: ToolCall }
  | { kind: 'plan'; steps: PlanStep[] }
  | { kind: 'request'; request_id?: string | null; title: string; answer?: string | null }
  | { kind: 'usage'; tokens: Tokens; context?: ContextFill | null; reported_cost_micros?: number | null }
  | { kind: 'state'; text: string; problem: boolean }
  | { kind: 'output'; stream: 'stdout' | 'stderr'; from: number; to: number }
  | { kind: 'unsupported'; text: string; why: string };

export type BodyKind = Body['kind'];

export interface Entry {
  id: string;
  at: string;
  updated_at: string;
  body: Body;
}

/** An entry with its place in the conversation and the revision it was last changed in. */
export interface EntryAt {
  ordinal: number;
  revision: number;
  entry: Entry;
}

export interface ConversationPage {
  entries: EntryAt[];
  /** The first and the last ordinal there is. */
  first?: number | null;
  last?: number | null;
  total: number;
  /** The first that was kept; what came before was given up. */
  kept_from?: number | null;
  revision: number;
}

export interface ConversationChanges {
  entries: EntryAt[];
  revision: number;
  /** There is more at once. */
  more?: boolean;
  kept_from?: number | null;
}

export interface ConversationHit {
  attempt_id: string;
  mission_id?: string | null;
  short_id?: string | null;
  agent_id?: string | null;
  agent?: string | null;
  ordinal: number;
  at: string;
  kind: string;
  snippet: string;
}

export interface ConversationHits {
  hits: ConversationHit[];
  next_cursor?: string | null;
}

export type UsageSource = 'otlp' | 'result' | 'sum' | 'partial';

/** What an attempt has used according to one source. */
export interface Usage {
  source: UsageSource;
  model?: string | null;
  tokens: Tokens;
  requests?: number | null;
  reported_cost_micros?: number | null;
  own_cost_micros?: number | null;
  prices_of?: string | null;
  model_ms?: number | null;
  turns: number;
  tool_calls: number;
  tool_failures: number;
  context?: ContextFill | null;
}

export interface UsageView {
  best?: Usage | null;
  sources: Usage[];
  tool_calls: { total: number; failed: number; slow: number; running: number };
}

export type Phase =
  | { kind: 'opening' }
  | { kind: 'turn' }
  | { kind: 'asking'; open: number }
  | { kind: 'limited'; until?: string | null; said: string }
  | { kind: 'cancelling' }
  | { kind: 'ending' };

/** What is seen of a conversation right now. */
export interface AgentActivity {
  phase: Phase;
  since: string;
  last_event_at?: string | null;
  tool?: string | null;
  tool_since?: string | null;
  turn: number;
  context?: ContextFill | null;
  quiet_after_s: number;
  stalled_after_s: number;
}

export type MessageState = 'queued' | 'delivered' | 'started' | 'acknowledged' | 'quarantined' | 'discarded';

export interface MessageView {
  id: string;
  to: string;
  /** The agent's name. */
  agent?: string | null;
  from: Source;
  text: string;
  urgency: 'urgent' | 'regular';
  mission_id?: string | null;
  broadcast_id?: string | null;
  attempt_id?: string | null;
  queued_at: string;
  delivered_at?: string | null;
  started_at?: string | null;
  acknowledged_at?: string | null;
  tries: number;
  problem?: string | null;
  quarantined: boolean;
  discarded: boolean;
  state: MessageState;
}

export interface MessagePage {
  items: MessageView[];
  next_cursor?: string | null;
}

export interface BroadcastView {
  broadcast_id?: string | null;
  results: { agent_id?: string | null; name: string; message_id?: string | null; problem?: string | null }[];
}

export interface BroadcastState {
  results: { agent_id: string; name?: string | null; message: MessageView }[];
}

export type RiskLevel = 'low' | 'medium' | 'high';

export interface PermissionAsk {
  title: string;
  tool: ToolKind;
  name?: string | null;
  command?: string | null;
  changes: FileChange[];
  places: string[];
  input?: string | null;
  why?: string | null;
  risk: { level: RiskLevel; reasons: string[] };
  pattern: string;
  agent_remembers: boolean;
}

export type RequestAsk =
  | { kind: 'permission'; permission: PermissionAsk }
  | { kind: 'question'; text: string; options: string[] };

export type RequestEnd =
  | { kind: 'once' }
  | { kind: 'always'; rule_id: string }
  | { kind: 'denied'; note?: string | null }
  | { kind: 'answered'; text: string }
  | { kind: 'withdrawn'; why: string };

export interface RequestView {
  id: string;
  attempt_id: string;
  mission_id: string;
  agent_id: string;
  ask: RequestAsk;
  asked_at: string;
  not_before?: string | null;
  end?: RequestEnd | null;
  ended_at?: string | null;
  told: boolean;
  /** The agent's name; nothing once it was removed, and likewise below. */
  agent?: string | null;
  short_id?: string | null;
  mission_title?: string | null;
  age_s: number;
}

export interface ReviewWaiting {
  mission_id: string;
  short_id: string;
  title: string;
  since: string;
}

export interface InboxCounts {
  permissions: number;
  questions: number;
  reviews: number;
  quarantined: number;
  total: number;
}

export interface InboxView {
  requests: RequestView[];
  reviews: ReviewWaiting[];
  quarantined: MessageView[];
  counts: InboxCounts;
}

export type ScopeKind = 'mission' | 'agent' | 'workspace';

export interface RequestAnswer {
  answer: 'once' | 'always' | 'deny' | 'not_now' | 'text';
  scope?: ScopeKind;
  pattern?: string;
  note?: string;
  text?: string;
}

export type RuleScope =
  | { kind: 'mission'; id: string }
  | { kind: 'agent'; id: string }
  | { kind: 'workspace' };

export interface PermissionRule {
  id: string;
  pattern: string;
  allow: boolean;
  scope: RuleScope;
  created_at: string;
}

export type NewPermissionRule = Pick<PermissionRule, 'pattern' | 'allow' | 'scope'>;

export type PermissionPolicy = 'ask' | 'auto_in_worktree' | 'allow_list' | 'read_only' | 'unattended';
export type HomeAccess = 'full' | 'read_only' | 'hidden';

export interface Limits {
  memory_bytes?: number | null;
  processes?: number | null;
  cpu_weight?: number | null;
  open_files?: number | null;
  output_bytes?: number | null;
}

export interface Sandbox {
  writable: string[];
  home: HomeAccess;
  network: boolean;
}

export interface Conduct {
  permissions: PermissionPolicy;
  limits: Limits;
  sandbox?: Sandbox | null;
  rules: string;
  files: boolean;
  handover_at_percent?: number | null;
}

export type Runtime =
  | { kind: 'command'; program: string; args: string[]; env: Record<string, string>; terminal?: boolean }
  | { kind: 'acp'; program: string; args: string[]; env: Record<string, string>; preset: string }
  | { kind: 'headless'; program: string; args: string[]; env: Record<string, string>; preset: string };

export type RuntimeKind = Runtime['kind'];
export type Supervision = 'cgroup' | 'namespace' | 'session' | 'group';
export type Confidence = 'certain' | 'likely' | 'guess';

/** What an agent is shown with beside its configuration. */
export interface AgentMore {
  id: string;
  activity?: AgentActivity | null;
  conduct?: Conduct | null;
  messages_waiting?: number;
  requests_open?: number;
  supervision?: Supervision | null;
  status: Schemas['AgentStatus'] & { confidence?: Confidence | null };
}

/** What is asked of a new agent. */
export interface AgentWish {
  name: string;
  role: string;
  skills: string[];
  directory: string | null;
  grace_s?: number;
  env: Record<string, string>;
  preset?: string;
  command?: string;
  runtime?: RuntimeKind;
  terminal?: boolean;
  conduct: Conduct;
}

/** What is to be another way; what is not named stays. */
export type AgentChange = Partial<
  Pick<AgentWish, 'name' | 'role' | 'skills' | 'directory' | 'grace_s' | 'env' | 'command' | 'conduct'>
>;

/** A known agent program. */
export interface Preset {
  name: string;
  title: string;
  kind: RuntimeKind;
  program: string;
  command: string;
  note: string;
  /** How to install it. */
  install: string;
  installed?: { path: string; version?: string | null } | null;
  /** What is missing, in words. */
  missing: string[];
  modes: { ask: boolean; unattended: boolean };
}

export interface PresetList {
  presets: Preset[];
  /** What is wrong with the presets of one's own. */
  problem?: string | null;
}

export interface PresetTest {
  ok: boolean;
  version?: string | null;
  opened_ms?: number | null;
  said: string;
  problem?: string | null;
}

export interface SupervisionView {
  in_force: Supervision;
  available: { backend: Supervision; problem?: string | null }[];
  statement: string[];
}
