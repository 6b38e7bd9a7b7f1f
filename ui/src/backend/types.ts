/** The words of the API under their names; all of them come from its description. */
import type { components } from './schema';

type Schemas = components['schemas'];

export type AgentView = Schemas['AgentView'];
export type AgentState = Schemas['AgentState'];
export type AgentStatus = Schemas['AgentStatus'];
export type AttemptState = Schemas['AttemptState'];
export type AttemptView = Schemas['AttemptView'];
export type Check = Schemas['Check'];
export type Checkpoint = Schemas['Checkpoint'];
export type CommandCheck = Schemas['CommandCheck'];
export type DemoView = Schemas['DemoView'];
export type DetectedRuntime = Schemas['DetectedRuntime'];
/** What is not named stays as it is; the description calls everything with a default required. */
export type EditMission = Partial<Schemas['EditMission']>;
export type Estimate = Schemas['Estimate'];
export type EvidenceItem = Schemas['EvidenceItem'];
export type Devlog = Schemas['Devlog'];
export type Event = Schemas['Event'];
export type Evidence = Schemas['Evidence'];
export type Exit = Schemas['Exit'];
export type Fact = Schemas['Fact'];
export type Frame = Schemas['Frame'];
export type GateOutput = Schemas['GateOutput'];
export type GateResult = Schemas['GateResult'];
export type GateSpec = Schemas['GateSpec'];
export type Grade = Schemas['Grade'];
export type MissionLink = Schemas['Link'];
export type Mission = Schemas['Mission'];
export type MissionCheck = Schemas['MissionCheck'];
export type MissionInput = Schemas['MissionInput'];
export type MissionState = Schemas['MissionState'];
export type MissionView = Schemas['MissionView'];
export type NewAgent = Schemas['NewAgent'];
export type NewMission = Schemas['NewMission'];
export type OutputStream = Schemas['OutputStream'];
export type Overview = Schemas['Overview'];
export type Payload = Schemas['Payload'];
export type Policy = Schemas['Policy'];
export type Priority = Schemas['Priority'];
export type RepositoryView = Schemas['RepositoryView'];
/** A signal of the catalogue. */
export type Signal = Schemas['Signal'];
export type SignalAnswer = Schemas['SignalAnswer'];
/** A moment at which something happened to time: the machine slept, the clock was set. */
export type SignalMark = Schemas['Mark'];
export type SuggestedAgent = Schemas['SuggestedAgent'];
export type Suggestion = Schemas['Suggestion'];
export type TranscriptChunk = Schemas['TranscriptChunk'];
export type Verdict = Schemas['Verdict'];
export type Why = Schemas['Why'];
/** What is asked of a mission, with everything that goes with it. */
export type Wish = Schemas['Ask'];
export type MissionDetail = Schemas['MissionDetail'];
/** One page of a list. */
export type Listing<T> = Omit<Schemas['Listing_AgentView'], 'items'> & { items: T[] };
