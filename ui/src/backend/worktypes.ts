/** What review, places, topics, import, rules and recovery speak of; all of it comes from the API's description. */
import type { components } from './schema';

type Schemas = components['schemas'];

/** An access token as it stands; its secret is kept nowhere. */
export type AccessToken = Schemas['TokenView'];
export type Candidate = Schemas['Candidate'];
export type ChangeStatus = Schemas['FileStatus'];
export type ChangedFile = Schemas['ChangedFile'];
export type Choice = Schemas['Choice'];
export type CleanView = Schemas['CleanView'];
export type HaltView = Schemas['HaltView'];
export type ImportAction = Schemas['ImportAction'];
export type ImportFormat = Schemas['ImportFormat'];
export type ImportItem = Schemas['ImportItem'];
export type ImportNote = Schemas['ImportNote'];
export type ImportRequest = Schemas['ImportRequest'];
export type ImportResult = Schemas['ImportResult'];
export type MergeHow = Schemas['MergeHow'];
export type MergePreview = Schemas['MergePreview'];
export type MergeView = Schemas['MergeView'];
export type MergeWish = Schemas['MergeWish'];
export type NewPairing = Schemas['NewPairing'];
export type NewToken = Schemas['NewToken'];
export type NewTopic = Schemas['NewTopic'];
export type NewVote = Schemas['NewVote'];
export type PatchView = Schemas['PatchView'];
export type Pairing = Schemas['PairingView'];
export type Plan = Schemas['Plan'];
export type Radar = Schemas['Radar'];
export type RadarConflict = Schemas['RadarConflict'];
export type RadarPlace = Schemas['RadarPlace'];
export type ReconciledView = Schemas['ReconciledView'];
export type RecoveryReport = Schemas['RecoveryReport'];
export type ReviewView = Schemas['ReviewView'];
/** What holds for the whole swarm; called settings there. */
export type Rules = Schemas['Settings'];
export type ScanReport = Schemas['ScanReport'];
export type ScanRequest = Schemas['ScanRequest'];
export type Similar = Schemas['Similar'];
export type SwarmView = Schemas['SwarmView'];
export type Template = Schemas['Template'];
export type TemplateView = Schemas['TemplateView'];
export type TokenRole = Schemas['TokenRole'];
export type TokenScope = Schemas['TokenScope'];
export type Topic = Schemas['Topic'];
export type TopicView = Schemas['TopicView'];
export type TrashRestored = Schemas['TrashRestored'];
export type TrashView = Schemas['TrashView'];
export type Trouble = Schemas['Trouble'];
export type WorktreeView = Schemas['WorktreeView'];
export type Worktrees = Schemas['Worktrees'];
