//! How well agents work: counted anew from the ledger whenever somebody asks, over a stretch of time
//! that bounds what is read.

use std::collections::HashMap;

use insight::efficiency::{
    CYCLE_CLASSES_S, Change, Ended, Figures, Kind, Outcome, PerAccepted, Standing, Window, Worked,
};
use insight::history::Share;
use jiff::{SignedDuration, Timestamp};
use model::agent::Agent;
use model::attempt::AttemptState;
use model::gate::Grade;
use model::id::AgentId;
use model::refusal::Refusal;
use store::ledger::{EndedAttempt, Ledger, OpenAttempt, WorkDone};

use crate::Engine;
use crate::resolve::{self, unreadable};
use crate::view::{
    CycleClass, CycleTime, EfficiencyChange, EfficiencyFigure, EfficiencyFigures, EfficiencyPeers,
    EfficiencyPerAccepted, EfficiencyShare, EfficiencyStanding, EfficiencyTrend, EfficiencyView,
    Listing,
};

#[cfg(test)]
mod tests;

/// The longest stretch of time that can be asked for, in seconds: a year.
pub const EFFICIENCY_LAST_S_MAX: u32 = 366 * 24 * 3_600;

impl Engine {
    /// How well each agent worked in the last so many seconds, by name.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn efficiency(&self, last_s: u32) -> Result<Listing<EfficiencyView>, Refusal> {
        let items = counted(&self.0.ledger, self.0.clock.now(), last_s).await?;
        Ok(Listing { items, next: None })
    }

    /// How well one agent worked in the last so many seconds.
    ///
    /// # Errors
    /// When there is no such agent, or the ledger cannot be read.
    pub async fn agent_efficiency(
        &self,
        agent: &str,
        last_s: u32,
    ) -> Result<EfficiencyView, Refusal> {
        let agent = resolve::agent(&self.0.ledger, agent).await?;
        let all = counted(&self.0.ledger, self.0.clock.now(), last_s).await?;
        let found = all.into_iter().find(|view| view.agent_id == agent.id);
        // It was removed between the two looks.
        found.ok_or_else(|| resolve::no_agent(&agent.name))
    }
}

/// The figures of every agent that is there, in the time up to `to`.
async fn counted(
    ledger: &Ledger,
    to: Timestamp,
    last_s: u32,
) -> Result<Vec<EfficiencyView>, Refusal> {
    let last = SignedDuration::from_secs(i64::from(last_s.clamp(1, EFFICIENCY_LAST_S_MAX)));
    let from = to.saturating_sub(last).unwrap_or(Timestamp::MIN);
    let before = from.saturating_sub(last).unwrap_or(Timestamp::MIN);
    let agents = ledger.agents().await.map_err(unreadable)?;
    let done = ledger.work_between(before, to).await.map_err(unreadable)?;
    Ok(views(&agents, &done, span_of(&done, before, from, to)))
}

/// What is known as a whole of the time that was asked for: what was not read ended at the latest when
/// the oldest did that was.
fn span_of(done: &WorkDone, before: Timestamp, from: Timestamp, to: Timestamp) -> Span {
    let known_from = done.ended.last().filter(|_| done.more).map_or(before, |it| it.ended_at);
    Span { before: known_from, from: from.max(known_from), to, cut: known_from > from }
}

/// The stretches of time that are compared.
#[derive(Debug, Clone, Copy)]
struct Span {
    /// The one before begins.
    before: Timestamp,
    /// It ends, and the one that is asked for begins.
    from: Timestamp,
    to: Timestamp,
    /// Whether that is later than was asked for.
    cut: bool,
}

/// One agent with its figures in both stretches of time.
struct Counted<'a> {
    agent: &'a Agent,
    now: Figures,
    before: Figures,
}

fn views(agents: &[Agent], done: &WorkDone, span: Span) -> Vec<EfficiencyView> {
    let mut work: HashMap<AgentId, (Vec<Ended>, Vec<Worked>)> = HashMap::new();
    for attempt in &done.ended {
        let (ended, worked) = work.entry(attempt.agent_id).or_default();
        ended.push(ended_of(attempt));
        worked.push(worked_of(attempt));
    }
    for attempt in &done.open {
        work.entry(attempt.agent_id).or_default().1.push(open_of(attempt));
    }
    let window = |from, to| Window { from_s: seconds(from), to_s: seconds(to) };
    let (now, before) = (window(span.from, span.to), window(span.before, span.from));
    let counted: Vec<Counted<'_>> = agents
        .iter()
        .map(|agent| {
            let (ended, worked) = work.remove(&agent.id).unwrap_or_default();
            let there = seconds(agent.created_at);
            Counted {
                agent,
                now: Figures::of(now, there, &ended, &worked),
                before: Figures::of(before, there, &ended, &worked),
            }
        })
        .collect();
    counted.iter().map(|one| view(one, &counted, span)).collect()
}

