//! How well an agent works: what came of its attempts in a stretch of time, with the number of cases
//! beside every figure.
//!
//! Times are seconds on any one scale. Where nothing is known there is no figure; it is never zero.

use crate::history::{Share, Spread};
use crate::sample::Sample;

/// Up to how many seconds the cycle times of each class go; those of the last class take longer.
pub const CYCLE_CLASSES_S: [u64; 9] = [60, 300, 900, 1_800, 3_600, 7_200, 14_400, 28_800, 86_400];

/// A stretch of time: after its beginning, up to and with its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Its beginning.
    pub from_s: f64,
    /// Its end.
    pub to_s: f64,
}

impl Window {
    fn holds(&self, at_s: f64) -> bool {
        at_s > self.from_s && at_s <= self.to_s
    }

    /// What of this stretch lies in it.
    fn part(&self, from_s: f64, to_s: f64) -> Option<(f64, f64)> {
        let (from, to) = (from_s.max(self.from_s), to_s.min(self.to_s));
        (to > from).then_some((from, to))
    }
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its work counted.
    Accepted,
    /// It did not, or the attempt was lost.
    Rejected,
    /// It was stopped, which says nothing about its agent.
    Stopped,
}

/// An attempt that is over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ended {
    /// What came of it.
    pub outcome: Outcome,
    /// When its agent first got the mission.
    pub taken_at_s: f64,
    /// When it was over.
    pub ended_at_s: f64,
    /// Whether more than its own word proves what it did.
    pub proved: bool,
    /// Whether an earlier attempt of its agent at the mission was rejected.
    pub redone: bool,
    /// Tokens it used, as far as they are known.
    pub tokens: Option<u64>,
    /// What it cost, in millionths of a US dollar, where that is known.
    pub cost_micros: Option<u64>,
}

/// A stretch in which an agent worked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Worked {
    /// When it got the mission.
    pub from_s: f64,
    /// When its program had ended; nothing while it runs.
    pub to_s: Option<f64>,
}

/// What was used for each accepted mission: by all attempts, also those that came to nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PerAccepted {
    /// The figure; nothing without an accepted mission, or where nobody said what was used. A lower
    /// bound where `unknown` is not zero.
    pub value: Option<f64>,
    /// Accepted missions.
    pub accepted: usize,
    /// Attempts of which nobody said what they used.
    pub unknown: usize,
}

impl PerAccepted {
    #[expect(clippy::cast_precision_loss, reason = "what agents use is bounded far below 2^52")]
    fn of(used: impl Iterator<Item = Option<u64>>, accepted: usize) -> Self {
        let (mut total, mut unknown) = (None::<f64>, 0);
        for used in used {
            match used {
                Some(used) => *total.get_or_insert(0.0) += used as f64,
                None => unknown += 1,
            }
        }
        let value = total.filter(|_| accepted > 0).map(|total| total / accepted as f64);
        Self { value, accepted, unknown }
    }
}

/// Everything that is told of one agent in one stretch of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// Attempts that ended, also those that were stopped.
    pub ended: usize,
    /// Of these, the ones whose work counted, one for each mission.
    pub accepted: usize,
    /// Of these, the ones that were accepted, rejected or lost.
    pub decided: usize,
    /// Accepted missions for each hour the agent was there; nothing where no attempt ended.
    pub missions_per_hour: Option<f64>,
    /// The share of decided attempts that was accepted.
    pub success: Option<Share>,
    /// The share of accepted missions of which more than the agent's word proves that they are done.
    pub evidence: Option<Share>,
    /// The share of accepted missions that took the agent more than one try.
    pub rework: Option<Share>,
    /// How long it took from getting a mission to its acceptance, in seconds.
    pub cycle_s: Option<Spread>,
    /// How many cycle times fall into each class of [`CYCLE_CLASSES_S`], and how many take longer.
    pub cycle_classes: [usize; CYCLE_CLASSES_S.len() + 1],
    /// Tokens for each accepted mission.
    pub tokens: PerAccepted,
    /// Cost for each accepted mission, in millionths of a US dollar.
    pub cost_micros: PerAccepted,
    /// The share of the time it was there in which it worked on nothing; nothing where it was not there.
    pub idle: Option<f64>,
    /// Stretches of work that lie in the window, whole or in part.
    pub stretches: usize,
}

