//! How each fact changes the rows. Running it over the whole log gives the rows again.

use model::event::{Event, Fact};
use sqlx::SqliteConnection;

use super::error::RowError;
use super::misfit::misfit;
use super::stroke::Stroke;
use super::table::named::{self, Halted, KeptSecret};
use super::table::{
    agents, attempt_usage, attempts, checkpoints, checks, devlogs, gate_results, logins, messages,
    missions, reports, requests, reviews, rules, tokens, topics, trash,
};

/// Applies one event to the rows.
///
/// # Errors
/// [`RowError::Conflict`] when the fact does not fit what is stored.
pub(crate) async fn project(conn: &mut SqliteConnection, event: &Event) -> Result<(), RowError> {
    let kind = event.fact.kind();
    let applied = match strokes(event)? {
        Some(strokes) => write_each(conn, strokes).await,
        None => apply(conn, event).await,
    };
    match applied.map_err(|error| error.of(kind))? {
        true => Ok(()),
        false => Err(misfit(conn, &event.fact).await?),
    }
}

/// What a fact writes, where that can be laid beside what other facts write; nothing where the fact
/// has to be applied by itself.
pub(crate) fn strokes(event: &Event) -> Result<Option<Vec<Stroke>>, RowError> {
    let at = event.at;
    Ok(Some(match &event.fact {
        Fact::EngineStarted { .. } | Fact::EngineStopped | Fact::ResultLate { .. } => Vec::new(),
        Fact::MissionCreated { mission, brief } => missions::insert(mission, brief)?,
        moved @ Fact::MissionMoved { .. } => missions::shift(moved, at).into_iter().collect(),
        Fact::HandoffWritten { mission_id, handoff } => {
            vec![missions::hand_off(*mission_id, handoff.as_ref(), at)?]
        }
        Fact::AttemptLeased { attempt } => vec![
            attempts::insert(attempt)?,
            missions::count_attempt(attempt.mission_id, attempt.n, at),
        ],
        Fact::AttemptPrepared { attempt_id, workplace } => {
            vec![attempts::prepare(*attempt_id, workplace)?]
        }
        Fact::AttemptStarted { attempt_id, process }
        | Fact::AttemptAdopted { attempt_id, process } => {
            vec![attempts::start(*attempt_id, process)?]
        }
        Fact::AttemptTaken { attempt_id } => vec![attempts::take(*attempt_id)],
        Fact::AttemptExited { attempt_id, record } => vec![attempts::exit(*attempt_id, record)?],
        // Who was asked about the work as it was is no longer awaited.
        Fact::AttemptVerifying { attempt_id } => {
            vec![reviews::drop_all(*attempt_id), attempts::verify(*attempt_id)]
        }
        Fact::WorkRecorded { attempt_id, work } => vec![attempts::record(*attempt_id, work)?],
        Fact::AttemptEnded { attempt_id, state, note } => vec![
            reviews::drop_all(*attempt_id),
            attempts::end(*attempt_id, *state, note.as_deref(), at),
        ],
        _ => return Ok(None),
    }))
}

