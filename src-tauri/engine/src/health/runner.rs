//! Looks at everything, once in a second, for as long as the engine runs.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agents::errand::{self, Errand, Limit};
use jiff::SignedDuration;
use model::health::{HealthCheck, Probe};
use monitor::health::probe::{self, Found};
use monitor::health::{Excuse, Finding, Passed};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::keeping::{deadline_of, excuse};
use super::memory::{Known, PAUSE, TICK};
use super::parts;
use crate::Engine;

/// Where the commands of checks have their places, in the data directory.
const CHECKS: &str = "checks";
/// Where a command starts, in its check's own place.
const WORK: &str = "work";
/// Where the files of a run are, in its check's own place.
const RUN: &str = "run";
/// How much memory the processes of a command may use together, in bytes: 256 MiB.
const MEMORY_BYTES: u64 = 256 << 20;
/// How much of what a command printed is told, in characters.
const PRINTED_CHARS: usize = 200;
/// How long the engine waits before it tries again to read what it is to look at.
const AGAIN: Duration = Duration::from_secs(5);

impl Engine {
    /// Looks at everything until the engine ends.
    pub(crate) async fn tend_the_health(self, seen: u64) {
        let cancel = self.0.cancel.clone();
        cancel.run_until_cancelled(self.clear_runs()).await;
        while let Some(Err(refusal)) = cancel.run_until_cancelled(self.begin_health(seen)).await {
            tracing::warn!(%refusal, "the health checks could not be read");
            cancel.run_until_cancelled(tokio::time::sleep(AGAIN)).await;
        }
        self.0.measuring.add(Arc::<super::Health>::clone(&self.0.health));
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = tick.tick() => {}
            }
            if cancel.run_until_cancelled(self.look_over()).await.is_none() {
                return;
            }
            self.begin_looks();
            self.record_changes();
        }
    }

    /// Looks at what is watched all the time: the engine's parts, agents, reports and the clocks.
    pub(super) async fn look_over(&self) {
        let views = tokio::time::timeout(parts::ANSWER_MAX, self.roster_views());
        let (facts, views) = tokio::join!(self.parts(), views);
        let looks = match views {
            Ok(Ok(views)) => Some(self.looks_at(views)),
            // The ledger's own check says what is wrong.
            Ok(Err(_)) | Err(_) => None,
        };
        let wall = self.0.clock.now();
        let mut known = self.0.health.known();
        let passed = known.passage.tick(wall);
        known.pass(&passed);
        let crowd = looks.and_then(|looks| known.take_agents(looks, passed.now, passed.count));
        if let Some(excuse) = crowd {
            known.excuse(excuse, &passed);
        }
        known.take_parts(&facts, passed.now);
        let waits: Vec<String> = known.waits.keys().cloned().collect();
        for key in waits {
            known.wait_for(&key, passed.now);
        }
        known.board.tick(passed.now);
    }

    /// Begins the looks that are due, as many as may be made at the same time.
    fn begin_looks(&self) {
        let health = &self.0.health;
        let room = health.together.available_permits();
        let due = {
            let mut known = health.known();
            let now = known.moment(self.0.clock.now());
            known.board.due(now, room)
        };
        for key in due {
            self.0.tasks.spawn(self.clone().look_at(key));
        }
    }

    /// Looks at one check that somebody has begun to look at, and takes what is found.
    pub(super) async fn look_at(self, key: String) {
        let check = self.0.health.known().own.get(&key).cloned();
        let found = match &check {
            Some(check) => self.ask(check).await,
            None => None,
        };
        let mut known = self.0.health.known();
        let now = known.moment(self.0.clock.now());
        // It may have been changed meanwhile: what it was says nothing of what it is.
        match found.filter(|_| {
            known.own.get(&key).map(|it| &it.probe) == check.map(|it| it.probe).as_ref()
        }) {
            Some(Found { finding, latency }) => {
                if let Some(latency) = latency {
                    known.fresh.retain(|(other, _)| *other != key);
                    known.fresh.push((key.clone(), latency));
                }
                known.board.look(&key, finding, latency, now);
                known.board.tick(now);
            }
            None => known.board.give_up(&key),
        }
        drop(known);
        self.record_changes();
    }

    /// Asks what a check asks; nothing where the engine ends meanwhile.
    async fn ask(&self, check: &HealthCheck) -> Option<Found> {
        let Ok(_place) = Arc::clone(&self.0.health.together).acquire_owned().await else {
            return None;
        };
        let within = Duration::from_secs(u64::from(check.timeout_s));
        if let Probe::Command { command, degraded_code } = &check.probe {
            return self.command(check, command, *degraded_code, within).await;
        }
        let look = probe::look(&check.probe, within, self.0.clock.now());
        self.0.cancel.run_until_cancelled(look).await.flatten()
    }

    /// Runs a command. It is waited for to the end, so that nothing is left of it.
    async fn command(
        &self,
        check: &HealthCheck,
        command: &[String],
        degraded_code: Option<u8>,
        within: Duration,
    ) -> Option<Found> {
        let place = self.checks_place().join(check.id.to_string());
        let work = place.join(WORK);
        if let Err(error) = private_directory(&work) {
            return Some(Found::bad(format!("it could not be given a place to work in: {error}")));
        }
        let errand = Errand {
            command,
            env: vec![("HIVEKEEPER_CHECK".to_owned(), check.name.clone())],
            directory: &work,
            input: b"",
            within,
            memory_bytes: MEMORY_BYTES,
            supervision: agents::supervision::probed().await.in_force,
        };
        let began = Instant::now();
        let ran = errand::run(&self.0.launcher, &place.join(RUN), &errand, &self.0.cancel).await;
        let ran = match ran {
            Ok(ran) => ran,
            Err(error) => {
                return Some(Found::bad(format!("it could not be run: failed to {error}")));
            }
        };
        if self.0.cancel.is_cancelled() && ran.code.is_none() {
            return None;
        }
        let latency = Some(began.elapsed());
        if ran.is_well() {
            return Some(Found { finding: Finding::Good, latency });
        }
        let limit = match ran.limit {
            Some(Limit::Use) => " at its limit of memory or processes",
            Some(Limit::Time) | None => "",
        };
        let why = match last_line(&ran.output) {
            Some(line) => format!("it {}{limit}: {line}", ran.how),
            None => format!("it {}{limit}", ran.how),
        };
        let degraded = ran.code.is_some() && ran.code == degraded_code.map(i32::from);
        let finding = if degraded { Finding::Poor(why) } else { Finding::Bad(why) };
        Some(Found { finding, latency })
    }

    fn checks_place(&self) -> PathBuf {
        self.data_dir().join(CHECKS)
    }

    /// Ends what an engine before this one left of its commands.
    async fn clear_runs(&self) {
        let entries = std::fs::read_dir(self.checks_place()).into_iter().flatten().flatten();
        for place in entries.map(|entry| entry.path()) {
            if let Err(error) = errand::clear(&self.0.launcher, &place.join(RUN)).await {
                tracing::warn!(place = %place.display(), %error, "a check's last run is not ended");
            }
        }
    }
}

