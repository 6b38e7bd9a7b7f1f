//! The report of a calendar day: what came to an end, what ran, and who was busy.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use model::attempt::Attempt;
use model::event::{Event, Fact};
use model::gate::Verdict;
use model::id::{AgentId, AttemptId, MissionId, ShortId};
use model::mission::MissionState;
use serde::Serialize;
use store::Ledger;

use crate::GatherError;
use crate::chart::{self, BLUE, Bar, ChartError, GREEN, GREY, RED};
use crate::facts::{AgentName, first_review, mission_words};
use crate::page::Block;
use crate::report::{ReportError, Story};
use crate::text::{count, duration, inline, time};

/// Events read at once.
const BATCH: u32 = 500;
/// Attempts of one agent that are looked through for those of the day.
const ATTEMPTS_PER_AGENT: u32 = 500;
/// Rows of the list of missions, and bars of the chart of agents.
const MISSIONS_SHOWN: usize = 500;
const AGENTS_SHOWN: usize = 30;
/// Halts and resumptions named one by one.
const HALTS_SHOWN: usize = 20;

/// The facts of a day.
#[derive(Debug, Serialize)]
pub(crate) struct DayStory {
    kind: &'static str,
    as_of: Timestamp,
    date: Date,
    zone: String,
    from: Timestamp,
    to: Timestamp,
    /// Missions that came to an end or to review, by where the day left them.
    outcomes: BTreeMap<MissionState, u64>,
    missions: Vec<DayMission>,
    missions_created: u64,
    attempts_started: u64,
    attempts_ended: u64,
    gates_passed: u64,
    gates_run: u64,
    /// Attempts that began, per hour of the day.
    attempts_per_hour: Vec<Hour>,
    agents: Vec<DayAgent>,
    reviews: Reviews,
    halts: Vec<Halt>,
}

#[derive(Debug, Serialize)]
struct DayMission {
    id: MissionId,
    short_id: ShortId,
    title: String,
    state: MissionState,
    at: Timestamp,
}

#[derive(Debug, Serialize)]
struct Hour {
    /// The hour on the clock at its beginning; a day may have one twice.
    hour: String,
    attempts: u64,
}

#[derive(Debug, Serialize)]
struct DayAgent {
    agent: AgentName,
    attempts: u64,
    /// Time of the day in which it held a mission, in milliseconds.
    busy_ms: i64,
}

/// What the events of the day say.
#[derive(Debug, Default)]
struct Tally {
    moved: BTreeMap<MissionId, (MissionState, Timestamp)>,
    created: u64,
    leased: Vec<Timestamp>,
    ended: u64,
    gates_passed: u64,
    gates_run: u64,
    attempts: BTreeSet<AttemptId>,
    agents: BTreeSet<AgentId>,
    /// When the work of an attempt first went to review: from then on its agent was free.
    reviewed: BTreeMap<AttemptId, Timestamp>,
    reviews: Reviews,
    halts: Vec<Halt>,
}

/// What became of work that was finished.
#[derive(Debug, Default, Serialize)]
struct Reviews {
    begun: u64,
    sent_back: u64,
    merged: u64,
    checkpoints: u64,
}

impl Reviews {
    /// In words; nothing when there was none.
    fn words(&self) -> Option<String> {
        let parts = [
            (self.begun, "went to review"),
            (self.sent_back, "sent back"),
            (self.merged, "merged"),
        ];
        let mut words: Vec<_> =
            parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        if self.checkpoints > 0 {
            words.push(format!("{} made", count(self.checkpoints, "checkpoint", "checkpoints")));
        }
        (!words.is_empty()).then(|| words.join(", "))
    }
}

/// The captain stopped everything, or let it go on.
#[derive(Debug, Clone, Serialize)]
struct Halt {
    at: Timestamp,
    halted: bool,
    note: Option<String>,
}

impl Tally {
    fn add(&mut self, event: &Event) {
        self.attempts.extend(event.subject.attempt_id);
        self.agents.extend(event.subject.agent_id);
        match &event.fact {
            Fact::MissionCreated { .. } => self.created += 1,
            Fact::MissionMoved { mission_id, from, to, .. } => {
                if (*from, *to) == (MissionState::InReview, MissionState::Queued) {
                    self.reviews.sent_back += 1;
                }
                if to.is_final() || *to == MissionState::InReview {
                    self.moved.insert(*mission_id, (*to, event.at));
                } else {
                    self.moved.remove(mission_id);
                }
            }
            Fact::AttemptLeased { attempt } => {
                self.leased.push(event.at);
                self.attempts.insert(attempt.id);
                self.agents.insert(attempt.agent_id);
            }
            Fact::AttemptEnded { attempt_id, .. } => {
                self.ended += 1;
                self.attempts.insert(*attempt_id);
            }
            Fact::GateFinished { result, .. } => {
                self.gates_run += 1;
                self.gates_passed += u64::from(result.verdict == Verdict::Passed);
            }
            Fact::AttemptReviewing { attempt_id } => {
                self.reviews.begun += 1;
                self.reviewed.entry(*attempt_id).or_insert(event.at);
            }
            Fact::WorkMerged { .. } => self.reviews.merged += 1,
            Fact::CheckpointMade { .. } => self.reviews.checkpoints += 1,
            Fact::SwarmHalted { note, at } => {
                self.halts.push(Halt { at: *at, halted: true, note: note.clone() });
            }
            Fact::SwarmResumed => {
                self.halts.push(Halt { at: event.at, halted: false, note: None });
            }
            _ => {}
        }
    }
}

