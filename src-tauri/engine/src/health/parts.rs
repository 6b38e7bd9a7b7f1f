//! Health of the engine's own parts: whether each is started, ready, or not as it should be, and why.

use std::time::Duration;

use jiff::Timestamp;
use model::status::span_in_words;
use monitor::health::{CheckSettings, Finding, Looking, Moment, Spec, Untold};
use store::ledger::LedgerStatus;

use super::memory::{Known, TICK};
use crate::Engine;

/// What the ids of the parts' checks begin with.
pub(super) const PREFIX: &str = "engine.";
/// Every part, with its name.
pub(super) const ALL: [(&str, &str); 9] = [
    ("engine.store", "Ledger"),
    ("engine.telemetry", "Measurements"),
    ("engine.orchestrator", "Orchestrator"),
    ("engine.agents", "Agents' supervision"),
    ("engine.monitor", "Monitor"),
    ("engine.insight", "Questions about signals"),
    ("engine.alerts", "Alerts"),
    ("engine.journal", "Journal"),
    ("engine.gateway", "API"),
];
/// How long a part may take to answer.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(1);
/// Free space below which the disk is called short, in bytes: 1 GiB.
const DISK_SHORT_BYTES: u64 = 1 << 30;
/// Free space below which the disk is called full, in bytes: 64 MiB.
const DISK_FULL_BYTES: u64 = 64 << 20;
/// Age of the last measurement from which on the monitor is late, in seconds.
const MEASURED_LATE_S: i64 = 5;
/// Age of the last measurement from which on the monitor stands still, in seconds.
const MEASURED_FAILED_S: i64 = 15;
/// Events the journal may be behind.
const JOURNAL_BEHIND: u64 = 1_000;
/// How long the journal may stand still with events before it, in seconds.
const JOURNAL_STILL_S: i64 = 120;

/// What a part's check is about, by its id.
pub(super) fn name_of(key: &str) -> String {
    key.trim_start_matches(PREFIX).to_owned()
}

/// How a part is judged: it says itself how it is, and that counts at once.
pub(super) fn spec(name: &str) -> Spec {
    Spec {
        name: name.to_owned(),
        settings: CheckSettings {
            interval: TICK * 5,
            timeout: TICK,
            failures: 1,
            successes: 1,
            start_within: None,
        },
        needs: Vec::new(),
        paused: false,
        looking: Looking::Told,
        own: false,
    }
}

/// What is known of the parts at one moment.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    ledger: LedgerStatus,
    /// Why it could not be read, where it could not.
    unread: Option<String>,
    disk_free: Option<u64>,
    set_aside: Option<String>,
    samples_lost: u64,
    /// Why nothing is decided, where that is so.
    undecided: Option<String>,
    /// Why nothing can be started, where that is so.
    no_shim: Option<String>,
    measured_at: Option<Timestamp>,
    /// Where the journal stands; nothing where that could not be read.
    journal: Option<u64>,
    questions: usize,
    listens: bool,
}

impl Engine {
    /// Asks every part how it is. None of them holds the others up.
    pub(super) async fn parts(&self) -> Facts {
        let parts = &self.0;
        let late = |what: &str| format!("{what} within {} s", ANSWER_MAX.as_secs());
        let journal = parts.ledger.cursor(journal::CURSOR);
        let journal = tokio::time::timeout(ANSWER_MAX, journal);
        let decides = tokio::time::timeout(ANSWER_MAX, parts.orchestrator.look(|_, _, _| ()));
        let (journal, decides) = tokio::join!(journal, decides);
        let (unread, journal) = match journal {
            Ok(Ok(seq)) => (None, Some(seq)),
            Ok(Err(error)) => (Some(format!("failed to {error}")), None),
            Err(_) => (Some(late("it could not be read")), None),
        };
        let undecided = match decides {
            Ok(Ok(())) => None,
            Ok(Err(refusal)) => Some(refusal.message),
            Err(_) => Some(late("it did not answer")),
        };
        let snapshot = parts.snapshots.borrow().clone();
        let counted = parts.telemetry.counters();
        Facts {
            ledger: parts.ledger.status(),
            unread,
            disk_free: snapshot.machine.disk_free_bytes,
            set_aside: parts.telemetry.set_aside().map(|path| path.display().to_string()),
            samples_lost: counted.samples_lost + counted.ticks_dropped,
            undecided,
            no_shim: parts.launcher.is_there().err().map(|error| format!("failed to {error}")),
            measured_at: (snapshot.tick > 0).then_some(snapshot.at),
            journal,
            questions: parts.questions.running_count(),
            listens: parts.url.borrow().is_some(),
        }
    }
}

