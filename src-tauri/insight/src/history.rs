//! What earlier missions say about the next one: who is likely to succeed, and how long it takes.
//!
//! Every figure names on how many missions it rests; where there are none there is none.

use std::cmp::Ordering;

use crate::sample::Sample;

/// How many missions an estimate of a duration needs.
pub const ESTIMATE_SAMPLES_MIN: usize = 3;
/// The quantile of the normal distribution for an interval of 95 %.
const Z: f64 = 1.959_963_984_540_054;
/// How many labels a sentence names.
const LABELS_NAMED_MAX: usize = 3;

/// A mission that has come to an end.
#[derive(Debug, Clone, PartialEq)]
pub struct Past<K> {
    /// Who worked on it.
    pub agent: K,
    /// Of which kinds it was.
    pub labels: Vec<String>,
    /// Whether the work was accepted.
    pub accepted: bool,
    /// How long the work took, in seconds; what is negative or not finite is not counted.
    pub duration_s: f64,
    /// What it cost, in US dollars, where that is known.
    pub cost_usd: Option<f64>,
}

/// A share of cases, with the interval that holds the true share in 95 of 100 such samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// The share itself, from 0 to 1.
    pub rate: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
}

impl Share {
    /// The share of `hits` in `n` cases with the score interval of Wilson, "Probable inference, the
    /// law of succession, and statistical inference" (1927); nothing where there are no cases.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "missions are counted in thousands")]
    pub fn of(hits: usize, n: usize) -> Option<Self> {
        if n == 0 {
            return None;
        }
        let (rate, n) = (hits.min(n) as f64 / n as f64, n as f64);
        let scale = 1.0 / (1.0 + Z * Z / n);
        let center = (rate + Z * Z / (2.0 * n)) * scale;
        let half = Z * scale * (rate * (1.0 - rate) / n + Z * Z / (4.0 * n * n)).sqrt();
        // Rounding must not take the ends past the share of none or of all.
        let low = if rate == 0.0 { 0.0 } else { (center - half).clamp(0.0, rate) };
        let high = if rate == 1.0 { 1.0 } else { (center + half).clamp(rate, 1.0) };
        Some(Self { rate, low, high })
    }
}

/// One in ten cases was below `p10`, half below `p50`, nine in ten below `p90`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The first decile.
    pub p10: f64,
    /// The median.
    pub p50: f64,
    /// The ninth decile.
    pub p90: f64,
    /// On how many cases this rests, at least one.
    pub n: usize,
}

impl Spread {
    /// Describes the numbers that are finite and not negative; nothing where there are none.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let usable = values.into_iter().filter(|value| value.is_finite() && *value >= 0.0);
        let sample = Sample::new(usable).ok()?;
        let (p10, p50, p90) = (sample.quantile(0.1), sample.median(), sample.quantile(0.9));
        Some(Self { p10, p50, p90, n: sample.count() })
    }
}

/// What is known of some earlier missions together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record {
    /// How many there were.
    pub n: usize,
    /// How many of them were accepted.
    pub accepted: usize,
    /// The share that was accepted.
    pub success: Option<Share>,
    /// How long those that were accepted took, in seconds: a mission that failed at once says
    /// nothing about how long the work takes.
    pub duration_s: Option<Spread>,
    /// What they cost, accepted or not, in US dollars, over those whose cost is known.
    pub cost_usd: Option<Spread>,
}

/// Sums up earlier missions.
#[must_use]
pub fn record_of<'a, K: 'a>(past: impl IntoIterator<Item = &'a Past<K>>) -> Record {
    let (mut n, mut accepted) = (0, 0);
    let (mut durations, mut costs) = (Vec::new(), Vec::new());
    for mission in past {
        n += 1;
        accepted += usize::from(mission.accepted);
        durations.extend(mission.accepted.then_some(mission.duration_s));
        costs.extend(mission.cost_usd);
    }
    Record {
        n,
        accepted,
        success: Share::of(accepted, n),
        duration_s: Spread::of(durations),
        cost_usd: Spread::of(costs),
    }
}

/// An agent that could take a mission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<K> {
    /// Which agent.
    pub agent: K,
    /// Its name, the last thing agents are ordered by.
    pub name: String,
}

/// On which missions a suggestion rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The agent's missions that share a label with the new one.
    Labels,
    /// All missions of the agent: it has none with such a label, or the new one has no label.
    All,
    /// The agent has no history yet.
    Nothing,
}

/// An agent for a mission, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggested<K> {
    /// Which agent.
    pub agent: K,
    /// Its name.
    pub name: String,
    /// On which missions this rests.
    pub basis: Basis,
    /// What is known of these missions.
    pub record: Record,
    /// The same in words, such as "accepted 9 of 11 missions labelled 'tests' (median 4 min)".
    pub because: String,
}

/// Orders agents for a mission with these labels, the most promising first.
///
/// By the lower end of the interval of the success rate, so that 9 of 10 come before 1 of 1; then
/// by the median duration, the quicker first; then by name. Agents without history come after those
/// that have succeeded and before those that never have.
#[must_use]
pub fn suggest<K: PartialEq + Clone>(
    candidates: &[Candidate<K>],
    labels: &[String],
    past: &[Past<K>],
) -> Vec<Suggested<K>> {
    let suggested = candidates.iter().map(|candidate| suggested(candidate, labels, past));
    let mut suggested: Vec<_> = suggested.collect();
    suggested.sort_by(by_promise);
    suggested
}