async fn write_each(conn: &mut SqliteConnection, strokes: Vec<Stroke>) -> Result<bool, RowError> {
    for stroke in strokes {
        if !stroke.write(conn).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Applies a fact that [`strokes`] says nothing of; says whether the row it speaks of was there and
/// stood where it should.
async fn apply(conn: &mut SqliteConnection, event: &Event) -> Result<bool, RowError> {
    match &event.fact {
        Fact::EngineStarted { .. } | Fact::EngineStopped | Fact::ResultLate { .. } => Ok(true),
        Fact::AgentAdded { agent } => agents::insert(conn, agent).await.map(|()| true),
        Fact::AgentChanged { agent } => agents::update(conn, agent).await,
        Fact::AgentRemoved { agent_id } => {
            messages::discard_all(conn, *agent_id).await?;
            rules::remove_of_agent(conn, *agent_id).await?;
            reports::forget(conn, *agent_id).await?;
            checks::forget_agent(conn, *agent_id).await?;
            agents::remove(conn, *agent_id, event.seq).await
        }
        Fact::DevlogWritten { devlog } => devlogs::insert(conn, devlog).await.map(|()| true),
        Fact::DevlogRemoved { devlog_id } => devlogs::remove(conn, *devlog_id, event.seq).await,
        Fact::MissionCreated { .. }
        | Fact::MissionMoved { .. }
        | Fact::MissionChanged { .. }
        | Fact::MissionProgressed { .. }
        | Fact::HandoffWritten { .. }
        | Fact::WorkMerged { .. }
        | Fact::MissionAssigned { .. }
        | Fact::MissionRemoved { .. }
        | Fact::MissionRestored { .. } => of_mission(conn, event).await,
        Fact::AttemptLeased { .. }
        | Fact::AttemptPrepared { .. }
        | Fact::AttemptStarted { .. }
        | Fact::AttemptTaken { .. }
        | Fact::AttemptAdopted { .. }
        | Fact::AttemptStopping { .. }
        | Fact::AttemptExited { .. }
        | Fact::AttemptVerifying { .. }
        | Fact::WorkRecorded { .. }
        | Fact::GateFinished { .. }
        | Fact::AttemptReviewing { .. }
        | Fact::ReviewAssigned { .. }
        | Fact::AttemptFrozen { .. }
        | Fact::CheckpointMade { .. }
        | Fact::CheckpointRestored { .. }
        | Fact::AttemptEnded { .. } => of_attempt(conn, event).await,
        Fact::SwarmHalted { .. }
        | Fact::SwarmResumed
        | Fact::HookSaved { .. }
        | Fact::HookRemoved { .. }
        | Fact::SecretKept { .. }
        | Fact::SecretRemoved { .. }
        | Fact::SettingsChanged { .. }
        | Fact::PolicySaved { .. }
        | Fact::PolicyRemoved { .. }
        | Fact::TemplateSaved { .. }
        | Fact::TemplateRemoved { .. }
        | Fact::Trashed { .. }
        | Fact::TrashEmptied { .. }
        | Fact::TopicOpened { .. }
        | Fact::VoteCast { .. }
        | Fact::TopicClosed { .. }
        | Fact::TokenMade { .. }
        | Fact::TokenRevoked { .. }
        | Fact::LoggedIn { .. }
        | Fact::LoggedOut { .. } => of_workspace(conn, event).await,
        Fact::MessageQueued { .. }
        | Fact::MessagesDelivered { .. }
        | Fact::MessagesStarted { .. }
        | Fact::MessagesAcknowledged { .. }
        | Fact::MessageFailed { .. }
        | Fact::MessageRetried { .. }
        | Fact::MessageDiscarded { .. } => of_message(conn, &event.fact).await,
        Fact::RequestAsked { .. }
        | Fact::RequestEnded { .. }
        | Fact::RequestDeferred { .. }
        | Fact::RequestTold { .. }
        | Fact::RuleAdded { .. }
        | Fact::RuleRemoved { .. } => of_inbox(conn, &event.fact).await,
        Fact::CheckSaved { .. }
        | Fact::CheckRemoved { .. }
        | Fact::CheckReported { .. }
        | Fact::ChecksChanged { .. }
        | Fact::MaintenanceSaved { .. }
        | Fact::MaintenanceRemoved { .. } => checks::apply(conn, event).await,
        Fact::UsageMeasured { attempt_id, usage } => {
            attempt_usage::put(conn, *attempt_id, usage).await
        }
        Fact::AttemptAcknowledged { attempt_id, at, .. } => {
            attempts::acknowledge(conn, *attempt_id, *at).await
        }
        Fact::ReportTaken { agent_id, key, .. } => {
            reports::take(conn, *agent_id, key, event.seq).await
        }
        // Said in the log only: how full a context is now, the usage says; how an agent does, its
        // attempts say.
        Fact::ContextCrossed { .. }
        | Fact::AgentCleared { .. }
        | Fact::AttemptRescued { .. }
        | Fact::HookFailed { .. }
        | Fact::BackupMade { .. } => Ok(true),
    }
}

async fn of_mission(conn: &mut SqliteConnection, event: &Event) -> Result<bool, RowError> {
    let (seq, at) = (event.seq, event.at);
    match &event.fact {
        Fact::MissionChanged { mission, brief } => {
            missions::change(conn, mission, brief.as_deref(), at).await
        }
        Fact::MissionProgressed { mission_id, progress, criteria } => {
            missions::progress(conn, *mission_id, progress, criteria, at).await
        }
        Fact::WorkMerged { mission_id, merge } => {
            missions::merge(conn, *mission_id, merge, at).await
        }
        Fact::MissionAssigned { mission_id, agent_id } => {
            missions::assign(conn, *mission_id, *agent_id, at).await
        }
        Fact::MissionRemoved { mission_id } => missions::remove(conn, *mission_id, seq).await,
        Fact::MissionRestored { mission_id } => missions::restore(conn, *mission_id).await,
        _ => Ok(false),
    }
}

async fn of_attempt(conn: &mut SqliteConnection, event: &Event) -> Result<bool, RowError> {
    match &event.fact {
        Fact::AttemptStopping { attempt_id } => attempts::stop(conn, *attempt_id).await,
        Fact::GateFinished { attempt_id, result } => {
            gate_results::put(conn, *attempt_id, result).await?;
            reviews::answered(conn, *attempt_id, result.index).await.map(|()| true)
        }
        Fact::AttemptReviewing { attempt_id } => attempts::review(conn, *attempt_id).await,
        Fact::ReviewAssigned { attempt_id, index, agent_id } => {
            reviews::ask(conn, *attempt_id, *index, *agent_id, event.seq).await
        }
        Fact::AttemptFrozen { attempt_id, frozen } => {
            attempts::freeze(conn, *attempt_id, *frozen).await
        }
        Fact::CheckpointMade { checkpoint } => {
            checkpoints::insert(conn, checkpoint).await.map(|()| true)
        }
        Fact::CheckpointRestored { checkpoint_id, .. } => {
            Ok(checkpoints::get(conn, *checkpoint_id).await?.is_some())
        }
        _ => Ok(false),
    }
}

async fn of_workspace(conn: &mut SqliteConnection, event: &Event) -> Result<bool, RowError> {
    match &event.fact {
        Fact::SwarmHalted { note, at } => {
            named::halt(conn, &Halted { since: *at, note: note.clone() }).await
        }
        Fact::SwarmResumed => named::resume(conn).await,
        Fact::SettingsChanged { settings } => named::set(conn, settings).await.map(|()| true),
        Fact::HookSaved { hook } => {
            named::HOOKS.put(conn, &hook.id.to_string(), hook).await.map(|()| true)
        }
        Fact::HookRemoved { hook_id } => named::HOOKS.remove(conn, &hook_id.to_string()).await,
        Fact::SecretKept { name } => {
            let kept = KeptSecret { name: name.clone(), kept_at: event.at };
            named::SECRETS.put(conn, name, &kept).await.map(|()| true)
        }
        Fact::SecretRemoved { name } => named::SECRETS.remove(conn, name).await,
        Fact::PolicySaved { policy } => {
            named::POLICIES.put(conn, &policy.name, policy).await.map(|()| true)
        }
        Fact::PolicyRemoved { name } => named::POLICIES.remove(conn, name).await,
        Fact::TemplateSaved { template } => {
            named::TEMPLATES.put(conn, &template.name, template).await.map(|()| true)
        }
        Fact::TemplateRemoved { name } => named::TEMPLATES.remove(conn, name).await,
        Fact::Trashed { item } => trash::insert(conn, item).await.map(|()| true),
        Fact::TrashEmptied { trash_id, end } => trash::end(conn, *trash_id, *end).await,
        Fact::TopicOpened { topic } => topics::insert(conn, topic).await.map(|()| true),
        Fact::VoteCast { vote } => topics::vote(conn, vote).await,
        Fact::TopicClosed { topic_id, decision } => topics::close(conn, *topic_id, decision).await,
        Fact::TokenMade { token, hash } => tokens::insert(conn, token, hash).await.map(|()| true),
        Fact::TokenRevoked { token_id, at } => {
            logins::end_of_token(conn, *token_id, *at).await?;
            tokens::revoke(conn, *token_id, *at).await
        }
        Fact::LoggedIn { login, cookie_hash, page_hash } => {
            logins::insert(conn, login, cookie_hash, page_hash).await.map(|()| true)
        }
        Fact::LoggedOut { login_id, at, why } => logins::end(conn, *login_id, *at, *why).await,
        _ => Ok(false),
    }
}

async fn of_message(conn: &mut SqliteConnection, fact: &Fact) -> Result<bool, RowError> {
    match fact {
        Fact::MessageQueued { message } => messages::insert(conn, message).await,
        Fact::MessagesDelivered { message_ids, attempt_id, at } => {
            messages::deliver(conn, message_ids, *attempt_id, *at).await
        }
        Fact::MessagesStarted { message_ids, at } => messages::start(conn, message_ids, *at).await,
        Fact::MessagesAcknowledged { message_ids, at } => {
            messages::acknowledge(conn, message_ids, *at).await
        }
        Fact::MessageFailed { message_id, problem, tries, quarantined } => {
            let failure = messages::Failure { problem, tries: *tries, quarantined: *quarantined };
            messages::fail(conn, *message_id, failure).await
        }
        Fact::MessageRetried { message_id } => messages::retry(conn, *message_id).await,
        Fact::MessageDiscarded { message_id } => messages::discard(conn, *message_id).await,
        _ => Ok(false),
    }
}

async fn of_inbox(conn: &mut SqliteConnection, fact: &Fact) -> Result<bool, RowError> {
    match fact {
        Fact::RequestAsked { request } => requests::insert(conn, request).await,
        Fact::RequestEnded { request_id, end, at } => {
            requests::end(conn, *request_id, end, *at).await
        }
        Fact::RequestDeferred { request_id, not_before } => {
            requests::defer(conn, *request_id, *not_before).await
        }
        Fact::RequestTold { request_id } => requests::tell(conn, *request_id).await,
        Fact::RuleAdded { rule } => rules::insert(conn, rule).await.map(|()| true),
        Fact::RuleRemoved { rule_id } => rules::remove(conn, *rule_id).await,
        _ => Ok(false),
    }
}
