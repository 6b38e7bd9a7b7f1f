//! What a rule watches for.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// What was measured at one evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reading {
    /// A value.
    Value {
        /// In the signal's unit.
        value: f64,
    },
    /// Nothing was measured.
    NoData,
}

impl From<Option<f64>> for Reading {
    fn from(value: Option<f64>) -> Self {
        match value {
            // A value that is no number was not measured either.
            Some(value) if !value.is_nan() => Self::Value { value },
            _ => Self::NoData,
        }
    }
}

/// A limit, and a gentler one that ends the alert, so that a value at the limit does not flap.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Threshold {
    /// Holds above `value`; while it fires, until the reading is at or below `clear`.
    Above {
        /// The limit.
        value: f64,
        /// Where it ends; not above `value`.
        clear: f64,
    },
    /// Holds below `value`; while it fires, until the reading is at or above `clear`.
    Below {
        /// The limit.
        value: f64,
        /// Where it ends; not below `value`.
        clear: f64,
    },
}

impl Threshold {
    /// Above a limit, and over as soon as it is not.
    #[must_use]
    pub const fn above(value: f64) -> Self {
        Self::Above { value, clear: value }
    }

    /// Below a limit, and over as soon as it is not.
    #[must_use]
    pub const fn below(value: f64) -> Self {
        Self::Below { value, clear: value }
    }

    /// Whether the condition holds; a firing alert is held to its clear value.
    pub(crate) fn holds(&self, reading: f64, firing: bool) -> bool {
        match self {
            Self::Above { value, clear } => reading > if firing { *clear } else { *value },
            Self::Below { value, clear } => reading < if firing { *clear } else { *value },
        }
    }
}

/// What missing data means to a rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoData {
    /// Nothing changes: a firing alert goes on, a pending one waits without firing.
    #[default]
    KeepLast,
    /// It counts as the condition: silence is the alarm.
    Alerting,
    /// It counts as the absence of the condition.
    Ok,
}

/// When to raise an alert, and when to end it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// The condition.
    pub threshold: Threshold,
    /// How long it must hold before the alert fires.
    pub hold: SignedDuration,
    /// How long a firing alert goes on after the condition ended.
    pub keep_firing: SignedDuration,
    /// What missing data means.
    pub no_data: NoData,
}

/// Why a rule makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleError {
    /// A limit is not a finite number.
    NotFinite,
    /// The clear value is beyond the limit, so the alert would end while its condition holds.
    ClearBeyondLimit,
    /// A duration is negative.
    Negative,
}

impl std::fmt::Display for RuleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotFinite => "use a rule whose limit is not a finite number",
            Self::ClearBeyondLimit => "use a rule whose clear value lies beyond its limit",
            Self::Negative => "use a rule with a negative duration",
        })
    }
}

impl std::error::Error for RuleError {}

impl Rule {
    /// Refuses a rule that could not be followed.
    ///
    /// # Errors
    /// When a limit is not finite, the clear value lies beyond it, or a duration is negative.
    pub fn checked(self) -> Result<Self, RuleError> {
        let (value, clear, gentler) = match self.threshold {
            Threshold::Above { value, clear } => (value, clear, clear <= value),
            Threshold::Below { value, clear } => (value, clear, clear >= value),
        };
        match () {
            () if !value.is_finite() || !clear.is_finite() => Err(RuleError::NotFinite),
            () if !gentler => Err(RuleError::ClearBeyondLimit),
            () if self.hold.is_negative() || self.keep_firing.is_negative() => {
                Err(RuleError::Negative)
            }
            () => Ok(self),
        }
    }
}