/// One of the figures, where all are treated alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// [`Figures::missions_per_hour`].
    MissionsPerHour,
    /// [`Figures::success`].
    Success,
    /// [`Figures::evidence`].
    Evidence,
    /// [`Figures::rework`].
    Rework,
    /// The median of [`Figures::cycle_s`].
    CycleTime,
    /// [`Figures::tokens`].
    Tokens,
    /// [`Figures::cost_micros`].
    Cost,
    /// [`Figures::idle`].
    Idle,
}

impl Kind {
    /// Whether more of it is better.
    #[must_use]
    pub const fn more_is_better(self) -> bool {
        matches!(self, Self::MissionsPerHour | Self::Success | Self::Evidence)
    }
}

impl Figures {
    /// Counts what an agent did in a window. `there_from_s` is since when there is such an agent. What
    /// lies outside of the window does not count.
    #[must_use]
    pub fn of(window: Window, there_from_s: f64, ended: &[Ended], worked: &[Worked]) -> Self {
        let ended: Vec<&Ended> = ended.iter().filter(|it| window.holds(it.ended_at_s)).collect();
        let accepted: Vec<&&Ended> =
            ended.iter().filter(|it| it.outcome == Outcome::Accepted).collect();
        let decided = ended.iter().filter(|it| it.outcome != Outcome::Stopped).count();
        let share = |hit: fn(&&&&Ended) -> bool| {
            Share::of(accepted.iter().filter(hit).count(), accepted.len())
        };
        let cycles: Vec<f64> =
            accepted.iter().map(|it| (it.ended_at_s - it.taken_at_s).max(0.0)).collect();
        let there = window.part(there_from_s, window.to_s).map_or(0.0, |(from, to)| to - from);
        let busy = busy(window, worked);
        Self {
            ended: ended.len(),
            accepted: accepted.len(),
            decided,
            missions_per_hour: (there > 0.0 && !ended.is_empty())
                .then(|| number(accepted.len()) * 3_600.0 / there),
            success: Share::of(accepted.len(), decided),
            evidence: share(|it| it.proved),
            rework: share(|it| it.redone),
            cycle_classes: classes(&cycles),
            cycle_s: Spread::of(cycles),
            tokens: PerAccepted::of(ended.iter().map(|it| it.tokens), accepted.len()),
            cost_micros: PerAccepted::of(ended.iter().map(|it| it.cost_micros), accepted.len()),
            idle: (there > 0.0).then(|| (1.0 - busy.0 / there).clamp(0.0, 1.0)),
            stretches: busy.1,
        }
    }

    /// One figure, with the number of cases it rests on.
    #[must_use]
    pub fn value(&self, kind: Kind) -> (Option<f64>, usize) {
        let share = |share: Option<Share>| share.map(|share| share.rate);
        match kind {
            Kind::MissionsPerHour => (self.missions_per_hour, self.accepted),
            Kind::Success => (share(self.success), self.decided),
            Kind::Evidence => (share(self.evidence), self.accepted),
            Kind::Rework => (share(self.rework), self.accepted),
            Kind::CycleTime => (self.cycle_s.map(|spread| spread.p50), self.accepted),
            Kind::Tokens => (self.tokens.value, self.accepted),
            Kind::Cost => (self.cost_micros.value, self.accepted),
            Kind::Idle => (self.idle, self.stretches),
        }
    }
}

/// How a figure differs from what it was before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// What it was before.
    pub before: Option<f64>,
    /// By how much it grew, in its own unit.
    pub by: Option<f64>,
    /// The same in percent of what it was; nothing where that was nothing.
    pub percent: Option<f64>,
}

