/** What conversations, messages, usage, the inbox and presets speak of; all of it comes from the API's description. */
import type { components } from './schema';

type Schemas = components['schemas'];

export type AgentActivity = Schemas['Activity'];
export type Body = Schemas['Body'];
export type BodyKind = Body['kind'];
export type BroadcastState = Schemas['BroadcastState'];
export type BroadcastView = Schemas['BroadcastView'];
export type Conduct = Schemas['Conduct'];
export type Confidence = Schemas['Confidence'];
export type ContextFill = Schemas['Context'];
export type ConversationChanges = Schemas['ConversationChanges'];
export type ConversationHit = Schemas['ConversationHit'];
export type ConversationHits = Schemas['ConversationHits'];
export type ConversationPage = Schemas['ConversationPage'];
/** An entry with its place in the conversation and the revision it was last changed in. */
export type EntryAt = Schemas['EntryAt'];
export type FileChange = Schemas['FileChange'];
export type HomeAccess = Schemas['HomeAccess'];
export type InboxCounts = Schemas['InboxTotals'];
export type InboxView = Schemas['InboxView'];
export type Limits = Schemas['Limits'];
export type MessagePage = Schemas['MessagePage'];
export type MessageState = Schemas['MessageState'];
export type MessageView = Schemas['MessageView'];
export type NewPermissionRule = Schemas['NewRule'];
export type PermissionAsk = Schemas['PermissionAsk'];
export type PermissionPolicy = Schemas['PermissionPolicy'];
export type PermissionRule = Schemas['Rule'];
export type PlanState = Schemas['PlanState'];
export type Preset = Schemas['PresetView'];
export type PresetList = Schemas['PresetList'];
export type PresetTest = Schemas['PresetTest'];
export type RequestAnswer = Schemas['RequestAnswer'];
export type RequestAsk = Schemas['RequestAsk'];
export type RequestEnd = Schemas['RequestEnd'];
export type RequestView = Schemas['RequestView'];
export type ReviewWaiting = Schemas['ReviewWaiting'];
export type RiskLevel = Schemas['RiskLevel'];
export type RuleScope = Schemas['Scope'];
export type Runtime = Schemas['Runtime'];
export type RuntimeKind = Runtime['kind'];
export type Sandbox = Schemas['Sandbox'];
export type ScopeKind = Schemas['ScopeWord'];
export type Source = Schemas['Source'];
export type Supervision = Schemas['Supervision'];
export type SupervisionView = Schemas['SupervisionView'];
export type Tokens = Schemas['Tokens'];
export type ToolCall = Schemas['ToolCall'];
export type ToolKind = Schemas['ToolKind'];
export type ToolState = Schemas['ToolState'];
export type Usage = Schemas['Usage'];
export type UsageSource = Schemas['UsageSource'];
export type UsageView = Schemas['UsageView'];
/** What is to be another way; what is not named stays. The description calls everything with a default required. */
export type AgentChange = Partial<Schemas['EditAgent']>;
