//! The samples of an open chunk, packed as they come: a sample a second of something that does not
//! change takes three bytes instead of sixteen. There is an open chunk for every series of every
//! agent, so this is what a large swarm costs in memory.

use super::codec::{Damaged, put_varint, take_varint, unzigzag, zigzag};
use super::sums::Point;

/// Bytes by which the memory grows: doubling would waste a third.
const GROWTH: usize = 256;
/// What one sample takes at most: two varints of 64 bits.
const SAMPLE_MAX: usize = 20;

/// Samples in the order they came, each as its difference from the one before.
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
    offset: usize,
    /// The last sample before it.
    last: Point,
}

impl Default for End {
    fn default() -> Self {
        Self { len: 0, offset: 0, last: Point { at: 0, value: 0 } }
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
        if self.bytes.capacity() - self.bytes.len() < SAMPLE_MAX {
            self.bytes.reserve_exact(GROWTH);
        }
        let before = self.end.last;
        put_varint(zigzag(point.at.wrapping_sub(before.at)), &mut self.bytes);
        put_varint(zigzag(point.value.wrapping_sub(before.value)), &mut self.bytes);
        self.end = End { len: self.end.len + 1, offset: self.bytes.len(), last: point };
    }

    /// All samples.
    pub(super) fn points(&self) -> Vec<Point> {
        self.since(End::default())
    }

    /// The samples behind a place that [`Packed::end`] gave.
    pub(super) fn since(&self, from: End) -> Vec<Point> {
        let mut rest = self.bytes.get(from.offset..).unwrap_or_default();
        let mut points = Vec::with_capacity(self.end.len.saturating_sub(from.len));
        let mut last = from.last;
        while let Ok((at, value)) = take(&mut rest) {
            last = Point { at: last.at.wrapping_add(at), value: last.value.wrapping_add(value) };
            points.push(last);
        }
        points
    }
}

/// Takes the differences of one sample; what was pushed is whole, so an error is the end.
fn take(rest: &mut &[u8]) -> Result<(i64, i64), Damaged> {
    Ok((unzigzag(take_varint(rest)?), unzigzag(take_varint(rest)?)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn points() -> impl Strategy<Value = Vec<Point>> {
        let one = (any::<i64>(), any::<i64>()).prop_map(|(at, value)| Point { at, value });
        prop::collection::vec(one, 0..200)
    }

    proptest! {
        #[test]
        fn what_was_pushed_is_read_back_from_any_place(before in points(), after in points()) {
            let mut packed = Packed::default();
            before.iter().for_each(|point| packed.push(*point));
            let place = packed.end();
            after.iter().for_each(|point| packed.push(*point));
            prop_assert_eq!(packed.len(), before.len() + after.len());
            prop_assert_eq!(packed.since(place), after.clone());
            prop_assert_eq!(packed.points(), [before, after].concat());
            prop_assert_eq!(packed.since(packed.end()), Vec::new());
        }
    }

    #[test]
    fn ten_minutes_of_something_steady_fit_into_two_kilobytes() {
        let mut packed = Packed::default();
        for second in 0..600 {
            packed.push(Point { at: 1_800_000_000_000 + second * 1_000, value: 42 });
        }
        assert!(packed.bytes.capacity() <= 2_304, "{}", packed.bytes.capacity());
    }
}
