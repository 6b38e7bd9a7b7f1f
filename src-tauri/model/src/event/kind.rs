//! The words for the kinds of facts.

use std::sync::OnceLock;

use super::Fact;

/// The words for every kind there is, in the order in which they are declared. To make them from the
/// description of the type takes more stack than a request has; a test says that it is the same.
const KINDS: [&str; 80] = [
    "engine_started",
    "engine_stopped",
    "agent_added",
    "agent_changed",
    "agent_removed",
    "agent_cleared",
    "mission_created",
    "mission_moved",
    "mission_changed",
    "mission_progressed",
    "handoff_written",
    "work_merged",
    "mission_assigned",
    "mission_removed",
    "mission_restored",
    "attempt_leased",
    "attempt_prepared",
    "attempt_started",
    "attempt_taken",
    "attempt_adopted",
    "attempt_stopping",
    "attempt_exited",
    "attempt_verifying",
    "work_recorded",
    "gate_finished",
    "attempt_reviewing",
    "review_assigned",
    "attempt_frozen",
    "checkpoint_made",
    "checkpoint_restored",
    "attempt_ended",
    "result_late",
    "swarm_halted",
    "swarm_resumed",
    "hook_saved",
    "hook_removed",
    "hook_failed",
    "check_saved",
    "check_removed",
    "check_reported",
    "checks_changed",
    "maintenance_saved",
    "maintenance_removed",
    "secret_kept",
    "secret_removed",
    "backup_made",
    "settings_changed",
    "policy_saved",
    "policy_removed",
    "template_saved",
    "template_removed",
    "trashed",
    "trash_emptied",
    "topic_opened",
    "vote_cast",
    "topic_closed",
    "message_queued",
    "messages_delivered",
    "messages_started",
    "messages_acknowledged",
    "message_failed",
    "message_retried",
    "message_discarded",
    "request_asked",
    "request_ended",
    "request_deferred",
    "request_told",
    "rule_added",
    "rule_removed",
    "usage_measured",
    "context_crossed",
    "attempt_rescued",
    "attempt_acknowledged",
    "report_taken",
    "devlog_written",
    "devlog_removed",
    "token_made",
    "token_revoked",
    "logged_in",
    "logged_out",
];

