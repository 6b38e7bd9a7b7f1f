//! The report of a mission: what was asked, every attempt, and what they used over time.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use model::id::MissionId;
use model::mission::Mission;
use serde::Serialize;
use store::Ledger;
use store::telemetry::Telemetry;

use crate::GatherError;
use crate::chart::{self, ChartError, Line, Scale};
use crate::closing::{handoff_part, merge_words};
use crate::devlog::{attempt_rows, float_bytes, grade_words, sections, summary, table};
use crate::facts::{AttemptFacts, Curve, mission_words};
use crate::page::Block;
use crate::report::Story;
use crate::text::{NONE, block, bytes, count, duration, duration_ms, head, inline, one_line, time};

/// How much of a brief a report quotes.
const BRIEF_BYTES_SHOWN: usize = 16 * 1024;

/// The facts of a mission.
#[derive(Debug, Serialize)]
pub(crate) struct MissionStory {
    kind: &'static str,
    as_of: Timestamp,
    mission: Mission,
    brief: String,
    totals: Totals,
    attempts: Vec<AttemptFacts>,
}

/// Sums over the attempts. Nothing where no attempt has a figure.
#[derive(Debug, PartialEq, Serialize)]
struct Totals {
    /// Time in which an attempt was under way, in milliseconds.
    attempts_ms: i64,
    /// Processor time, in milliseconds.
    cpu_ms: Option<u64>,
    /// The largest sample of a tree's memory, or where there is none its largest process, in bytes.
    memory_max_bytes: Option<f64>,
    gates_passed: usize,
    gates_run: usize,
}

impl MissionStory {
    pub(crate) async fn read(
        ledger: &Ledger,
        telemetry: &Telemetry,
        id: MissionId,
        now: Timestamp,
    ) -> Result<Option<Self>, GatherError> {
        let Some((mission, brief)) = ledger.mission(id).await? else {
            return Ok(None);
        };
        let mut attempts = Vec::new();
        for attempt in ledger.attempts_of(id).await? {
            attempts.push(AttemptFacts::read(ledger, telemetry, attempt, now).await?);
        }
        attempts.sort_by_key(|facts| facts.attempt.n);
        Ok(Some(Self {
            kind: "mission",
            as_of: now,
            totals: totals(&attempts, now),
            mission,
            brief,
            attempts,
        }))
    }

    fn head(&self, zone: &TimeZone) -> String {
        let mission = &self.mission;
        let state = match mission.note.as_deref().filter(|note| !note.trim().is_empty()) {
            Some(note) => format!("{}: {}", mission_words(mission.state), inline(note)),
            None => mission_words(mission.state).to_owned(),
        };
        let attempts = match self.attempts.len() as u64 {
            0 => "none".to_owned(),
            n => format!(
                "{n}, together {}",
                duration(SignedDuration::from_millis(self.totals.attempts_ms))
            ),
        };
        let gates = match self.totals.gates_run {
            0 => "none ran".to_owned(),
            run => format!(
                "{} of {} passed",
                self.totals.gates_passed,
                count(run as u64, "run", "runs")
            ),
        };
        let no_data = || "no data".to_owned();
        let mut rows = vec![
            ("State", state),
            ("Evidence", grade_words(mission.grade).to_owned()),
            ("Repository", mission.repository.as_deref().map_or_else(|| NONE.to_owned(), inline)),
            ("Created", time(mission.created_at, zone)),
            ("Last change", time(mission.updated_at, zone)),
            ("Attempts", attempts),
            ("Gates", gates),
            ("Processor time", self.totals.cpu_ms.map_or_else(no_data, duration_ms)),
            ("Memory at most", self.totals.memory_max_bytes.map_or_else(no_data, float_bytes)),
        ];
        rows.extend(more_rows(mission, zone));
        rows.push(("As of", time(self.as_of, zone)));
        format!(
            "# {} · {} — {}\n\n{}",
            mission.short_id,
            inline(&mission.title),
            mission_words(mission.state),
            table(&rows)
        )
    }

    fn brief(&self) -> String {
        let (shown, cut) = head(&self.brief, BRIEF_BYTES_SHOWN);
        let cut = if cut {
            format!("\nThe beginning of {}.\n", bytes(self.brief.len() as u64))
        } else {
            String::new()
        };
        format!("## Brief\n\n{}{cut}", block(shown))
    }