fn view(one: &Counted<'_>, all: &[Counted<'_>], span: Span) -> EfficiencyView {
    let change = |kind| {
        let (before, n) = one.before.value(kind);
        let change = Change::of(one.now.value(kind).0, before);
        EfficiencyChange {
            before: dollars(kind, change.before),
            change: dollars(kind, change.by),
            percent: change.percent,
            n: n as u64,
        }
    };
    let peers = || {
        let others = all.iter().filter(|it| it.agent.id != one.agent.id);
        others.filter(|it| it.agent.demo == one.agent.demo)
    };
    let standing = |kind| {
        let known = |it: &Counted<'_>| Some(it.now.value(kind)).filter(|(_, n)| *n > 0)?.0;
        let others: Vec<f64> = peers().filter_map(known).collect();
        let own = one.now.value(kind).0;
        let Standing { median, n, rank } = Standing::of(own, &others, kind);
        EfficiencyStanding {
            median: dollars(kind, median),
            n: n as u64,
            rank: rank.and_then(|rank| u32::try_from(rank).ok()),
        }
    };
    EfficiencyView {
        agent_id: one.agent.id,
        agent: one.agent.name.clone(),
        from: span.from,
        to: span.to,
        cut: span.cut,
        n: one.now.ended as u64,
        figures: figures(&one.now),
        trend: EfficiencyTrend {
            from: span.before,
            missions_per_hour: change(Kind::MissionsPerHour),
            success: change(Kind::Success),
            evidence: change(Kind::Evidence),
            rework: change(Kind::Rework),
            cycle_time: change(Kind::CycleTime),
            tokens_per_accepted: change(Kind::Tokens),
            cost_per_accepted: change(Kind::Cost),
            idle_share: change(Kind::Idle),
        },
        peers: EfficiencyPeers {
            missions_per_hour: standing(Kind::MissionsPerHour),
            success: standing(Kind::Success),
            evidence: standing(Kind::Evidence),
            rework: standing(Kind::Rework),
            cycle_time: standing(Kind::CycleTime),
            tokens_per_accepted: standing(Kind::Tokens),
            cost_per_accepted: standing(Kind::Cost),
            idle_share: standing(Kind::Idle),
        },
    }
}

fn figures(found: &Figures) -> EfficiencyFigures {
    let figure = |kind| {
        let (value, n) = found.value(kind);
        EfficiencyFigure { value, n: n as u64 }
    };
    let share = |share: Option<Share>, kind| EfficiencyShare {
        value: share.map(|share| share.rate),
        low: share.map(|share| share.low),
        high: share.map(|share| share.high),
        n: found.value(kind).1 as u64,
    };
    let per = |used: PerAccepted, kind| EfficiencyPerAccepted {
        value: dollars(kind, used.value),
        n: used.accepted as u64,
        unknown: used.unknown as u64,
    };
    let ends = CYCLE_CLASSES_S.into_iter().map(Some).chain([None]);
    let classes = ends.zip(found.cycle_classes).map(|(to_s, n)| CycleClass { to_s, n: n as u64 });
    EfficiencyFigures {
        missions_per_hour: figure(Kind::MissionsPerHour),
        success: share(found.success, Kind::Success),
        evidence: share(found.evidence, Kind::Evidence),
        rework: share(found.rework, Kind::Rework),
        cycle_time: CycleTime {
            p10: found.cycle_s.map(|spread| spread.p10),
            p50: found.cycle_s.map(|spread| spread.p50),
            p90: found.cycle_s.map(|spread| spread.p90),
            n: found.accepted as u64,
            classes: classes.collect(),
        },
        tokens_per_accepted: per(found.tokens, Kind::Tokens),
        cost_per_accepted: per(found.cost_micros, Kind::Cost),
        idle_share: figure(Kind::Idle),
    }
}

/// Cost is counted in millionths of a US dollar, and told in dollars.
fn dollars(kind: Kind, value: Option<f64>) -> Option<f64> {
    if kind == Kind::Cost { value.map(|micros| micros / 1e6) } else { value }
}

fn ended_of(attempt: &EndedAttempt) -> Ended {
    Ended {
        outcome: match attempt.state {
            AttemptState::Accepted => Outcome::Accepted,
            AttemptState::Stopped => Outcome::Stopped,
            _ => Outcome::Rejected,
        },
        taken_at_s: seconds(attempt.taken_at),
        ended_at_s: seconds(attempt.ended_at),
        proved: attempt.grade > Grade::SelfReport,
        redone: attempt.redone,
        tokens: attempt.tokens,
        cost_micros: attempt.cost_micros,
    }
}

fn worked_of(attempt: &EndedAttempt) -> Worked {
    let until = attempt.exited_at.min(attempt.ended_at);
    Worked { from_s: seconds(attempt.leased_at), to_s: Some(seconds(until)) }
}

fn open_of(attempt: &OpenAttempt) -> Worked {
    Worked { from_s: seconds(attempt.leased_at), to_s: attempt.exited_at.map(seconds) }
}

/// Seconds on the scale of the clock.
#[expect(clippy::cast_precision_loss, reason = "a fraction of a microsecond does not matter")]
fn seconds(at: Timestamp) -> f64 {
    at.as_nanosecond() as f64 / 1e9
}