impl Change {
    /// Compares a figure with the same figure before.
    #[must_use]
    pub fn of(now: Option<f64>, before: Option<f64>) -> Self {
        let by = now.zip(before).map(|(now, before)| now - before);
        let percent = by.zip(before).map(|(by, before)| by / before * 100.0);
        Self { before, by, percent: percent.filter(|percent| percent.is_finite()) }
    }
}

/// How an agent's figure compares with those of the others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// Half of the others are below.
    pub median: Option<f64>,
    /// How many others have such a figure.
    pub n: usize,
    /// Its place among itself and the others, the best being 1.
    pub rank: Option<usize>,
}

impl Standing {
    /// Compares a figure with the same figure of the others.
    #[must_use]
    pub fn of(own: Option<f64>, others: &[f64], kind: Kind) -> Self {
        let better = |own: f64, other: f64| match kind.more_is_better() {
            true => other > own,
            false => other < own,
        };
        let rank = own.filter(|_| !others.is_empty());
        Self {
            median: Sample::new(others.iter().copied()).ok().map(|sample| sample.median()),
            n: others.len(),
            rank: rank.map(|own| 1 + others.iter().filter(|other| better(own, **other)).count()),
        }
    }
}

/// How much of a window was worked in, in seconds, and by how many stretches. Where two of them lie
/// upon each other the time counts once.
fn busy(window: Window, worked: &[Worked]) -> (f64, usize) {
    let end = |it: &Worked| it.to_s.unwrap_or(window.to_s);
    let mut parts: Vec<(f64, f64)> =
        worked.iter().filter_map(|it| window.part(it.from_s, end(it))).collect();
    parts.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
    let (mut sum, mut until) = (0.0, f64::NEG_INFINITY);
    for (from, to) in &parts {
        sum += (to - from.max(until)).max(0.0);
        until = until.max(*to);
    }
    (sum, parts.len())
}

fn classes(cycles: &[f64]) -> [usize; CYCLE_CLASSES_S.len() + 1] {
    let mut counts = [0; CYCLE_CLASSES_S.len() + 1];
    for cycle in cycles {
        let class = CYCLE_CLASSES_S.iter().position(|most| *cycle <= whole(*most));
        counts[class.unwrap_or(CYCLE_CLASSES_S.len())] += 1;
    }
    counts
}