impl DayStory {
    pub(crate) async fn read(
        ledger: &Ledger,
        date: Date,
        zone: &TimeZone,
        now: Timestamp,
    ) -> Result<Self, ReportError> {
        let (from, to) = bounds(date, zone)?;
        let tally = tally(ledger, from, to).await?;
        let missions = missions(ledger, &tally).await?;
        let mut outcomes = BTreeMap::new();
        for mission in &missions {
            *outcomes.entry(mission.state).or_default() += 1;
        }
        let agents = agents(ledger, &tally, (from, to.min(now).max(from)), now).await?;
        Ok(Self {
            kind: "day",
            as_of: now,
            date,
            zone: zone.iana_name().map_or_else(|| "fixed".to_owned(), ToOwned::to_owned),
            from,
            to,
            outcomes,
            missions,
            missions_created: tally.created,
            attempts_started: tally.leased.len() as u64,
            attempts_ended: tally.ended,
            gates_passed: tally.gates_passed,
            gates_run: tally.gates_run,
            attempts_per_hour: hours(&tally.leased, from, to, zone),
            agents,
            reviews: tally.reviews,
            halts: tally.halts,
        })
    }

    fn is_empty(&self) -> bool {
        self.missions.is_empty()
            && self.missions_created == 0
            && self.attempts_started == 0
            && self.attempts_ended == 0
            && self.gates_run == 0
            && self.agents.is_empty()
            && self.halts.is_empty()
            && self.reviews.words().is_none()
    }

    fn head(&self, zone: &TimeZone) -> String {
        let title = self.date.strftime("%A, %-d %B %Y");
        let span = format!("{} to {}", time(self.from, zone), time(self.to, zone));
        let so_far = match () {
            () if self.as_of < self.from => "The day has not begun.\n\n",
            () if self.as_of < self.to => "The day is not over; this is what happened so far.\n\n",
            () => "",
        };
        if self.is_empty() {
            return format!(
                "# {title}\n\n{so_far}No data: no mission was created or came to an end, and no attempt ran, from {span}.\n"
            );
        }
        let outcomes = match self.outcomes.is_empty() {
            true => "none came to an end".to_owned(),
            false => {
                let each = self.outcomes.iter();
                let words = each.map(|(state, n)| format!("{n} {}", mission_words(*state)));
                words.collect::<Vec<_>>().join(", ")
            }
        };
        let gates = match self.gates_run {
            0 => "none ran".to_owned(),
            run => format!("{} of {} passed", self.gates_passed, count(run, "run", "runs")),
        };
        let mut rows = vec![
            ("Missions", outcomes),
            ("Created", count(self.missions_created, "mission", "missions")),
            ("Attempts", format!("{} begun, {} ended", self.attempts_started, self.attempts_ended)),
            ("Gates", gates),
        ];
        rows.extend(self.reviews.words().map(|words| ("Work", words)));
        rows.extend((!self.halts.is_empty()).then(|| ("Swarm", self.halt_words(zone))));
        rows.extend([("From, to", span), ("As of", time(self.as_of, zone))]);
        format!("# {title}\n\n{so_far}{}", crate::devlog::table(&rows))
    }

    fn halt_words(&self, zone: &TimeZone) -> String {
        let more = self.halts.len().saturating_sub(HALTS_SHOWN);
        let shown = self.halts.iter().take(HALTS_SHOWN).map(|halt| {
            let word = if halt.halted { "halted" } else { "resumed" };
            let clock = halt.at.to_zoned(zone.clone()).strftime("%H:%M:%S");
            match &halt.note {
                Some(note) => format!("{word} at {clock} ({})", inline(note)),
                None => format!("{word} at {clock}"),
            }
        });
        let mut words: Vec<_> = shown.collect();
        words.extend((more > 0).then(|| format!("and {more} times more")));
        words.join(", ")
    }

