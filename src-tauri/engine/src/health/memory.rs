//! What is known of health in this run of the engine.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use model::health::{HealthCheck, HealthState, Reported};
use model::id::AgentId;
use monitor::health::{Board, Moment, Passage, Phi, PhiSettings, Reports, Vitals};
use monitor::{Samples, Source};
use tokio::sync::Semaphore;

/// How often everything that is watched is looked at.
pub(super) const TICK: Duration = Duration::from_secs(1);
/// For how long nobody is blamed after the engine itself was too busy, or the machine slept.
pub(super) const PAUSE: Duration = Duration::from_secs(2);
/// Looks that are made at the same time.
pub(super) const TOGETHER_MAX: usize = 8;

/// All of it.
#[derive(Debug)]
pub(crate) struct Health {
    known: Mutex<Known>,
    /// One change at a time.
    pub(super) changing: tokio::sync::Mutex<()>,
    /// Looks that may be made at the same time.
    pub(super) together: Arc<Semaphore>,
    /// Whether changes are being recorded.
    pub(super) recording: AtomicBool,
}

/// What is known.
#[derive(Debug)]
pub(crate) struct Known {
    pub(super) board: Board,
    pub(super) passage: Passage,
    /// The captain's own, by their ids.
    pub(super) own: BTreeMap<String, HealthCheck>,
    /// What was reported to those of them that wait, by the clock on the wall.
    pub(super) reported: HashMap<String, Reported>,
    /// The same by the clock that is never set.
    pub(super) waits: HashMap<String, Reports>,
    /// The agents as they were seen last.
    pub(super) agents: BTreeMap<AgentId, Watched>,
    /// How long looks took that were made since the last measurement.
    pub(super) fresh: Vec<(String, Duration)>,
    /// What the monitor had lost when it was looked at last.
    pub(super) lost: u64,
    /// Where the journal stood, and since when.
    pub(super) journal: Option<(u64, Timestamp)>,
    /// Why nobody is blamed at the moment, until then.
    pub(super) excused: Option<(Timestamp, String)>,
}

/// An agent that is watched.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) name: String,
    pub(super) vitals: Vitals,
    pub(super) failed: bool,
    /// Its heartbeats, where it runs elsewhere.
    pub(super) beats: Option<(Phi, Option<Timestamp>)>,
}

impl Health {
    /// Nothing is known yet.
    pub(crate) fn new(now: Timestamp) -> Self {
        let known = Known {
            board: Board::default(),
            passage: Passage::new(now, TICK, PAUSE),
            own: BTreeMap::new(),
            reported: HashMap::new(),
            waits: HashMap::new(),
            agents: BTreeMap::new(),
            fresh: Vec::new(),
            lost: 0,
            journal: None,
            excused: None,
        };
        Self {
            known: Mutex::new(known),
            changing: tokio::sync::Mutex::default(),
            together: Arc::new(Semaphore::new(TOGETHER_MAX)),
            recording: AtomicBool::new(false),
        }
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    pub(super) fn moment(&self, wall: Timestamp) -> Moment {
        self.passage.moment(wall)
    }
}

/// How a detector judges an agent that is lost after so long a silence. It may report as seldom as twice
/// in that time.
pub(super) fn phi_settings(lost_after_s: u32) -> PhiSettings {
    let lost = Duration::from_secs(u64::from(lost_after_s.max(2)));
    PhiSettings {
        first_estimate: lost / 3,
        pause: (lost / 2).max(Duration::from_secs(2)),
        deviation_min: (lost / 20).max(Duration::from_millis(500)),
        ..PhiSettings::default()
    }
}

impl Source for Health {
    fn measure(&self, samples: &mut Samples) {
        let mut known = self.known();
        let now = known.moment(Timestamp::UNIX_EPOCH);
        let fresh = std::mem::take(&mut known.fresh);
        let states = known.board.keys().filter(|key| !key.starts_with(super::crew::PREFIX));
        for key in states {
            let Some(standing) = known.board.standing(key, now) else { continue };
            let state = match standing.state {
                HealthState::Ok => 0.0,
                HealthState::Degraded => 1.0,
                HealthState::Failed => 2.0,
                HealthState::Unknown => 3.0,
            };
            samples.add_of("health_check_state", ("check", key.to_owned()), state);
        }
        for (key, latency) in fresh {
            let seconds = latency.as_secs_f64();
            samples.add_of("health_check_latency_seconds", ("check", key), seconds);
        }
    }
}