#[expect(clippy::cast_precision_loss, reason = "missions are counted in thousands")]
const fn number(count: usize) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "the classes end at a day")]
const fn whole(seconds: u64) -> f64 {
    seconds as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Window = Window { from_s: 1_000.0, to_s: 4_600.0 };

    fn ended(outcome: Outcome, taken_at_s: f64, ended_at_s: f64) -> Ended {
        Ended {
            outcome,
            taken_at_s,
            ended_at_s,
            proved: true,
            redone: false,
            tokens: Some(100),
            cost_micros: None,
        }
    }

    #[test]
    fn figures_count_what_ended_in_the_window_and_nothing_else() {
        let attempts = [
            ended(Outcome::Accepted, 900.0, 1_000.0),
            Ended { redone: true, ..ended(Outcome::Accepted, 900.0, 1_100.0) },
            Ended { proved: false, ..ended(Outcome::Accepted, 2_000.0, 4_600.0) },
            ended(Outcome::Rejected, 1_500.0, 1_600.0),
            Ended { tokens: None, ..ended(Outcome::Stopped, 1_700.0, 1_800.0) },
            ended(Outcome::Accepted, 4_000.0, 4_601.0),
        ];
        let worked = [
            Worked { from_s: 900.0, to_s: Some(1_900.0) },
            Worked { from_s: 1_800.0, to_s: Some(1_900.0) },
            Worked { from_s: 3_700.0, to_s: None },
            Worked { from_s: 100.0, to_s: Some(1_000.0) },
        ];
        let found = Figures::of(HOUR, 0.0, &attempts, &worked);
        assert_eq!((found.ended, found.decided, found.accepted), (4, 3, 2));
        assert_eq!(found.missions_per_hour, Some(2.0));
        assert_eq!(found.value(Kind::Success), (Some(2.0 / 3.0), 3));
        assert_eq!(found.value(Kind::Evidence), (Some(0.5), 2));
        assert_eq!(found.value(Kind::Rework), (Some(0.5), 2));
        assert_eq!(found.value(Kind::CycleTime), (Some(1_400.0), 2));
        assert_eq!(found.cycle_classes, [0, 1, 0, 0, 1, 0, 0, 0, 0, 0]);
        // Everything it used counts, also for what came to nothing.
        assert_eq!(found.tokens, PerAccepted { value: Some(150.0), accepted: 2, unknown: 1 });
        assert_eq!(found.cost_micros, PerAccepted { value: None, accepted: 2, unknown: 4 });
        assert_eq!((found.idle, found.stretches), (Some(0.5), 3));
        // One that came in the middle is measured from there on.
        let later = Figures::of(HOUR, 2_800.0, &attempts, &worked[2..3]);
        assert_eq!((later.missions_per_hour, later.idle), (Some(4.0), Some(0.5)));
    }

    #[test]
    fn where_nothing_ended_nothing_is_said() {
        let found = Figures::of(HOUR, 0.0, &[], &[]);
        let kinds = [Kind::MissionsPerHour, Kind::Success, Kind::Evidence, Kind::Rework];
        for kind in kinds.into_iter().chain([Kind::CycleTime, Kind::Tokens, Kind::Cost]) {
            assert_eq!(found.value(kind), (None, 0), "{kind:?}");
        }
        assert_eq!(found.value(Kind::Idle), (Some(1.0), 0));
        assert_eq!(Figures::of(HOUR, 4_600.0, &[], &[]).idle, None, "it was not there");
    }

    #[test]
    fn a_change_and_a_standing_name_what_they_compare_with() {
        let change = Change::of(Some(3.0), Some(2.0));
        assert_eq!((change.by, change.percent), (Some(1.0), Some(50.0)));
        assert_eq!(Change::of(Some(3.0), None).by, None);
        assert_eq!(Change::of(Some(3.0), Some(0.0)).percent, None);
        let standing = Standing::of(Some(3.0), &[1.0, 5.0, 3.0], Kind::Success);
        assert_eq!(standing, Standing { median: Some(3.0), n: 3, rank: Some(2) });
        assert_eq!(Standing::of(Some(3.0), &[1.0, 2.0], Kind::Rework).rank, Some(3));
        let alone = Standing { median: None, n: 0, rank: None };
        assert_eq!(Standing::of(Some(3.0), &[], Kind::Success), alone);
        assert_eq!(Standing::of(None, &[1.0], Kind::Success).rank, None);
    }

    proptest! {
        #[test]
        fn shares_stay_shares_and_every_case_is_in_one_class(
            attempts in prop::collection::vec((0u8..3, -1e6f64..1e6, -1e6f64..1e6, any::<bool>()), 0..40),
            worked in prop::collection::vec((-1e6f64..1e6, prop::option::of(-1e6f64..1e6)), 0..20),
            there in -1e6f64..1e6,
        ) {
            let outcomes = [Outcome::Accepted, Outcome::Rejected, Outcome::Stopped];
            let attempts: Vec<Ended> = attempts
                .into_iter()
                .map(|(n, from, to, redone)| Ended {
                    redone, ..ended(outcomes[usize::from(n)], from, to)
                })
                .collect();
            let worked: Vec<Worked> =
                worked.into_iter().map(|(from_s, to_s)| Worked { from_s, to_s }).collect();
            let window = Window { from_s: -5e5, to_s: 5e5 };
            let found = Figures::of(window, there, &attempts, &worked);
            prop_assert!(found.accepted <= found.decided && found.decided <= found.ended);
            prop_assert_eq!(found.cycle_classes.iter().sum::<usize>(), found.accepted);
            for kind in [Kind::Success, Kind::Evidence, Kind::Rework, Kind::Idle] {
                prop_assert!(found.value(kind).0.is_none_or(|share| (0.0..=1.0).contains(&share)));
            }
            prop_assert!(found.missions_per_hour.is_none_or(f64::is_finite));
        }
    }
}
