/** The words of the API, for everything above the state tier. */

export type * from '../backend/agenttypes';
export { type Ask, type ExportFormat, Refusal, type Versioned } from '../backend/api';
export { Unreachable } from '../backend/backend';
export type * from '../backend/healthtypes';
export type * from '../backend/housetypes';
export type * from '../backend/types';
export type * from '../backend/worktypes';
