//! The samples of an open chunk, packed as they come: a sample a second of something that does not
//! change takes no room at all, and one that does mostly a byte or two instead of sixteen. There is
//! an open chunk for every series of every agent, so this is what a large swarm costs in memory.
//!
//! A record is a varint: an even one is a run, twice the number of samples that repeat the value a
//! step later. An odd one is a sample: its difference in value, and a bit that says whether its
//! difference in time follows, which is otherwise that of the sample before.

use super::codec::{Damaged, unzigzag, zigzag};
use super::tally::Point;

/// Bytes by which the memory grows: doubling would waste a third.
const GROWTH: usize = 128;
/// What one push takes at most: a run and a sample, each of 66 bits, and a step of 64.
const PUSH_MAX: usize = 30;

/// Samples in the order they came.
#[derive(Debug, Default)]
pub(super) struct Packed {
    bytes: Vec<u8>,
    end: End,
}

/// A place between two samples, from which on they can be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    /// How many samples are before it.
    len: usize,
    /// Where the first record begins that is not wholly before it.
    offset: usize,
    /// Samples of that record, a run, that are before it.
    run: u64,
    /// The last sample before it.
    last: Point,
    /// Its difference in time from the one before.
    step: i64,
}

impl Default for End {
    fn default() -> Self {
        Self { len: 0, offset: 0, run: 0, last: Point { at: 0, value: 0 }, step: 0 }
    }
}

impl Packed {
    /// How many samples there are.
    pub(super) const fn len(&self) -> usize {
        self.end.len
    }

    /// The place behind the last sample.
    pub(super) const fn end(&self) -> End {
        self.end
    }

    pub(super) fn push(&mut self, point: Point) {
        let End { last, step, .. } = self.end;
        let next = point.at.wrapping_sub(last.at);
        let difference = point.value.wrapping_sub(last.value);
        self.end.len += 1;
        self.end.last = point;
        if next == step && difference == 0 {
            self.end.run += 1;
            return;
        }
        if self.bytes.capacity() - self.bytes.len() < PUSH_MAX {
            self.bytes.reserve_exact(GROWTH);
        }
        self.close_run();
        let bits = u128::from(zigzag(difference)) << 2 | 1;
        if next == step {
            put(bits, &mut self.bytes);
        } else {
            put(bits | 2, &mut self.bytes);
            put(u128::from(zigzag(next)), &mut self.bytes);
            self.end.step = next;
        }
        self.end.offset = self.bytes.len();
    }

    fn close_run(&mut self) {
        if self.end.run > 0 {
            put(u128::from(self.end.run) << 1, &mut self.bytes);
            self.end.run = 0;
        }
    }

    /// All samples.
    pub(super) fn points(&self) -> Vec<Point> {
        let mut points = Vec::with_capacity(self.end.len);
        self.since(End::default(), &mut points);
        points
    }

    /// Appends the samples behind a place that [`Packed::end`] gave.
    pub(super) fn since(&self, from: End, points: &mut Vec<Point>) {
        let mut rest = self.bytes.get(from.offset..).unwrap_or_default();
        let back = from.step.wrapping_mul(from.run.cast_signed());
        let mut last = Point { at: from.last.at.wrapping_sub(back), value: from.last.value };
        let (mut step, mut skip) = (from.step, from.run);
        while let Ok(record) = take(&mut rest) {
            if record & 1 == 0 {
                repeat((record >> 1) as u64, step, &mut last, &mut skip, points);
                continue;
            }
            if record & 2 != 0 {
                let Ok(next) = take(&mut rest) else { break };
                step = unzigzag(next as u64);
            }
            last.at = last.at.wrapping_add(step);
            last.value = last.value.wrapping_add(unzigzag((record >> 2) as u64));
            points.push(last);
        }
        // The run that is still going on.
        repeat(self.end.run, step, &mut last, &mut skip, points);
    }
}

/// Appends a run, but for the samples to be skipped.
fn repeat(times: u64, step: i64, last: &mut Point, skip: &mut u64, points: &mut Vec<Point>) {
    for _ in 0..times {
        last.at = last.at.wrapping_add(step);
        if *skip > 0 {
            *skip -= 1;
        } else {
            points.push(*last);
        }
    }
}

fn put(mut value: u128, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes a record; what was pushed is whole, so an error is the end.
fn take(rest: &mut &[u8]) -> Result<u128, Damaged> {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let (byte, after) = rest.split_first().ok_or(Damaged)?;
        *rest = after;
        value |= u128::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Damaged)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn points() -> impl Strategy<Value = Vec<Point>> {
        let wild = (any::<i64>(), any::<i64>()).prop_map(|(at, value)| Point { at, value });
        let steady = (0_i64..40, 0_i64..2).prop_map(|(at, value)| Point { at: at * 1000, value });
        prop_oneof![
            prop::collection::vec(wild, 0..200),
            prop::collection::vec(steady, 0..200),
            // Runs of any length.
            prop::collection::vec((1_usize..40, any::<i64>()), 0..12).prop_map(|runs| {
                let values = runs.into_iter().flat_map(|(len, value)| vec![value; len]);
                (0..).zip(values).map(|(at, value)| Point { at: at * 1000, value }).collect()
            }),
        ]
    }

    proptest! {
        #[test]
        fn what_was_pushed_is_read_back_from_any_place(before in points(), after in points()) {
            let mut packed = Packed::default();
            before.iter().for_each(|point| packed.push(*point));
            let place = packed.end();
            after.iter().for_each(|point| packed.push(*point));
            prop_assert_eq!(packed.len(), before.len() + after.len());
            let mut since = Vec::new();
            packed.since(place, &mut since);
            prop_assert_eq!(since, after.clone());
            prop_assert_eq!(packed.points(), [before, after].concat());
            let mut nothing = Vec::new();
            packed.since(packed.end(), &mut nothing);
            prop_assert_eq!(nothing, Vec::new());
        }
    }

    #[test]
    fn ten_minutes_of_something_steady_take_next_to_no_memory() {
        let mut packed = Packed::default();
        for second in 0..600 {
            packed.push(Point { at: 1_800_000_000_000 + second * 1_000, value: 42 });
        }
        assert!(packed.bytes.capacity() <= GROWTH, "{}", packed.bytes.capacity());
    }

    #[test]
    fn ten_minutes_of_small_changes_fit_into_a_kilobyte() {
        let mut packed = Packed::default();
        for second in 0..600 {
            packed.push(Point { at: 1_800_000_000_000 + second * 1_000, value: second * 7 % 13 });
        }
        assert!(packed.bytes.capacity() <= 1024, "{}", packed.bytes.capacity());
    }
}