    fn missions_part(&self, zone: &TimeZone) -> String {
        let mut out = "## Missions that came to an end or to review\n\n".to_owned();
        if self.missions.is_empty() {
            out.push_str("None.\n");
            return out;
        }
        out.push_str("| Mission | Title | State | At |\n|---|---|---|---|\n");
        for mission in self.missions.iter().take(MISSIONS_SHOWN) {
            out.push_str(&format!(
                "| {} | {} | {} | {} |\n",
                mission.short_id,
                inline(&mission.title),
                mission_words(mission.state),
                time(mission.at, zone)
            ));
        }
        if self.missions.len() > MISSIONS_SHOWN {
            let more = self.missions.len() - MISSIONS_SHOWN;
            out.push_str(&format!("\nand {more} more.\n"));
        }
        out
    }

    fn agents_part(&self) -> String {
        let mut out = "## Agents\n\n".to_owned();
        if self.agents.is_empty() {
            out.push_str("No agent held a mission.\n");
            return out;
        }
        out.push_str("| Agent | Attempts | Busy |\n|---|---|---|\n");
        for agent in &self.agents {
            out.push_str(&format!(
                "| {} | {} | {} |\n",
                inline(&agent.agent.words()),
                agent.attempts,
                duration(SignedDuration::from_millis(agent.busy_ms))
            ));
        }
        out
    }

    #[expect(clippy::cast_precision_loss, reason = "lengths of bars")]
    fn charts(&self) -> Result<[Block; 3], ChartError> {
        let outcomes: Vec<_> = self
            .outcomes
            .iter()
            .map(|(state, n)| Bar {
                name: mission_words(*state).to_owned(),
                value: *n as f64,
                figure: n.to_string(),
                color: match state {
                    MissionState::Done => GREEN,
                    MissionState::Failed => RED,
                    MissionState::Cancelled => GREY,
                    _ => BLUE,
                },
            })
            .collect();
        let busy: Vec<_> = self
            .agents
            .iter()
            .take(AGENTS_SHOWN)
            .map(|agent| Bar {
                name: agent.agent.words(),
                value: agent.busy_ms as f64,
                figure: duration(SignedDuration::from_millis(agent.busy_ms)),
                color: BLUE,
            })
            .collect();
        let hours = self.attempts_per_hour.iter();
        let hours: Vec<_> = hours.map(|hour| (hour.hour.clone(), hour.attempts)).collect();
        let chart = |caption: &str, svg| Block::Chart { caption: caption.to_owned(), svg };
        Ok([
            chart("Missions by outcome", chart::bars(&outcomes)?),
            chart("Attempts begun per hour", chart::columns(&hours)?),
            chart("Time in which each agent held a mission", chart::bars(&busy)?),
        ])
    }
}

impl Story for DayStory {
    fn title(&self) -> String {
        format!("Hivekeeper · {}", self.date)
    }

    fn file_stem(&self) -> String {
        format!("hivekeeper-day-{}", self.date)
    }

    fn blocks(&self, zone: &TimeZone, charts: bool) -> Result<Vec<Block>, ChartError> {
        let mut blocks = vec![Block::Markdown(self.head(zone))];
        if self.is_empty() {
            return Ok(blocks);
        }
        if charts {
            blocks.extend(self.charts()?);
        }
        blocks.push(Block::Markdown(self.missions_part(zone)));
        blocks.push(Block::Markdown(self.agents_part()));
        Ok(blocks)
    }
}

fn bounds(date: Date, zone: &TimeZone) -> Result<(Timestamp, Timestamp), ReportError> {
    let wrong = |source| ReportError::Day { date, source };
    let start = |date: Date| Ok(date.to_zoned(zone.clone())?.timestamp());
    let from = start(date).map_err(wrong)?;
    let to = date.tomorrow().and_then(start).map_err(wrong)?;
    Ok((from, to))
}

/// Reads the events of a stretch of time. They are ordered by number, and their times follow but
/// for steps of the machine's clock, so the first one is found by halving.
async fn tally(ledger: &Ledger, from: Timestamp, to: Timestamp) -> Result<Tally, GatherError> {
    let (mut low, mut high) = (0, ledger.counts().await?.events);
    while low < high {
        let middle = low + (high - low) / 2;
        let next = ledger.events_after(middle, 1).await?;
        match next.first() {
            Some(event) if event.at < from => low = event.seq,
            _ => high = middle,
        }
    }
    let mut tally = Tally::default();
    let mut at = low;
    loop {
        let batch = ledger.events_after(at, BATCH).await?;
        for event in &batch {
            if event.at >= to {
                return Ok(tally);
            }
            tally.add(event);
            at = event.seq;
        }
        if batch.is_empty() {
            return Ok(tally);
        }
    }
}

