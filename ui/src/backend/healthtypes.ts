/** What health checks and efficiency speak of; all of it comes from the API's description. */
import type { components } from './schema';

type Schemas = components['schemas'];

export type CheckHistory = Schemas['CheckHistory'];
export type CheckKind = Schemas['CheckKind'];
export type CheckProbe = Schemas['Probe'];
export type CheckSubjectKind = Schemas['SubjectKind'];
export type CheckView = Schemas['CheckView'];
/** What is not named stays; the description calls everything with a default required. */
export type EditCheck = Partial<Schemas['EditCheck']>;
export type Efficiency = Schemas['EfficiencyView'];
export type HealthBeat = Schemas['BeatView'];
export type HealthChange = Schemas['CheckChange'];
export type HealthCounts = Schemas['HealthCounts'];
export type HealthState = Schemas['HealthState'];
export type Maintenance = Schemas['MaintenanceView'];
/** What is not said is as it usually is. */
export type NewCheck = Pick<Schemas['NewCheck'], 'name' | 'probe'> & Partial<Schemas['NewCheck']>;
export type NewMaintenance = Pick<Schemas['NewMaintenance'], 'until'> & Partial<Schemas['NewMaintenance']>;