impl Fact {
    /// The word for its kind, as in the serialised form.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::EngineStarted { .. } => "engine_started",
            Self::EngineStopped => "engine_stopped",
            Self::AgentAdded { .. } => "agent_added",
            Self::AgentChanged { .. } => "agent_changed",
            Self::AgentRemoved { .. } => "agent_removed",
            Self::AgentCleared { .. } => "agent_cleared",
            Self::MissionCreated { .. } => "mission_created",
            Self::MissionMoved { .. } => "mission_moved",
            Self::MissionChanged { .. } => "mission_changed",
            Self::MissionProgressed { .. } => "mission_progressed",
            Self::HandoffWritten { .. } => "handoff_written",
            Self::WorkMerged { .. } => "work_merged",
            Self::MissionRestored { .. } => "mission_restored",
            Self::MissionAssigned { .. } => "mission_assigned",
            Self::MissionRemoved { .. } => "mission_removed",
            Self::AttemptLeased { .. } => "attempt_leased",
            Self::AttemptPrepared { .. } => "attempt_prepared",
            Self::AttemptStarted { .. } => "attempt_started",
            Self::AttemptTaken { .. } => "attempt_taken",
            Self::AttemptAdopted { .. } => "attempt_adopted",
            Self::AttemptStopping { .. } => "attempt_stopping",
            Self::AttemptExited { .. } => "attempt_exited",
            Self::AttemptVerifying { .. } => "attempt_verifying",
            Self::WorkRecorded { .. } => "work_recorded",
            Self::GateFinished { .. } => "gate_finished",
            Self::AttemptReviewing { .. } => "attempt_reviewing",
            Self::ReviewAssigned { .. } => "review_assigned",
            Self::AttemptFrozen { .. } => "attempt_frozen",
            Self::CheckpointMade { .. } => "checkpoint_made",
            Self::CheckpointRestored { .. } => "checkpoint_restored",
            Self::AttemptEnded { .. } => "attempt_ended",
            Self::SwarmHalted { .. } => "swarm_halted",
            Self::SwarmResumed => "swarm_resumed",
            Self::HookSaved { .. } => "hook_saved",
            Self::HookRemoved { .. } => "hook_removed",
            Self::HookFailed { .. } => "hook_failed",
            Self::CheckSaved { .. } => "check_saved",
            Self::CheckRemoved { .. } => "check_removed",
            Self::CheckReported { .. } => "check_reported",
            Self::ChecksChanged { .. } => "checks_changed",
            Self::MaintenanceSaved { .. } => "maintenance_saved",
            Self::MaintenanceRemoved { .. } => "maintenance_removed",
            Self::SecretKept { .. } => "secret_kept",
            Self::SecretRemoved { .. } => "secret_removed",
            Self::BackupMade { .. } => "backup_made",
            Self::SettingsChanged { .. } => "settings_changed",
            Self::PolicySaved { .. } => "policy_saved",
            Self::PolicyRemoved { .. } => "policy_removed",
            Self::TemplateSaved { .. } => "template_saved",
            Self::TemplateRemoved { .. } => "template_removed",
            Self::Trashed { .. } => "trashed",
            Self::TrashEmptied { .. } => "trash_emptied",
            Self::TopicOpened { .. } => "topic_opened",
            Self::VoteCast { .. } => "vote_cast",
            Self::TopicClosed { .. } => "topic_closed",
            Self::ResultLate { .. } => "result_late",
            Self::MessageQueued { .. } => "message_queued",
            Self::MessagesDelivered { .. } => "messages_delivered",
            Self::MessagesStarted { .. } => "messages_started",
            Self::MessagesAcknowledged { .. } => "messages_acknowledged",
            Self::MessageFailed { .. } => "message_failed",
            Self::MessageRetried { .. } => "message_retried",
            Self::MessageDiscarded { .. } => "message_discarded",
            Self::RequestAsked { .. } => "request_asked",
            Self::RequestEnded { .. } => "request_ended",
            Self::RequestDeferred { .. } => "request_deferred",
            Self::RequestTold { .. } => "request_told",
            Self::RuleAdded { .. } => "rule_added",
            Self::RuleRemoved { .. } => "rule_removed",
            Self::UsageMeasured { .. } => "usage_measured",
            Self::ContextCrossed { .. } => "context_crossed",
            Self::AttemptRescued { .. } => "attempt_rescued",
            Self::AttemptAcknowledged { .. } => "attempt_acknowledged",
            Self::ReportTaken { .. } => "report_taken",
            Self::DevlogWritten { .. } => "devlog_written",
            Self::DevlogRemoved { .. } => "devlog_removed",
            Self::TokenMade { .. } => "token_made",
            Self::TokenRevoked { .. } => "token_revoked",
            Self::LoggedIn { .. } => "logged_in",
            Self::LoggedOut { .. } => "logged_out",
        }
    }

    /// The words for every kind there is, in the order in which they are declared.
    #[must_use]
    pub fn kinds() -> &'static [String] {
        static ALL: OnceLock<Vec<String>> = OnceLock::new();
        ALL.get_or_init(|| KINDS.iter().map(|word| (*word).to_owned()).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use utoipa::PartialSchema;

    use super::*;

    /// The word that a variant's description gives as its kind.
    fn word_of(variant: &Value) -> Option<String> {
        let own = &variant["properties"]["kind"];
        let word = own["enum"].get(0).or_else(|| own.get("const"));
        if let Some(word) = word.and_then(Value::as_str) {
            return Some(word.to_owned());
        }
        variant["allOf"].as_array()?.iter().find_map(word_of)
    }

    #[test]
    fn the_kinds_are_those_of_the_description_of_the_type() {
        let schema = serde_json::to_value(Fact::schema()).unwrap();
        let variants = schema["oneOf"].as_array().unwrap();
        let described: Vec<String> = variants.iter().filter_map(word_of).collect();
        assert_eq!(described.len(), variants.len());
        assert_eq!(described, Fact::kinds());
    }

    #[test]
    fn every_kind_is_listed_once_as_it_is_serialised() {
        let kinds = Fact::kinds();
        for fact in [Fact::EngineStopped, Fact::SwarmResumed] {
            assert!(kinds.contains(&fact.kind().to_owned()), "{kinds:?}");
        }
        assert!(kinds.contains(&"mission_moved".to_owned()));
        // One word for each arm above.
        let said = include_str!("kind.rs")
            .lines()
            .filter(|line| line.trim_start().starts_with("Self::"))
            .count();
        assert_eq!(kinds.len(), said);
        let mut once = kinds.to_vec();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), kinds.len());
    }
}