/// What is found of one part: how it is, or why nothing can be said.
type Told = Result<Finding, Untold>;

fn judge(fault: Option<Finding>) -> Told {
    Ok(fault.unwrap_or(Finding::Good))
}

fn ledger(facts: &Facts) -> Told {
    let status = &facts.ledger;
    let bad = |why: String| Some(Finding::Bad(why));
    judge(if !status.accepting {
        bad("it takes nothing: a write failed, and it is opened again; nothing acknowledged is lost"
            .to_owned())
    } else if let Some(why) = &facts.unread {
        bad(why.clone())
    } else if let Some(free) = facts.disk_free.filter(|free| *free < DISK_SHORT_BYTES) {
        let why = format!("{} MiB are free on its disk", free >> 20);
        Some(if free < DISK_FULL_BYTES { Finding::Bad(why) } else { Finding::Poor(why) })
    } else if status.queued * 10 >= status.queue_max * 8 {
        let why = format!("{} of {} changes wait", status.queued, status.queue_max);
        Some(Finding::Poor(why))
    } else {
        None
    })
}

fn telemetry(facts: &Facts, lost_before: u64) -> Told {
    let lost = facts.samples_lost.saturating_sub(lost_before);
    judge(if lost > 0 {
        Some(Finding::Poor(format!("{lost} samples were lost since the last look")))
    } else {
        let aside = facts.set_aside.as_ref();
        aside.map(|path| {
            Finding::Poor(format!(
                "its file was damaged when the engine started: it lies at {path}, and a new one was begun"
            ))
        })
    })
}

fn monitor(facts: &Facts, excused: Option<&str>, now: Timestamp) -> Told {
    let Some(at) = facts.measured_at else {
        return Err(Untold("the first measurement is being taken".to_owned()));
    };
    let age_s = now.duration_since(at).as_secs();
    let old = || {
        let age = span_in_words(u64::try_from(age_s).unwrap_or(0));
        format!("the last measurement is {age} old")
    };
    judge(if age_s >= MEASURED_FAILED_S {
        Some(Finding::Bad(old()))
    } else if age_s >= MEASURED_LATE_S {
        Some(Finding::Poor(old()))
    } else {
        excused.map(|why| Finding::Poor(why.to_owned()))
    })
}

/// `stood` says where it stood before, and since when.
fn follower(facts: &Facts, stood: Option<(u64, Timestamp)>, now: Timestamp) -> Told {
    let Some(at) = facts.journal else {
        return Err(Untold("where it stands could not be read".to_owned()));
    };
    let behind = facts.ledger.head_seq.saturating_sub(at);
    let still_s = stood
        .filter(|(before, _)| *before == at && behind > 0)
        .map_or(0, |(_, since)| now.duration_since(since).as_secs());
    judge(if still_s >= JOURNAL_STILL_S {
        Some(Finding::Bad(format!("it stands still, {behind} events behind")))
    } else if behind > JOURNAL_BEHIND {
        Some(Finding::Poor(format!("it is {behind} events behind")))
    } else {
        None
    })
}

