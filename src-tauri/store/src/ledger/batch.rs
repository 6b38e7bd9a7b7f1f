//! The rows of several changes laid side by side, so that many take one statement.

use std::collections::HashMap;

use sqlx::SqliteConnection;
use uuid::Uuid;

use super::error::RowError;
use super::stroke::{Rows, Stroke, Value, size_of_row};
use super::table::events;

/// Once rows of this size wait, they are written.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Rows that wait. What is written about the same subject keeps its order; what is about different
/// subjects need not, as far as it fits: whoever finds that something does not fit has to take
/// everything back and write one after the other.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    events: Vec<Vec<Value>>,
    passes: Vec<Pass>,
    /// The last pass that has something about a subject.
    last: HashMap<Uuid, usize>,
    bytes: usize,
}

/// Rows that one statement can write.
#[derive(Debug)]
struct Pass {
    rows: &'static Rows,
    values: Vec<Vec<Value>>,
}

impl Batch {
    /// Adds an event's row. No row of another table refers to it, and it goes first.
    pub(crate) fn record(&mut self, values: Vec<Value>) {
        self.bytes += size_of_row(&values);
        self.events.push(values);
    }

    /// Adds a row that is written after everything about its subject, and after everything `about`.
    pub(crate) fn lay(&mut self, stroke: Stroke, about: Option<Uuid>) {
        self.bytes += stroke.size();
        let Stroke { rows, subject, values } = stroke;
        let subjects = [subject, about];
        let after = subjects.iter().flatten().filter_map(|subject| self.last.get(subject)).max();
        let from = after.map_or(0, |pass| pass + 1);
        let found = self.passes.iter().skip(from).position(|pass| std::ptr::eq(pass.rows, rows));
        let place = found.map_or(self.passes.len(), |found| from + found);
        match self.passes.get_mut(place) {
            Some(pass) => pass.values.push(values),
            None => self.passes.push(Pass { rows, values: vec![values] }),
        }
        for subject in subjects.into_iter().flatten() {
            self.last.insert(subject, place);
        }
    }

    /// Whether so much waits that it should be written.
    pub(crate) const fn is_full(&self) -> bool {
        self.bytes >= WAITING_BYTES_MAX
    }

    /// Writes what waits; says whether all of it fits what is stored.
    pub(crate) async fn write(&mut self, conn: &mut SqliteConnection) -> Result<bool, RowError> {
        let Self { events, passes, .. } = std::mem::take(self);
        let mut fits = events::INSERT.write(conn, events).await?;
        for pass in passes {
            fits &= pass.rows.write(conn, pass.values).await?;
        }
        Ok(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::stroke::values;

    static MAKE: Rows = Rows { head: "make", columns: 1, tail: "", exact: true };
    static MOVE: Rows = Rows { head: "move", columns: 1, tail: "", exact: true };

    fn stroke(rows: &'static Rows, subject: u128) -> Stroke {
        Stroke { rows, subject: Some(Uuid::from_u128(subject)), values: values![subject as i64] }
    }

    fn laid(batch: &Batch) -> Vec<(&'static str, usize)> {
        batch.passes.iter().map(|pass| (pass.rows.head, pass.values.len())).collect()
    }

    #[test]
    fn the_same_about_different_subjects_is_one_pass() {
        let mut batch = Batch::default();
        for subject in 1..=5 {
            batch.lay(stroke(&MAKE, subject), None);
            batch.lay(stroke(&MOVE, subject), None);
        }
        assert_eq!(laid(&batch), [("make", 5), ("move", 5)]);
    }

    #[test]
    fn what_is_about_one_subject_keeps_its_order() {
        let mut batch = Batch::default();
        for subject in [1, 2, 1] {
            batch.lay(stroke(&MOVE, subject), None);
        }
        assert_eq!(laid(&batch), [("move", 2), ("move", 1)]);
        // About another, but after everything about the first.
        batch.lay(stroke(&MOVE, 3), Some(Uuid::from_u128(1)));
        batch.lay(stroke(&MOVE, 4), None);
        assert_eq!(laid(&batch), [("move", 3), ("move", 1), ("move", 1)]);
    }
}
