//! What is known of an attempt: read from the ledger and from telemetry, written nowhere.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use model::agent::Agent;
use model::attempt::{Attempt, AttemptState, Checkpoint};
use model::gate::GateResult;
use model::id::{AgentId, AttemptId};
use model::mission::{Mission, MissionState};
use model::process::Exit;
use model::signal::{Bucket, SeriesRange};
use serde::Serialize;
use store::telemetry::{RangeQuery, ReadError, Telemetry};
use store::{EventFilter, Ledger, ReadError as LedgerError};

use crate::GatherError;

/// The most columns of a chart.
const POINTS_MAX: i64 = 600;

/// The agent as journals name it. Its environment may hold secrets and never gets here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct AgentName {
    pub(crate) id: AgentId,
    /// Nothing for an agent the ledger does not know.
    pub(crate) name: Option<String>,
    pub(crate) role: Option<String>,
}

impl AgentName {
    pub(crate) fn new(id: AgentId, agent: Option<Agent>) -> Self {
        let (name, role) = agent.map(|agent| (agent.name, agent.role)).unzip();
        Self { id, name, role: role.filter(|role| !role.is_empty()) }
    }

    pub(crate) fn words(&self) -> String {
        match &self.name {
            Some(name) => name.clone(),
            None => format!("an unknown agent ({})", self.id),
        }
    }
}

/// What the processes of an attempt used. Nothing where nothing was measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Resources {
    /// Processor time of the whole tree, from its end record.
    pub(crate) cpu_ms: Option<u64>,
    /// The largest resident memory of any one process, from the end record.
    pub(crate) process_memory_peak_bytes: Option<u64>,
    /// Percent of one core, over the samples.
    pub(crate) cpu_percent_mean: Option<f64>,
    /// Percent of one core, the largest sample.
    pub(crate) cpu_percent_max: Option<f64>,
    /// Resident memory of the tree, over the samples, in bytes.
    pub(crate) memory_mean_bytes: Option<f64>,
    /// Resident memory of the tree, the largest sample, in bytes.
    pub(crate) memory_max_bytes: Option<f64>,
    /// Samples of the tree that these figures rest on.
    pub(crate) samples: u64,
}

impl Resources {
    fn of(attempt: &Attempt, cpu: &[Bucket], memory: &[Bucket]) -> Self {
        let record = attempt.exit.as_ref().filter(|record| {
            !matches!(record.exit, Exit::NotStarted { .. } | Exit::Rebooted | Exit::Lost { .. })
        });
        Self {
            cpu_ms: record.map(|record| record.cpu_ms),
            process_memory_peak_bytes: record
                .map(|record| record.memory_peak_bytes)
                .filter(|bytes| *bytes > 0),
            cpu_percent_mean: mean(cpu),
            cpu_percent_max: max(cpu),
            memory_mean_bytes: mean(memory),
            memory_max_bytes: max(memory),
            samples: memory.iter().map(|bucket| bucket.count).sum(),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of samples are small")]
fn mean(buckets: &[Bucket]) -> Option<f64> {
    let count: u64 = buckets.iter().map(|bucket| bucket.count).sum();
    let sum: f64 = buckets.iter().map(|bucket| bucket.mean * bucket.count as f64).sum();
    (count > 0).then(|| sum / count as f64)
}

fn max(buckets: &[Bucket]) -> Option<f64> {
    buckets.iter().map(|bucket| bucket.max).reduce(f64::max)
}

/// One series of an attempt, for its chart.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Curve {
    pub(crate) step_ms: u64,
    pub(crate) buckets: Vec<Bucket>,
}

/// All that is known of an attempt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct AttemptFacts {
    pub(crate) attempt: Attempt,
    pub(crate) agent: AgentName,
    pub(crate) gates: Vec<GateResult>,
    pub(crate) checkpoints: Vec<Checkpoint>,
    /// When its work first went to review, from where on its agent was free.
    pub(crate) reviewed_at: Option<Timestamp>,
    pub(crate) resources: Resources,
    pub(crate) cpu: Curve,
    pub(crate) memory: Curve,
}

impl AttemptFacts {
    /// Reads what is known now; `now` bounds an attempt that still runs.
    pub(crate) async fn read(
        ledger: &Ledger,
        telemetry: &Telemetry,
        attempt: Attempt,
        now: Timestamp,
    ) -> Result<Self, GatherError> {
        let agent = ledger.agent_ever(attempt.agent_id).await?;
        let gates = ledger.gate_results(attempt.id).await?;
        let checkpoints = ledger.checkpoints_of(attempt.id).await?;
        let reviewed_at = first_review(ledger, attempt.id).await?;
        let cpu = curve(telemetry, "agent_cpu_percent", &attempt, now).await?;
        let memory = curve(telemetry, "agent_memory_bytes", &attempt, now).await?;
        let resources = Resources::of(&attempt, &cpu.buckets, &memory.buckets);
        Ok(Self {
            agent: AgentName::new(attempt.agent_id, agent),
            attempt,
            gates,
            checkpoints,
            reviewed_at,
            resources,
            cpu,
            memory,
        })
    }

