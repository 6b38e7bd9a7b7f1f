//! The state of an agent that runs elsewhere: nothing is known of it but its heartbeat.

use jiff::Timestamp;

use super::{AgentState, AgentStatus, Confidence, Heartbeat, certain, span_in_words};
use crate::attempt::{Attempt, AttemptState};

/// What gives the state.
const SIGNAL: &str = "heartbeat";

impl Heartbeat {
    /// Since when nothing was heard.
    #[must_use]
    pub fn silent_since(&self) -> Timestamp {
        self.last_at.unwrap_or(self.listening_since)
    }

    /// For how long nothing was heard, in seconds.
    fn silent_s(&self, now: Timestamp) -> u64 {
        u64::try_from(now.duration_since(self.silent_since()).as_secs()).unwrap_or(0)
    }
}

fn told(state: AgentState, since: Timestamp, reason: String, sure: Confidence) -> AgentStatus {
    AgentStatus { state, since, reason, signal: SIGNAL.to_owned(), confidence: sure }
}

/// An agent that has nothing to do, as far as it is there at all.
pub(super) fn free(heartbeat: &Heartbeat, since: Timestamp, now: Timestamp) -> AgentStatus {
    let silent_s = heartbeat.silent_s(now);
    if heartbeat.last_at.is_some() && silent_s < u64::from(heartbeat.lost_after_s) {
        return told(AgentState::Idle, since, "no mission".to_owned(), Confidence::Certain);
    }
    let reason = match heartbeat.last_at {
        Some(last) => format!("it runs elsewhere and was heard of last at {last:.0}; start it"),
        None => "it runs elsewhere and was not heard of yet; start it".to_owned(),
    };
    told(AgentState::Offline, heartbeat.silent_since(), reason, Confidence::Likely)
}

/// An agent with an attempt.
pub(super) fn at_work(attempt: &Attempt, heartbeat: &Heartbeat, now: Timestamp) -> AgentStatus {
    let since = attempt.leased_at;
    if attempt.stopping {
        let reason = "is told to stop with its next heartbeat";
        return certain(AgentState::Stopping, since, reason, "attempt");
    }
    if attempt.frozen {
        let reason = "was told to hold still; nothing keeps it from going on";
        return told(AgentState::Paused, since, reason.to_owned(), Confidence::Likely);
    }
    match attempt.state {
        AttemptState::Leased | AttemptState::Starting => {
            certain(AgentState::Starting, since, "its mission waits to be taken", "attempt")
        }
        AttemptState::Running => running(heartbeat, since, now),
        _ => {
            let since = attempt.exit.as_ref().map_or(since, |record| record.ended_at);
            certain(AgentState::Working, since, "the gates run on its work", "attempt")
        }
    }
}

fn running(heartbeat: &Heartbeat, started: Timestamp, now: Timestamp) -> AgentStatus {
    let (silent_s, lost_s) = (heartbeat.silent_s(now), u64::from(heartbeat.lost_after_s));
    let silent_since = heartbeat.silent_since();
    if silent_s >= lost_s {
        // Its lease ends after as much time again.
        let reason = format!(
            "no heartbeat since {silent_since:.0}; it may still run, and its attempt ends after {} \
             without one",
            span_in_words(2 * lost_s)
        );
        return told(AgentState::LostSignal, silent_since, reason, Confidence::Likely);
    }
    if heartbeat.asks > 0 {
        let what = if heartbeat.asks == 1 { "something" } else { "several things" };
        return told(
            AgentState::WaitingForCaptain,
            started,
            format!("asks you {what}"),
            Confidence::Certain,
        );
    }
    if silent_s >= lost_s.div_ceil(2) {
        let reason = format!("no heartbeat since {silent_since:.0}");
        return told(AgentState::Quiet, silent_since, reason, Confidence::Likely);
    }
    // A heartbeat says that it is there, and no more.
    let sure = if heartbeat.last_at.is_some() { Confidence::Certain } else { Confidence::Guess };
    told(AgentState::Working, started, "its heartbeats come".to_owned(), sure)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::id::{AgentId, AttemptId, MissionId, SystemDraw};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
    }

    fn heard(last: Option<i64>) -> Heartbeat {
        let last_at = last.map(at);
        Heartbeat { last_at, listening_since: at(0), lost_after_s: 60, asks: 0 }
    }

    fn attempt(state: AttemptState) -> Attempt {
        let (draw, now) = (&mut SystemDraw, at(0));
        let id = AttemptId::draw(now, draw);
        let (mission, agent) = (MissionId::draw(now, draw), AgentId::draw(now, draw));
        Attempt { state, ..Attempt::leased(id, mission, agent, 1, now) }
    }

    #[test]
    fn silence_makes_an_agent_elsewhere_quiet_and_then_lost_and_a_heartbeat_brings_it_back() {
        let of = |last: Option<i64>, now: i64| {
            let status = at_work(&attempt(AttemptState::Running), &heard(last), at(now));
            (status.state, status.confidence)
        };
        assert_eq!(of(Some(100), 129), (AgentState::Working, Confidence::Certain));
        assert_eq!(of(Some(100), 130), (AgentState::Quiet, Confidence::Likely));
        assert_eq!(of(Some(100), 159), (AgentState::Quiet, Confidence::Likely));
        assert_eq!(of(Some(100), 160), (AgentState::LostSignal, Confidence::Likely));
        assert_eq!(of(Some(161), 162), (AgentState::Working, Confidence::Certain));
        // After a restart of the engine nothing was heard yet.
        assert_eq!(of(None, 10), (AgentState::Working, Confidence::Guess));
        assert_eq!(of(None, 60), (AgentState::LostSignal, Confidence::Likely));
    }

    #[test]
    fn an_agent_elsewhere_that_is_not_heard_of_is_offline_and_one_that_asks_waits_for_the_captain()
    {
        assert_eq!(free(&heard(None), at(0), at(1)).state, AgentState::Offline);
        assert_eq!(free(&heard(Some(1)), at(0), at(2)).state, AgentState::Idle);
        assert_eq!(free(&heard(Some(1)), at(0), at(61)).state, AgentState::Offline);
        let asks = Heartbeat { asks: 2, ..heard(Some(1)) };
        let status = at_work(&attempt(AttemptState::Running), &asks, at(2));
        assert_eq!(status.state, AgentState::WaitingForCaptain);
        let held = Attempt { frozen: true, ..attempt(AttemptState::Running) };
        assert_eq!(at_work(&held, &asks, at(2)).state, AgentState::Paused);
        let stopping = Attempt { stopping: true, ..attempt(AttemptState::Running) };
        assert_eq!(at_work(&stopping, &asks, at(2)).state, AgentState::Stopping);
    }
}