impl Known {
    /// Takes what the parts say.
    pub(super) fn take_parts(&mut self, facts: &Facts, now: Moment) {
        let bad = |fault: &Option<String>| judge(fault.clone().map(Finding::Bad));
        let excused = self.excused.as_ref().map(|(_, why)| why.as_str());
        let questions = match facts.questions {
            waiting if waiting >= crate::signals::QUESTIONS_BUSY => {
                Some(Finding::Poor(format!("{waiting} questions are being answered or wait")))
            }
            _ => None,
        };
        let told: [(&str, Told); ALL.len()] = [
            ("engine.store", ledger(facts)),
            ("engine.telemetry", telemetry(facts, self.lost)),
            ("engine.orchestrator", bad(&facts.undecided)),
            ("engine.agents", bad(&facts.no_shim)),
            ("engine.monitor", monitor(facts, excused, now.wall)),
            ("engine.insight", judge(questions)),
            ("engine.alerts", Err(Untold("no rules are evaluated by this version".to_owned()))),
            ("engine.journal", follower(facts, self.journal, now.steady)),
            (
                "engine.gateway",
                match facts.listens {
                    true => judge(None),
                    false => {
                        Err(Untold("nobody listens: the window asks within the process".to_owned()))
                    }
                },
            ),
        ];
        self.lost = facts.samples_lost;
        if let Some(at) = facts.journal
            && self.journal.is_none_or(|(before, _)| before != at)
        {
            self.journal = Some((at, now.steady));
        }
        for (key, told) in told {
            match told {
                Ok(finding) => self.board.look(key, finding, None, now),
                Err(Untold(why)) => self.board.withdraw(key, &why, now),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            ledger: LedgerStatus {
                accepting: true,
                queued: 0,
                queue_max: 100,
                last_commit_us: 0,
                groups: 0,
                changes: 0,
                head_seq: 10,
                wal_bytes: 0,
            },
            unread: None,
            disk_free: Some(1 << 40),
            set_aside: None,
            samples_lost: 7,
            undecided: None,
            no_shim: None,
            measured_at: Some(at(0)),
            journal: Some(10),
            questions: 0,
            listens: true,
        }
    }

    fn at(s: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + s).unwrap()
    }

    fn letter(told: &Told) -> char {
        match told {
            Ok(Finding::Good) => 'o',
            Ok(Finding::Poor(why)) if !why.is_empty() => 'd',
            Ok(Finding::Bad(why)) if !why.is_empty() => 'f',
            _ => '?',
        }
    }

    #[test]
    fn the_ledger_says_why_it_is_not_in_order() {
        let check = |change: &dyn Fn(&mut Facts), expected| {
            let mut facts = facts();
            change(&mut facts);
            assert_eq!(letter(&ledger(&facts)), expected, "{facts:?}");
        };
        check(&|_| {}, 'o');
        check(&|it| it.ledger.accepting = false, 'f');
        check(&|it| it.unread = Some("failed to read a cursor".into()), 'f');
        check(&|it| it.disk_free = Some((1 << 30) - 1), 'd');
        check(&|it| it.disk_free = Some((64 << 20) - 1), 'f');
        check(&|it| it.ledger.queued = 80, 'd');
    }

    #[test]
    fn measurements_say_what_was_lost_and_what_was_set_aside() {
        assert_eq!(letter(&telemetry(&facts(), 7)), 'o');
        assert_eq!(letter(&telemetry(&facts(), 6)), 'd');
        let aside = Facts { set_aside: Some("/x/telemetry.db.damaged".into()), ..facts() };
        let Ok(Finding::Poor(why)) = telemetry(&aside, 7) else { panic!("it is not told") };
        assert!(why.contains("/x/telemetry.db.damaged") && why.contains("new one"), "{why}");
    }

    #[test]
    fn a_monitor_that_stands_still_is_late_and_then_has_failed() {
        let check = |age, excused, expected| {
            assert_eq!(letter(&monitor(&facts(), excused, at(age))), expected, "{age}");
        };
        check(4, None, 'o');
        check(4, Some("ticks come late"), 'd');
        check(5, None, 'd');
        check(15, None, 'f');
        let first = Facts { measured_at: None, ..facts() };
        assert_eq!(letter(&monitor(&first, None, at(0))), '?');
    }

    #[test]
    fn a_journal_that_stands_still_before_events_has_failed() {
        let behind = |head_seq, journal| Facts {
            ledger: LedgerStatus { head_seq, ..facts().ledger },
            journal,
            ..facts()
        };
        let check = |facts: Facts, stood, now, expected| {
            assert_eq!(letter(&follower(&facts, stood, at(now))), expected, "{facts:?}");
        };
        check(behind(10, Some(10)), Some((10, at(0))), 1_000, 'o');
        check(behind(11, Some(10)), Some((10, at(0))), 119, 'o');
        check(behind(11, Some(10)), Some((10, at(0))), 120, 'f');
        check(behind(11, Some(10)), Some((9, at(0))), 120, 'o');
        check(behind(2_000, Some(10)), None, 0, 'd');
        check(behind(11, None), None, 0, '?');
    }
}
