//! How well agents work, in figures with the number of cases they rest on.

use jiff::Timestamp;
use model::id::AgentId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How well an agent worked in a stretch of time, compared with itself before and with the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EfficiencyView {
    /// The agent.
    pub agent_id: AgentId,
    /// Its name.
    pub agent: String,
    /// The stretch of time begins after this moment. It is later than was asked for where `cut` says so.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// It ends with this moment.
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// Whether more ended in the time that was asked for than is counted at once, so that the figures
    /// are of a shorter one.
    pub cut: bool,
    /// Attempts that ended, also those that were stopped.
    pub n: u64,
    /// The figures.
    #[serde(flatten)]
    pub figures: EfficiencyFigures,
    /// What they were in the stretch of time of the same length before.
    pub trend: EfficiencyTrend,
    /// What they are for the other agents.
    pub peers: EfficiencyPeers,
}

/// The figures of one agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EfficiencyFigures {
    /// Accepted missions for each hour the agent was there; `n` accepted missions.
    pub missions_per_hour: EfficiencyFigure,
    /// The share of attempts that were accepted, of `n` that were accepted, rejected or lost.
    pub success: EfficiencyShare,
    /// The share of `n` accepted missions of which more than the agent's own word proves that they are
    /// done.
    pub evidence: EfficiencyShare,
    /// The share of `n` accepted missions that took the agent more than one try, because its work was
    /// rejected before.
    pub rework: EfficiencyShare,
    /// How long it took from when the agent first got a mission to when its work was accepted.
    pub cycle_time: CycleTime,
    /// Tokens for each of `n` accepted missions, also those that were used for what came to nothing.
    pub tokens_per_accepted: EfficiencyPerAccepted,
    /// US dollars for each of `n` accepted missions, by our prices or else as the agent says.
    pub cost_per_accepted: EfficiencyPerAccepted,
    /// The share of the time it was there in which no program of it ran; `n` stretches of work.
    pub idle_share: EfficiencyFigure,
}

/// A figure, with the number of cases it rests on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EfficiencyFigure {
    /// The figure; nothing where there is none.
    pub value: Option<f64>,
    /// On how many cases it rests.
    pub n: u64,
}

/// A share of cases, with the interval that holds the true share in 95 of 100 such samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EfficiencyShare {
    /// From 0 to 1; nothing where there are no cases.
    pub value: Option<f64>,
    /// The lower end of the interval.
    pub low: Option<f64>,
    /// The upper end of the interval.
    pub high: Option<f64>,
    /// How many cases there are.
    pub n: u64,
}

/// How cycle times are spread, in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CycleTime {
    /// One in ten took less; nothing where nothing was accepted.
    pub p10: Option<f64>,
    /// Half took less.
    pub p50: Option<f64>,
    /// Nine in ten took less.
    pub p90: Option<f64>,
    /// How many there are.
    pub n: u64,
    /// The same by classes of length, shortest first.
    pub classes: Vec<CycleClass>,
}

/// Cycle times of about the same length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CycleClass {
    /// Up to how many seconds, beginning where the class before ends; nothing for the last.
    pub to_s: Option<u64>,
    /// How many there are.
    pub n: u64,
}

/// What was used for each accepted mission.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EfficiencyPerAccepted {
    /// The figure; nothing where nothing was accepted, or nobody said what was used. Where `unknown` is
    /// not zero it is at least this.
    pub value: Option<f64>,
    /// Accepted missions.
    pub n: u64,
    /// Attempts of which nobody said what they used.
    pub unknown: u64,
}

/// How each figure differs from the one before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EfficiencyTrend {
    /// The stretch of time before begins after this moment, and ends where the other begins.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// Of the missions for each hour.
    pub missions_per_hour: EfficiencyChange,
    /// Of the share that was accepted.
    pub success: EfficiencyChange,
    /// Of the share that was proved.
    pub evidence: EfficiencyChange,
    /// Of the share that took more than one try.
    pub rework: EfficiencyChange,
    /// Of the median cycle time.
    pub cycle_time: EfficiencyChange,
    /// Of the tokens for each accepted mission.
    pub tokens_per_accepted: EfficiencyChange,
    /// Of the cost for each accepted mission.
    pub cost_per_accepted: EfficiencyChange,
    /// Of the share of idle time.
    pub idle_share: EfficiencyChange,
}

/// How a figure differs from what it was before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EfficiencyChange {
    /// What it was before.
    pub before: Option<f64>,
    /// By how much it grew since, in its own unit; nothing where one of the two is not known.
    pub change: Option<f64>,
    /// The same in percent of what it was before.
    pub percent: Option<f64>,
    /// On how many cases the figure before rests.
    pub n: u64,
}

/// How each figure compares with those of the other agents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EfficiencyPeers {
    /// Of the missions for each hour.
    pub missions_per_hour: EfficiencyStanding,
    /// Of the share that was accepted.
    pub success: EfficiencyStanding,
    /// Of the share that was proved.
    pub evidence: EfficiencyStanding,
    /// Of the share that took more than one try.
    pub rework: EfficiencyStanding,
    /// Of the median cycle time.
    pub cycle_time: EfficiencyStanding,
    /// Of the tokens for each accepted mission.
    pub tokens_per_accepted: EfficiencyStanding,
    /// Of the cost for each accepted mission.
    pub cost_per_accepted: EfficiencyStanding,
    /// Of the share of idle time.
    pub idle_share: EfficiencyStanding,
}

/// How a figure compares with those of the other agents that have one. An agent of the demo compares
/// with those of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EfficiencyStanding {
    /// The median of the others.
    pub median: Option<f64>,
    /// How many others there are.
    pub n: u64,
    /// The agent's place among itself and the others, the best being 1. More missions, success and
    /// evidence are better; of everything else, less is.
    pub rank: Option<u32>,
}
