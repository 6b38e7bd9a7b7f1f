//! Recovery controls: each says what it really changed.

use std::fmt::Write as _;
use std::time::Duration;

use journal::Rendered;
use model::event::{Event, Fact};
use model::mission::{Mission, MissionState};
use model::refusal::{Code, Refusal};
use model::transition::MissionInput;
use orchestrator::{Input, Wish};
use serde_json::{Value, json};
use store::ledger::{EventFilter, MissionFilter, PAGE_ROWS_MAX};
use tokio::time::Instant;

use crate::resolve::unreadable;
use crate::view::{NotRecovered, ReconciledView, Recovered, RecoveryReport, TakenUp};
use crate::{Caller, Engine};

/// How many failed missions one request takes on.
const MISSIONS_MAX: usize = 5_000;
/// How long one request may go on, so that what it changed is said to the one who asked.
const RECOVERING_MAX: Duration = Duration::from_secs(20);
/// How many events a bundle holds.
const EVENTS: u32 = 200;
/// How much of the log a bundle holds, in bytes.
const LOG_BYTES: u64 = 64 * 1024;

impl Engine {
    /// Offers every failed mission to the agents again.
    ///
    /// # Errors
    /// When the ledger cannot be read; what could not be restarted is in the answer.
    pub async fn restart_failed(&self, caller: &Caller) -> Result<RecoveryReport, Refusal> {
        let (mut report, until) = (RecoveryReport::default(), Instant::now() + RECOVERING_MAX);
        for mission in self.failed().await? {
            if Instant::now() >= until {
                note(&mut report, mission, "", Err(late()));
                continue;
            }
            let wish = Wish::new(MissionInput::Retry);
            let told = self.tell(&caller.without_key(), Input::Ask { id: mission.id, wish }).await;
            note(&mut report, mission, "waits for an agent again", told.map(drop));
        }
        Ok(report)
    }

    /// Moves every failed mission to the trash.
    ///
    /// # Errors
    /// When the ledger cannot be read; what could not be moved is in the answer.
    pub async fn clear_failed(&self, caller: &Caller) -> Result<RecoveryReport, Refusal> {
        let (mut report, until) = (RecoveryReport::default(), Instant::now() + RECOVERING_MAX);
        for mission in self.failed().await? {
            if Instant::now() >= until {
                note(&mut report, mission, "", Err(late()));
                continue;
            }
            let told = self.trash_mission(&caller.without_key(), &mission).await;
            note(&mut report, mission, "is in the trash", told);
        }
        Ok(report)
    }

    async fn failed(&self) -> Result<Vec<Mission>, Refusal> {
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let filter = MissionFilter {
                states: vec![MissionState::Failed],
                cursor,
                limit: PAGE_ROWS_MAX,
                ..MissionFilter::default()
            };
            let page = self.0.ledger.missions(filter).await.map_err(unreadable)?;
            found.extend(page.items.into_iter().filter(|mission| !mission.demo));
            cursor = page.next;
            if cursor.is_none() || found.len() >= MISSIONS_MAX {
                return Ok(found);
            }
        }
    }

    /// Reads the ledger anew and takes up every attempt nobody works on.
    ///
    /// # Errors
    /// When the ledger cannot be read, or the engine is shutting down.
    pub async fn reconcile(&self) -> Result<ReconciledView, Refusal> {
        let found = self.0.orchestrator.reconcile().await?;
        let mut taken_up = Vec::with_capacity(found.taken_up.len());
        for id in found.taken_up {
            let Some(attempt) = self.0.ledger.attempt(id).await.map_err(unreadable)? else {
                continue;
            };
            let links = self.links(&[attempt.mission_id]).await?;
            taken_up.push(TakenUp {
                attempt_id: id,
                n: attempt.n,
                short_id: links.into_iter().next().map(|link| link.short_id),
            });
        }
        Ok(ReconciledView { attempts: found.attempts, differed: found.differed, taken_up })
    }

    /// Everything somebody needs to understand what is wrong, without briefs, environments, notes
    /// or outputs; what looks like a secret is taken out, and the home directory is named `~`.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn diagnostics(&self) -> Result<Rendered, Refusal> {
        let ledger = &self.0.ledger;
        let counts = ledger.counts().await.map_err(unreadable)?;
        let filter = EventFilter { limit: EVENTS, ..EventFilter::default() };
        let events = ledger.events(filter).await.map_err(unreadable)?.items;
        let now = self.0.clock.now();
        let bundle = json!({
            "made_at": now,
            "version": self.version(),
            "started_at": self.0.started_at,
            "data_dir": self.data_dir().display().to_string(),
            "system": { "os": std::env::consts::OS, "arch": std::env::consts::ARCH },
            "checks": self.doctor().await,
            "ledger": ledger.status(),
            "counts": counts,
            "halted": ledger.halted().await.map_err(unreadable)?.map(|it| it.since),
            "settings": self.settings().await?,
            "events": events.iter().map(lean).collect::<Vec<_>>(),
            // Line by line as it was written: in the text of the bundle its lines are one.
            "log": agents::secrets::redact(&self.log_tail().await),
            "left_out": [
                "briefs, titles, notes, handoffs and the texts of topics",
                "command lines and environments of agents",
                "what agents and gates printed, and devlogs",
                "what looked like a secret, wherever it stood",
            ],
        });
        let text = serde_json::to_string_pretty(&bundle).map_err(|err| {
            Refusal::new(Code::Internal, format!("failed to write the bundle: {err}"))
        })?;
        Ok(Rendered {
            media_type: "application/json",
            file_name: format!("hivekeeper-diagnostics-{}.json", now.strftime("%Y%m%d-%H%M%S")),
            body: harmless(&text),
        })
    }

    /// The end of the newest log.
    async fn log_tail(&self) -> String {
        let logs = self.0.dir.logs();
        let read = tokio::task::spawn_blocking(move || newest_tail(&logs));
        match read.await {
            Ok(Ok(text)) => text,
            Ok(Err(err)) => format!("the log could not be read: {err}"),
            Err(_) => "the log could not be read".to_owned(),
        }
    }
}

