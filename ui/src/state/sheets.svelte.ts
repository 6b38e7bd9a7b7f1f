/** Which dialog is open; one at a time, reachable from every screen. */
import type { AgentView, MissionDetail } from '../backend/types';

export type Sheet =
  | { kind: 'new-mission'; agent: string | null }
  | { kind: 'edit-mission'; mission: MissionDetail }
  | { kind: 'new-agent' }
  | { kind: 'edit-agent'; agent: AgentView }
  | { kind: 'broadcast'; agents: readonly string[] }
  | { kind: 'remove-agent'; agent: AgentView }
  | { kind: 'new-topic' }
  | { kind: 'plan' }
  | { kind: 'scan'; path: string }
  | { kind: 'keys' }
  | { kind: 'palette' };

export class Sheets {
  open = $state.raw<Sheet | null>(null);

  show(sheet: Sheet): void {
    this.open = sheet;
  }

  close(): void {
    this.open = null;
  }
}