    fn charts(&self, zone: &TimeZone) -> Result<Vec<Block>, ChartError> {
        let begin = self.attempts.iter().map(|facts| facts.attempt.leased_at);
        let end = self.attempts.iter();
        let end =
            end.map(|facts| facts.reviewed_at.or(facts.attempt.ended_at).unwrap_or(self.as_of));
        let (Some(begin), Some(end)) = (begin.min(), end.max()) else {
            return Ok(Vec::new());
        };
        let place = begin.to_zoned(zone.clone()).strftime("%Z").to_string();
        let chart = |what: &str, scale, curve: fn(&AttemptFacts) -> &Curve| {
            let curves = self.attempts.iter().map(curve);
            let lines =
                curves.map(|curve| Line { buckets: &curve.buckets, step_ms: curve.step_ms });
            let lines: Vec<_> = lines.collect();
            Ok(Block::Chart {
                caption: format!("{what} of the agents' process trees, times in {place}"),
                svg: chart::over_time(&lines, (begin, end), zone, scale)?,
            })
        };
        Ok(vec![
            chart("Processor use (100 % is one core)", Scale::Percent, |facts| &facts.cpu)?,
            chart("Resident memory", Scale::Bytes, |facts| &facts.memory)?,
        ])
    }
}

impl Story for MissionStory {
    fn title(&self) -> String {
        one_line(&format!("{} · {}", self.mission.short_id, self.mission.title))
    }

    fn file_stem(&self) -> String {
        format!("hivekeeper-mission-{}", self.mission.short_id)
    }

    fn blocks(&self, zone: &TimeZone, charts: bool) -> Result<Vec<Block>, ChartError> {
        let mut blocks = vec![Block::Markdown(self.head(zone))];
        if charts {
            blocks.extend(self.charts(zone)?);
        }
        blocks.push(Block::Markdown(self.brief()));
        if let Some(handoff) = &self.mission.handoff {
            blocks.push(Block::Markdown(handoff_part(handoff, "##").trim_start().to_owned()));
        }
        if self.attempts.is_empty() {
            blocks.push(Block::Markdown("No attempt has been made.\n".to_owned()));
        }
        for facts in &self.attempts {
            blocks.push(Block::Markdown(format!(
                "## Attempt {}\n\n{}\n\n{}{}",
                facts.attempt.n,
                summary(facts, self.as_of),
                table(&attempt_rows(facts, self.as_of, zone)),
                sections(facts, "###"),
            )));
        }
        Ok(blocks)
    }
}

/// What not every mission has.
fn more_rows(mission: &Mission, zone: &TimeZone) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    if !mission.labels.is_empty() {
        rows.push(("Labels", inline(&mission.labels.join(", "))));
    }
    if let Some(deadline) = mission.deadline {
        rows.push(("Deadline", time(deadline, zone)));
    }
    if let Some(progress) = &mission.progress {
        let percent = progress.percent.map_or_else(String::new, |percent| format!("{percent} %, "));
        let said = time(progress.at, zone);
        rows.push(("Progress", format!("{percent}{} (said {said})", inline(&progress.text))));
    }
    if !mission.criteria.is_empty() {
        let met = mission.criteria.iter().filter(|criterion| criterion.met).count();
        let all = count(mission.criteria.len() as u64, "criterion", "criteria");
        rows.push(("Criteria", format!("{met} of {all} reported as met")));
    }
    if let Some(merge) = &mission.merged {
        rows.push(("Merged", merge_words(merge)));
    }
    rows
}

fn totals(attempts: &[AttemptFacts], now: Timestamp) -> Totals {
    let gates = || attempts.iter().flat_map(|facts| &facts.gates);
    let cpu = attempts.iter().filter_map(|facts| facts.resources.cpu_ms);
    let memory = attempts.iter().filter_map(|facts| {
        let resources = &facts.resources;
        // What ended between two measurements is known by its largest process alone.
        resources.memory_max_bytes.or(resources.process_memory_peak_bytes.map(|peak| peak as f64))
    });
    let time: SignedDuration = attempts.iter().map(|facts| facts.whole_time(now)).sum();
    Totals {
        attempts_ms: i64::try_from(time.as_millis()).unwrap_or(i64::MAX),
        cpu_ms: cpu.reduce(u64::saturating_add),
        memory_max_bytes: memory.reduce(f64::max),
        gates_passed: gates().filter(|gate| gate.verdict == model::gate::Verdict::Passed).count(),
        gates_run: gates().count(),
    }
}
