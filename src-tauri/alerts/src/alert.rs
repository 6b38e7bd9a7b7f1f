//! The life of an alert: inactive, pending, firing, resolved, as in Prometheus (rules/alerting.go).

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::rule::{NoData, Reading, Rule};

/// How long a resolved alert stays visible.
pub const RESOLVED_KEPT: SignedDuration = SignedDuration::from_mins(15);

/// Where an alert stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Phase {
    /// The condition does not hold.
    #[default]
    Inactive,
    /// The condition holds, not yet for long enough.
    Pending {
        /// Since when.
        active_at: Timestamp,
    },
    /// The condition held for long enough.
    Firing {
        /// Since when the condition holds.
        active_at: Timestamp,
        /// Since when it fires.
        fired_at: Timestamp,
        /// Since when the condition no longer holds, while the alert is kept firing.
        keep_since: Option<Timestamp>,
    },
    /// It fired and ended a short while ago.
    Resolved {
        /// Since when it fired.
        fired_at: Timestamp,
        /// When it ended.
        resolved_at: Timestamp,
        /// Whether it ended for want of data rather than by a value; nobody has seen it get better.
        by_no_data: bool,
    },
}

/// An alert of one rule on one series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Where it stands.
    pub phase: Phase,
    /// Since when nothing has been measured; nothing while there are values.
    pub no_data_since: Option<Timestamp>,
}

impl Alert {
    /// Follows one evaluation at `now`.
    #[must_use]
    pub fn tick(self, rule: &Rule, now: Timestamp, reading: Reading) -> Self {
        let firing = matches!(self.phase, Phase::Firing { .. });
        let (holds, missing) = match reading {
            Reading::Value { value } => (Some(rule.threshold.holds(value, firing)), false),
            Reading::NoData => match rule.no_data {
                NoData::KeepLast => (None, true),
                NoData::Alerting => (Some(true), true),
                NoData::Ok => (Some(false), true),
            },
        };
        let phase = match holds {
            Some(true) => self.phase.holding(rule, now),
            Some(false) => self.phase.ending(rule, now, missing),
            None => self.phase.forgotten(now),
        };
        Self { phase, no_data_since: missing.then(|| self.no_data_since.unwrap_or(now)) }
    }
}

impl Phase {
    fn holding(self, rule: &Rule, now: Timestamp) -> Self {
        match self {
            Self::Inactive | Self::Resolved { .. } => {
                Self::Pending { active_at: now }.ripe(rule, now)
            }
            Self::Pending { .. } => self.ripe(rule, now),
            Self::Firing { active_at, fired_at, .. } => {
                Self::Firing { active_at, fired_at, keep_since: None }
            }
        }
    }

    /// Fires a pending alert whose time has come.
    fn ripe(self, rule: &Rule, now: Timestamp) -> Self {
        match self {
            Self::Pending { active_at } if now.duration_since(active_at) >= rule.hold => {
                Self::Firing { active_at, fired_at: now, keep_since: None }
            }
            other => other,
        }
    }

    fn ending(self, rule: &Rule, now: Timestamp, by_no_data: bool) -> Self {
        match self {
            Self::Inactive | Self::Pending { .. } => Self::Inactive,
            Self::Firing { active_at, fired_at, keep_since } => {
                let since = keep_since.unwrap_or(now);
                if now.duration_since(since) < rule.keep_firing {
                    return Self::Firing { active_at, fired_at, keep_since: Some(since) };
                }
                Self::Resolved { fired_at, resolved_at: now, by_no_data }
            }
            Self::Resolved { .. } => self.forgotten(now),
        }
    }