    /// How long its program ran; nothing when it never did, up to `now` while it does.
    pub(crate) fn program_time(&self, now: Timestamp) -> Option<SignedDuration> {
        let (from, to) = program_span(&self.attempt, now)?;
        Some(to.duration_since(from))
    }

    /// From the lease until its agent was free, or to `now`.
    pub(crate) fn whole_time(&self, now: Timestamp) -> SignedDuration {
        let end = self.reviewed_at.or(self.attempt.ended_at).unwrap_or(now);
        end.duration_since(self.attempt.leased_at)
    }
}

/// When the work of an attempt first went to review.
pub(crate) async fn first_review(
    ledger: &Ledger,
    id: AttemptId,
) -> Result<Option<Timestamp>, LedgerError> {
    let filter = EventFilter {
        attempt_id: Some(id),
        kinds: vec!["attempt_reviewing".to_owned()],
        limit: store::ledger::PAGE_ROWS_MAX,
        ..EventFilter::default()
    };
    let newest_first = ledger.events(filter).await?.items;
    Ok(newest_first.last().map(|event| event.at))
}

fn program_span(attempt: &Attempt, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
    let from = attempt.process.as_ref()?.started_at;
    let to = match &attempt.exit {
        Some(record) => record.ended_at,
        None => attempt.ended_at.unwrap_or(now),
    };
    Some((from, to.max(from)))
}

async fn curve(
    telemetry: &Telemetry,
    name: &str,
    attempt: &Attempt,
    now: Timestamp,
) -> Result<Curve, ReadError> {
    let Some((from, to)) = program_span(attempt, now) else {
        return Ok(Curve::default());
    };
    // Columns of a second at least: samples come once a second.
    let seconds = to.duration_since(from).as_secs().clamp(1, POINTS_MAX);
    let query = RangeQuery {
        name: name.to_owned(),
        labels: BTreeMap::from([("agent".to_owned(), attempt.agent_id.to_string())]),
        from,
        to,
        points: u32::try_from(seconds).unwrap_or(1),
    };
    let series: Option<SeriesRange> = telemetry.range(query).await?.into_iter().next();
    Ok(series.map_or_else(Curve::default, |series| Curve {
        step_ms: series.step_ms,
        buckets: series.buckets,
    }))
}

/// The word for how an attempt came out, as far as it is decided.
pub(crate) fn outcome(mission: &Mission, attempt: &Attempt) -> &'static str {
    if mission.attempts > attempt.n || mission.state.has_live_attempt() {
        return attempt_words(attempt);
    }
    match mission.state {
        MissionState::Queued => "failed, another attempt follows",
        MissionState::Draft | MissionState::Paused => attempt_words(attempt),
        state => mission_words(state),
    }
}

/// The state of a mission in words.
pub(crate) const fn mission_words(state: MissionState) -> &'static str {
    match state {
        MissionState::Draft => "draft",
        MissionState::Queued => "queued",
        MissionState::Assigned => "being started",
        MissionState::Running => "running",
        MissionState::Verifying => "being verified",
        MissionState::InReview => "in review",
        MissionState::Done => "done",
        MissionState::NeedsInput => "waiting for the captain",
        MissionState::Paused => "paused",
        MissionState::Failed => "failed",
        MissionState::Cancelled => "cancelled",
    }
}

/// The state of an attempt in words.
pub(crate) const fn attempt_words(attempt: &Attempt) -> &'static str {
    match attempt.state {
        AttemptState::Leased | AttemptState::Starting => "being started",
        AttemptState::Running if attempt.frozen => "held",
        AttemptState::Running => "running",
        AttemptState::Verifying if attempt.in_review => "in review",
        AttemptState::Exited | AttemptState::Verifying => "being verified",
        // Not "accepted": that is the captain's word about the mission.
        AttemptState::Accepted => "passed",
        AttemptState::Rejected => "failed",
        AttemptState::Lost => "lost",
        AttemptState::Stopped => "stopped",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(mean: f64, max: f64, count: u64) -> Bucket {
        Bucket { at: Timestamp::UNIX_EPOCH, min: 0.0, max, mean, last: mean, count }
    }

    #[test]
    fn a_mean_weighs_each_stretch_by_its_samples_and_needs_some() {
        let check = |buckets: &[Bucket], expect: (Option<f64>, Option<f64>)| {
            assert_eq!((mean(buckets), max(buckets)), expect);
        };
        check(&[], (None, None));
        check(&[bucket(10.0, 20.0, 3), bucket(50.0, 60.0, 1)], (Some(20.0), Some(60.0)));
    }
}
