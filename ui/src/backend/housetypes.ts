/** What logins, the configuration, hooks, secrets, the log and the engine itself speak of; all of it comes from the API's description. */
import type { components } from './schema';

type Schemas = components['schemas'];

export type About = Schemas['AboutView'];
export type AttachedAgent = Schemas['AttachedAgent'];
export type Backup = Schemas['BackupView'];
export type ConfigChange = Schemas['ConfigChange'];
export type ConfigImport = Schemas['Imported'];
export type Configuration = Schemas['Configuration'];
export type Hook = Schemas['HookView'];
/** What is to be another way; what is not named stays. The description calls everything with a default required. */
export type HookEdit = Partial<Schemas['EditHook']>;
export type HookRun = Schemas['HookRun'];
export type Login = Schemas['LoginView'];
export type LogLevel = Schemas['LevelView'];
export type LogLine = Schemas['LogLine'];
/** What is not named has its default; the description calls everything with a default required. */
export type NewAttached = Partial<Schemas['NewAttached']>;
export type NewHook = Schemas['NewHook'];
export type Secrets = Schemas['SecretsView'];
export type SettingsChange = Schemas['SettingsChange'];