    /// Lets go of an alert that was resolved long enough ago.
    fn forgotten(self, now: Timestamp) -> Self {
        match self {
            Self::Resolved { resolved_at, .. }
                if now.duration_since(resolved_at) > RESOLVED_KEPT =>
            {
                Self::Inactive
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rule::{RuleError, Threshold};

    fn rule(threshold: Threshold, hold_s: i64, keep_s: i64, no_data: NoData) -> Rule {
        Rule {
            threshold,
            hold: SignedDuration::from_secs(hold_s),
            keep_firing: SignedDuration::from_secs(keep_s),
            no_data,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn letter(phase: Phase) -> char {
        match phase {
            Phase::Inactive => '.',
            Phase::Pending { .. } => 'p',
            Phase::Firing { .. } => 'F',
            Phase::Resolved { by_no_data, .. } => {
                if by_no_data {
                    'n'
                } else {
                    'r'
                }
            }
        }
    }

    /// Evaluates every `step_s`; `NaN` is a reading that is missing.
    fn check(rule: Rule, step_s: i64, readings: &[f64], expect: &str) {
        let mut alert = Alert::default();
        let mut found = String::new();
        for (i, reading) in readings.iter().enumerate() {
            let reading = Some(*reading).filter(|value| !value.is_nan());
            alert = alert.tick(&rule, at(step_s * i as i64), reading.into());
            found.push(letter(alert.phase));
        }
        assert_eq!(found, expect, "{rule:?} {readings:?}");
    }

    const GONE: f64 = f64::NAN;

    #[test]
    fn the_life_of_an_alert_is_the_one_of_prometheus() {
        use Threshold as T;
        let keep = NoData::KeepLast;
        // After TestAlertingRule and TestKeepFiringFor of prometheus/prometheus (Apache-2.0).
        check(
            rule(T::below(100.0), 60, 0, keep),
            300,
            &[75.0, 85.0, 95.0, 105.0, 105.0, 95.0, 85.0],
            "pFFrrpF",
        );
        check(
            rule(T::below(100.0), 60, 0, keep),
            300,
            &[80.0, 90.0, 100.0, 110.0, 120.0, 130.0, 140.0],
            "pFrrrr.",
        );
        check(
            rule(T::above(50.0), 60, 60, keep),
            60,
            &[75.0, 85.0, 70.0, 70.0, 10.0, 10.0],
            "pFFFFr",
        );
        check(rule(T::above(50.0), 60, 60, keep), 60, &[75.0, 10.0, 10.0], "p..");
        check(
            rule(T::above(90.0), 30, 20, keep),
            10,
            &[95.0, 95.0, 95.0, 95.0, 50.0, 50.0, 50.0, 50.0],
            "pppFFFrr",
        );
        // Shorter than the step: at the next evaluation. None at all: at once.
        check(rule(T::above(1.0), 1, 0, keep), 10, &[2.0, 2.0], "pF");
        check(rule(T::above(1.0), 0, 0, keep), 10, &[2.0, 0.0, 2.0], "FrF");
        // A condition that breaks off begins anew.
        check(rule(T::above(1.0), 20, 0, keep), 10, &[2.0, 2.0, 1.0, 2.0, 2.0, 2.0], "pp.ppF");
    }

    #[test]
    fn a_firing_alert_is_held_to_its_clear_value() {
        let above = Threshold::Above { value: 85.0, clear: 75.0 };
        let readings = [84.0, 86.0, 80.0, 76.0, 75.0, 80.0, 86.0];
        check(rule(above, 0, 0, NoData::KeepLast), 10, &readings, ".FFFrrF");
        let below = Threshold::Below { value: 10.0, clear: 20.0 };
        check(rule(below, 0, 0, NoData::KeepLast), 10, &[9.0, 19.0, 20.0, 19.0], "FFrr");
    }

    #[test]
    fn missing_data_is_neither_high_nor_low() {
        let over = Threshold::above(90.0);
        let readings = [95.0, GONE, GONE, 95.0, GONE, 50.0];
        check(rule(over, 20, 0, NoData::KeepLast), 10, &readings, "pppFFr");
        let readings = [95.0, 95.0, 95.0, GONE, GONE];
        check(rule(over, 20, 0, NoData::Ok), 10, &readings, "ppFnn");
        let readings = [50.0, GONE, GONE, GONE, 50.0];
        check(rule(over, 20, 0, NoData::Alerting), 10, &readings, ".ppFr");
    }

    #[test]
    fn since_when_nothing_was_measured_is_kept() {
        let rule = rule(Threshold::above(1.0), 0, 0, NoData::KeepLast);
        let value = Reading::Value { value: 0.0 };
        let alert = Alert::default()
            .tick(&rule, at(0), value)
            .tick(&rule, at(10), Reading::NoData)
            .tick(&rule, at(20), Reading::NoData);
        assert_eq!(alert.no_data_since, Some(at(10)));
        assert_eq!(alert.tick(&rule, at(30), value).no_data_since, None);
        assert_eq!(Reading::from(Some(f64::NAN)), Reading::NoData);
    }

    #[test]
    fn a_resolved_alert_is_shown_for_a_quarter_of_an_hour() {
        let rule = rule(Threshold::above(1.0), 0, 0, NoData::KeepLast);
        let reading = |value| Reading::Value { value };
        let resolved =
            Alert::default().tick(&rule, at(0), reading(2.0)).tick(&rule, at(10), reading(0.0));
        let later = |second| letter(resolved.tick(&rule, at(second), reading(0.0)).phase);
        assert_eq!((later(910), later(911)), ('r', '.'));
        assert_eq!(letter(resolved.tick(&rule, at(911), Reading::NoData).phase), '.');
    }

    #[test]
    fn a_rule_that_cannot_be_followed_is_refused() {
        let check = |threshold, hold_s, expect| {
            let rule = rule(threshold, hold_s, 0, NoData::KeepLast);
            assert_eq!(rule.checked().err(), expect);
        };
        check(Threshold::above(1.0), 0, None);
        check(Threshold::above(f64::NAN), 0, Some(RuleError::NotFinite));
        check(Threshold::above(1.0), -1, Some(RuleError::Negative));
        let beyond = Threshold::Above { value: 1.0, clear: 2.0 };
        check(beyond, 0, Some(RuleError::ClearBeyondLimit));
    }

    fn readings() -> impl Strategy<Value = Vec<(i64, Option<f64>)>> {
        prop::collection::vec((1i64..120, prop::option::weighted(0.8, 0.0f64..10.0)), 1..80)
    }

    proptest! {
        #[test]
        fn an_alert_never_fires_before_its_condition_held_for_long_enough(
            readings in readings(),
            hold_s in 0i64..300,
            keep_s in 0i64..300,
            policy in prop::sample::select(vec![NoData::KeepLast, NoData::Alerting, NoData::Ok]),
        ) {
            let rule = rule(Threshold::Above { value: 6.0, clear: 4.0 }, hold_s, keep_s, policy);
            let mut alert = Alert::default();
            let mut second = 0;
            // Since when no reading has contradicted the condition.
            let mut holding: Option<i64> = None;
            for (step_s, reading) in readings {
                second += step_s;
                let was_firing = matches!(alert.phase, Phase::Firing { .. });
                alert = alert.tick(&rule, at(second), reading.into());
                let holds = match reading {
                    Some(value) => Some(value > 6.0),
                    None if policy == NoData::KeepLast => None,
                    None => Some(policy == NoData::Alerting),
                };
                match holds {
                    Some(true) => holding = holding.or(Some(second)),
                    Some(false) => holding = None,
                    None => {}
                }
                if let Phase::Firing { .. } = alert.phase && !was_firing {
                    prop_assert_eq!(holds, Some(true));
                    prop_assert!(holding.is_some_and(|since| second - since >= hold_s));
                }
                if let Phase::Pending { .. } = alert.phase {
                    prop_assert!(holding.is_some());
                }
            }
        }

        #[test]
        fn an_alert_is_resolved_only_after_it_fired(readings in readings(), hold_s in 0i64..200) {
            let rule = rule(Threshold::above(5.0), hold_s, 0, NoData::Ok);
            let mut alert = Alert::default();
            let mut second = 0;
            for (step_s, reading) in readings {
                second += step_s;
                let before = alert.phase;
                alert = alert.tick(&rule, at(second), reading.into());
                if let Phase::Resolved { fired_at, resolved_at, .. } = alert.phase {
                    prop_assert!(fired_at <= resolved_at);
                    let led_here = matches!(before, Phase::Firing { .. } | Phase::Resolved { .. });
                    prop_assert!(led_here);
                }
            }
        }
    }
}
