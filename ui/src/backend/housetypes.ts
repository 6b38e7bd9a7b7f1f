/** What logins, the configuration, hooks, secrets, the log and the engine itself speak of. */
import type { components } from './schema';
import type { Listing } from './types';

type Schemas = components['schemas'];
export type Page<T> = Listing<T>;

export interface QueueFigures {
  name: string;
  waiting: number;
  max?: number | null;
}
export interface About {
  version: string;
  platform: string;
  started_at: string;
  now: string;
  data_dir: string;
  memory_bytes?: number | null;
  cpu_percent?: number | null;
  ledger_bytes: number;
  telemetry_bytes: number;
  transcripts_bytes: number;
  logs_bytes: number;
  events: number;
  open_streams: number;
  commit_ms: number;
  queues: QueueFigures[];
  samples_lost: number;
  api: {
    requests: number;
    samples: number;
    p50_ms?: number | null;
    p95_ms?: number | null;
    p99_ms?: number | null;
  };
}
export interface Login {
  id: string;
  via: 'code' | 'pairing';
  token_id?: string | null;
  origin: string;
  from?: string | null;
  agent: string;
  made_at: string;
  expires_at: string;
  ended?: unknown;
  state: 'valid' | 'expired' | 'ended';
  role: Schemas['TokenRole'];
  name?: string | null;
  used_at?: string | null;
  current: boolean;
}
export interface SettingChange {
  key: string;
  old: unknown;
  new: unknown;
}
export interface SettingsChange {
  seq: number;
  at: string;
  actor: Schemas['Actor'];
  changes: SettingChange[];
}
export interface ConfigChange {
  part: 'settings' | 'policy' | 'template' | 'rule' | 'hook';
  name: string;
  how: 'added' | 'changed';
  changes: SettingChange[];
}
export interface ConfigImport {
  applied: boolean;
  changes: ConfigChange[];
}
/** As the engine wrote it; what is in it is the engine's to judge. */
export type Configuration = { version: number };
export interface NewHook {
  name: string;
  command: string[];
  events: string[];
  timeout_s: number;
  memory_bytes: number;
  per_minute: number;
}
export type HookEdit = Partial<NewHook & { enabled: boolean }>;
export interface HookRun {
  at: string;
  event_seq: number;
  event: string;
  test: boolean;
  ok: boolean;
  code?: number | null;
  how: string;
  ms: number;
  output: string;
  limit?: 'time' | 'use' | null;
}
export interface Hook extends NewHook {
  id: string;
  enabled: boolean;
  off_because?: string | null;
  running: boolean;
  waiting: number;
  passed_over: number;
  failures: number;
  last?: HookRun | null;
}
export interface Secrets {
  items: { name: string; kept_at: string; used_by: string[] }[];
  kept_in: 'keychain' | 'file';
  because?: string | null;
}
export interface LogLine {
  time: string;
  level: string;
  target: string;
  agent?: string | null;
  mission?: string | null;
  correlation_id?: string | null;
  message?: string | null;
  fields: Record<string, unknown>;
}
export interface LogLevel {
  filter: string;
  usual: string;
  until?: string | null;
}
export interface Backup {
  file: string;
  path: string;
  at: string;
  state: 'making' | 'done' | 'failed';
  percent: number;
  bytes: number;
  events?: number | null;
  problem?: string | null;
}