fn suggested<K: PartialEq + Clone>(
    candidate: &Candidate<K>,
    labels: &[String],
    past: &[Past<K>],
) -> Suggested<K> {
    let own = || past.iter().filter(|mission| mission.agent == candidate.agent);
    let all = record_of(own());
    let alike = record_of(own().filter(|mission| shares_label(mission, labels)));
    let kind = named(labels);
    let (basis, record, because) = match (alike.n, all.n) {
        (0, 0) => (Basis::Nothing, all, "no history yet".to_owned()),
        (0, _) if labels.is_empty() => {
            (Basis::All, all, format!("accepted {}", figures(&all, "missions")))
        }
        (0, _) => {
            let figures = figures(&all, "missions of other kinds");
            (Basis::All, all, format!("no history yet for {kind}; accepted {figures}"))
        }
        _ => {
            let figures = figures(&alike, &format!("missions labelled {kind}"));
            (Basis::Labels, alike, format!("accepted {figures}"))
        }
    };
    let (agent, name) = (candidate.agent.clone(), candidate.name.clone());
    Suggested { agent, name, basis, record, because }
}

fn by_promise<K>(a: &Suggested<K>, b: &Suggested<K>) -> Ordering {
    let low = |s: &Suggested<K>| s.record.success.map_or(0.0, |share| share.low);
    let failed = |s: &Suggested<K>| s.record.n > 0 && s.record.accepted == 0;
    let median = |s: &Suggested<K>| s.record.duration_s.map_or(f64::INFINITY, |spread| spread.p50);
    (low(b).total_cmp(&low(a)))
        .then_with(|| failed(a).cmp(&failed(b)))
        .then_with(|| median(a).total_cmp(&median(b)))
        .then_with(|| a.name.cmp(&b.name))
}

/// How long a mission is likely to take, in seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct DurationEstimate {
    /// One in ten took less.
    pub p10_s: f64,
    /// Half took less.
    pub p50_s: f64,
    /// Nine in ten took less.
    pub p90_s: f64,
    /// On how many missions this rests, at least [`ESTIMATE_SAMPLES_MIN`].
    pub n: usize,
    /// Which missions those were, such as "accepted missions labelled 'tests'".
    pub of: String,
}

/// Estimates from the accepted missions that share a label, or from all accepted ones where those
/// are too few; nothing where these are too few as well.
#[must_use]
pub fn estimate<K>(labels: &[String], past: &[Past<K>]) -> Option<DurationEstimate> {
    let enough = |record: Record| record.duration_s.filter(|s| s.n >= ESTIMATE_SAMPLES_MIN);
    let alike = record_of(past.iter().filter(|mission| shares_label(mission, labels)));
    let (spread, of) = match enough(alike) {
        Some(spread) => (spread, format!("accepted missions labelled {}", named(labels))),
        None => (enough(record_of(past))?, "all accepted missions".to_owned()),
    };
    Some(DurationEstimate {
        p10_s: spread.p10,
        p50_s: spread.p50,
        p90_s: spread.p90,
        n: spread.n,
        of,
    })
}

/// By how many percent of the estimate the actual value was above it (below it when negative);
/// nothing when the estimate is not above zero or one of the numbers is not finite.
#[must_use]
pub fn error_percent(estimate_s: f64, actual_s: f64) -> Option<f64> {
    let percent = (actual_s - estimate_s) / estimate_s * 100.0;
    (estimate_s > 0.0 && percent.is_finite()).then_some(percent)
}

fn shares_label<K>(mission: &Past<K>, labels: &[String]) -> bool {
    mission.labels.iter().any(|label| labels.contains(label))
}

/// `'tests'`, `'tests' or 'docs'`, `'a', 'b', 'c' or 4 others`.
fn named(labels: &[String]) -> String {
    let mut names: Vec<_> =
        labels.iter().take(LABELS_NAMED_MAX).map(|l| format!("'{l}'")).collect();
    match labels.len() - names.len() {
        0 => {}
        1 => names.push("1 other".to_owned()),
        more => names.push(format!("{more} others")),
    }
    let last = names.pop().unwrap_or_default();
    if names.is_empty() { last } else { format!("{} or {last}", names.join(", ")) }
}

/// `9 of 11 missions (median 4 min, $0.12)`.
fn figures(record: &Record, what: &str) -> String {
    let duration = record.duration_s.map(|spread| format!("median {}", duration(spread.p50)));
    let cost = record.cost_usd.map(|spread| money(spread.p50));
    let known: Vec<_> = duration.into_iter().chain(cost).collect();
    let what =
        if record.n == 1 { what.replacen("missions", "mission", 1) } else { what.to_owned() };
    let counted = format!("{} of {} {what}", record.accepted, record.n);
    if known.is_empty() { counted } else { format!("{counted} ({})", known.join(", ")) }
}

/// Seconds as a person says them: `40 s`, `4 min`, `2 h 5 min`, `3 d 2 h`.
fn duration(seconds: f64) -> String {
    let two = |whole: f64, unit: &str, part: f64, small: &str| match part {
        0.0 => format!("{whole:.0} {unit}"),
        _ => format!("{whole:.0} {unit} {part:.0} {small}"),
    };
    let minutes = (seconds / 60.0).round();
    let hours = (seconds / 3_600.0).round();
    match () {
        () if seconds.round() < 60.0 => format!("{:.0} s", seconds.round()),
        () if minutes < 60.0 => format!("{minutes:.0} min"),
        () if hours < 24.0 => two((minutes / 60.0).floor(), "h", minutes % 60.0, "min"),
        () => two((hours / 24.0).floor(), "d", hours % 24.0, "h"),
    }
}

/// US dollars; less than a cent is not nothing.
fn money(usd: f64) -> String {
    if usd > 0.0 && usd < 0.01 { "below $0.01".to_owned() } else { format!("${usd:.2}") }
}