fn late() -> Refusal {
    Refusal::new(Code::Busy, "there was no time left; ask again")
}

fn note(report: &mut RecoveryReport, mission: Mission, what: &str, told: Result<(), Refusal>) {
    let Mission { id: mission_id, short_id, title, .. } = mission;
    match told {
        Ok(()) => {
            let what = what.to_owned();
            report.changed.push(Recovered { mission_id, short_id, title, what });
        }
        Err(refusal) => {
            report.refused.push(NotRecovered { short_id, why: refusal.message });
        }
    }
}

/// An event without the words of people and agents.
fn lean(event: &Event) -> Value {
    let kind = serde_json::to_value(&event.fact)
        .ok()
        .and_then(|fact| fact.get("kind").cloned())
        .unwrap_or(Value::Null);
    let detail = match &event.fact {
        Fact::MissionMoved { from, to, .. } => json!({ "from": from, "to": to }),
        Fact::AttemptEnded { state, .. } => json!({ "state": state }),
        Fact::AttemptExited { record, .. } => json!({ "exit": record.exit.to_string() }),
        Fact::GateFinished { result, .. } => json!({
            "gate": result.gate.kind(),
            "verdict": result.verdict,
            "duration_ms": result.duration_ms,
        }),
        Fact::EngineStarted { version, clean } => json!({ "version": version, "clean": clean }),
        _ => Value::Null,
    };
    json!({
        "seq": event.seq,
        "at": event.at,
        "kind": kind,
        "subject": event.subject,
        "detail": detail,
    })
}

fn newest_tail(logs: &std::path::Path) -> std::io::Result<String> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let mut newest = None;
    for entry in std::fs::read_dir(logs)?.take(1_000) {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            newest = newest.max(Some((entry.metadata()?.modified()?, entry.path())));
        }
    }
    let Some((_, path)) = newest else {
        return Ok(String::new());
    };
    let mut file = std::fs::File::open(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(LOG_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // The first line of a piece is seldom whole.
    match text.split_once('\n') {
        Some((_, rest)) if size > LOG_BYTES => Ok(rest.to_owned()),
        _ => Ok(text),
    }
}

/// The text without secrets, line by line, and without the name of the home directory.
fn harmless(text: &str) -> String {
    let home = std::env::home_dir().map(|home| home.display().to_string());
    let home = home.filter(|home| home.len() > 1);
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let line = agents::secrets::redact(line);
        let _ = match &home {
            Some(home) => writeln!(out, "{}", line.replace(home.as_str(), "~")),
            None => writeln!(out, "{line}"),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_at_the_beginning_of_a_line_of_the_log_is_not_in_the_bundle() {
        let secret = ["ghp_", "a8K2m4Qx9Zr7Tn1Vb5Ws3Yd6Hf0Jg2LpXcEu"].concat();
        let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";
        let log = format!(
            "started\n{secret} was given\n-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\nended"
        );
        let log = agents::secrets::redact(&log);
        let text = serde_json::to_string_pretty(&json!({ "log": log })).unwrap();
        let text = harmless(&text);
        assert!(!text.contains(&secret) && !text.contains(body), "{text}");
        assert!(text.contains("started") && text.contains("ended"), "{text}");
    }
}