/// The last line that says anything, without what steers a terminal, shortened.
fn last_line(output: &str) -> Option<String> {
    let plain = agents::ansi::plain(output);
    let line = plain.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().filter(|ch| !ch.is_control()).take(PRINTED_CHARS).collect())
}

fn private_directory(path: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

impl Known {
    /// Takes how time passed.
    fn pass(&mut self, passed: &Passed) {
        if let Some(from) = passed.slept_from {
            self.board.slept(from, passed.now);
            self.forgive_silence(passed.count);
            let deadlines: Vec<_> = self
                .own
                .iter()
                .filter_map(|(key, check)| Some((key.clone(), deadline_of(&check.probe)?)))
                .collect();
            for (key, deadline) in deadlines {
                if let Some(reports) = self.waits.get_mut(&key) {
                    excuse(reports, &deadline, from, passed.now.steady);
                }
            }
        }
        if let Some(why) = passed.excuse {
            self.excuse(why, passed);
        }
        if self.excused.as_ref().is_some_and(|(until, _)| passed.now.steady >= *until) {
            self.excused = None;
        }
    }

    /// Nobody is blamed for a while.
    fn excuse(&mut self, why: Excuse, passed: &Passed) {
        let pause = SignedDuration::try_from(PAUSE).unwrap_or(SignedDuration::ZERO);
        let until = passed.now.steady.saturating_add(pause).unwrap_or(passed.now.steady);
        self.board.hold(until);
        let said = match why {
            Excuse::Slept => "the machine slept",
            Excuse::Late => "the engine itself was too busy",
            Excuse::Crowd => "many agents fell silent in the same second",
        };
        tracing::info!(why = said, "nobody is blamed for a while");
        self.excused =
            Some((until, format!("{said}: nothing is judged for {} s", PAUSE.as_secs())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_that_says_anything_is_told() {
        assert_eq!(last_line("one\ntwo \n\n"), Some("two".to_owned()));
        assert_eq!(last_line("\u{1b}[31mred\u{1b}[0m\n"), Some("red".to_owned()));
        assert_eq!(last_line(" \n"), None);
        assert_eq!(last_line(&"x".repeat(9_000)).map(|it| it.len()), Some(PRINTED_CHARS));
    }
}