/// The missions that came to an end, by the time they did; removed ones are left out, as in lists.
async fn missions(ledger: &Ledger, tally: &Tally) -> Result<Vec<DayMission>, GatherError> {
    let mut missions = Vec::with_capacity(tally.moved.len());
    for (id, (state, at)) in &tally.moved {
        if let Some((mission, _)) = ledger.mission(*id).await? {
            missions.push(DayMission {
                id: *id,
                short_id: mission.short_id,
                title: mission.title,
                state: *state,
                at: *at,
            });
        }
    }
    missions.sort_by_key(|mission| (mission.at, mission.id));
    Ok(missions)
}

/// Who was busy in the stretch `(from, to)`, the busiest first.
async fn agents(
    ledger: &Ledger,
    tally: &Tally,
    (from, to): (Timestamp, Timestamp),
    now: Timestamp,
) -> Result<Vec<DayAgent>, GatherError> {
    let known = ledger.agents().await?;
    let mut ids = tally.agents.clone();
    ids.extend(known.iter().map(|agent| agent.id));
    let mut attempts: BTreeMap<AttemptId, Attempt> = BTreeMap::new();
    for id in &ids {
        let of_agent = ledger.attempts_of_agent(*id, ATTEMPTS_PER_AGENT).await?;
        attempts.extend(of_agent.into_iter().map(|attempt| (attempt.id, attempt)));
    }
    for id in &tally.attempts {
        if !attempts.contains_key(id)
            && let Some(attempt) = ledger.attempt(*id).await?
        {
            attempts.insert(*id, attempt);
        }
    }
    let mut busy: BTreeMap<AgentId, (u64, SignedDuration)> = BTreeMap::new();
    for attempt in attempts.values() {
        let begin = attempt.leased_at.max(from);
        let end = free_at(ledger, tally, attempt, from).await?.unwrap_or(now).min(to);
        if begin < end {
            let (n, time) = busy.entry(attempt.agent_id).or_default();
            *n += 1;
            *time += end.duration_since(begin);
        }
    }
    let mut agents = Vec::with_capacity(busy.len());
    for (id, (attempts, time)) in busy {
        agents.push(DayAgent {
            agent: AgentName::new(id, ledger.agent_ever(id).await?),
            attempts,
            busy_ms: i64::try_from(time.as_millis()).unwrap_or(i64::MAX),
        });
    }
    agents.sort_by_key(|agent| (std::cmp::Reverse(agent.busy_ms), agent.agent.id));
    Ok(agents)
}

/// When the agent of an attempt was free again: at its end, or when its work went to review.
async fn free_at(
    ledger: &Ledger,
    tally: &Tally,
    attempt: &Attempt,
    from: Timestamp,
) -> Result<Option<Timestamp>, GatherError> {
    if let Some(at) = tally.reviewed.get(&attempt.id) {
        return Ok(Some(*at));
    }
    let waited = attempt.exit.as_ref().is_some_and(|record| record.ended_at < from)
        && attempt.ended_at.is_none_or(|ended| ended > from);
    match waited {
        // It may have gone to review on a day before, and nothing of this day says so.
        true => Ok(first_review(ledger, attempt.id).await?.or(attempt.ended_at)),
        false => Ok(attempt.ended_at),
    }
}

/// Attempts that began in each hour; a day has 23 to 25 of them.
fn hours(leased: &[Timestamp], from: Timestamp, to: Timestamp, zone: &TimeZone) -> Vec<Hour> {
    let mut hours = Vec::with_capacity(25);
    let mut begin = from;
    while begin < to {
        let end = begin.saturating_add(SignedDuration::from_hours(1)).unwrap_or(to).min(to);
        let attempts = leased.iter().filter(|at| **at >= begin && **at < end).count();
        hours.push(Hour {
            hour: begin.to_zoned(zone.clone()).strftime("%H").to_string(),
            attempts: attempts as u64,
        });
        begin = end;
    }
    hours
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_the_hours_its_time_zone_gives_it() {
        let check = |zone: &str, date: &str, hours_expected: usize| {
            let zone = TimeZone::get(zone).unwrap();
            let (from, to) = bounds(date.parse().unwrap(), &zone).unwrap();
            let hours = hours(&[from], from, to, &zone);
            assert_eq!(hours.len(), hours_expected);
            assert_eq!((hours[0].hour.as_str(), hours[0].attempts), ("00", 1));
        };
        check("UTC", "2026-11-20", 24);
        check("Europe/Berlin", "2026-03-29", 23);
        check("Europe/Berlin", "2026-10-25", 25);
        check("Asia/Kolkata", "2026-10-25", 24);
    }
}
