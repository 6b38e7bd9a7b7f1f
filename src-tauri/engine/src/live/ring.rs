//! The last frames about each topic, within one bound for all of them.
//!
//! Where there is no more room, the topic that takes most of it gives way first: what is told a
//! hundred times a second about one topic does not push out what was told about another.

use std::collections::{HashMap, VecDeque};

use super::frame::SentFrame;
use super::topic::LiveTopic;

/// The last frames about one topic.
#[derive(Debug, Default)]
struct Ring {
    /// In the order of their numbers.
    frames: VecDeque<(u64, SentFrame)>,
    bytes: usize,
    /// Up to this number frames are gone, or were never made.
    gone: u64,
}

/// The last frames about every topic.
#[derive(Debug, Default)]
pub(super) struct Rings {
    of: HashMap<LiveTopic, Ring>,
    frames: usize,
    bytes: usize,
}

impl Rings {
    /// Adds a frame, the number of which is higher than that of every other one.
    pub(super) fn push(&mut self, topic: LiveTopic, seq: u64, frame: SentFrame) {
        let ring = self.of.entry(topic).or_default();
        let bytes = frame.json.len();
        ring.bytes += bytes;
        ring.frames.push_back((seq, frame));
        self.bytes += bytes;
        self.frames += 1;
    }

    /// Gives up the oldest frames of those topics that take most, until what is left fits.
    pub(super) fn trim(&mut self, frames_max: usize, bytes_max: usize) {
        while self.frames > frames_max || self.bytes > bytes_max {
            let by_bytes = self.bytes > bytes_max;
            let takes = |ring: &Ring| if by_bytes { ring.bytes } else { ring.frames.len() };
            let Some(ring) = self.of.values_mut().max_by_key(|ring| takes(ring)) else {
                return;
            };
            let Some((seq, old)) = ring.frames.pop_front() else {
                return;
            };
            ring.gone = seq;
            ring.bytes -= old.json.len();
            self.bytes -= old.json.len();
            self.frames -= 1;
        }
    }

    /// Begins a topic anew: nothing up to this number can be told any more.
    pub(super) fn begin(&mut self, topic: LiveTopic, seq: u64) {
        self.forget(topic);
        self.of.insert(topic, Ring { gone: seq, ..Ring::default() });
    }

    /// Gives up everything about a topic.
    pub(super) fn forget(&mut self, topic: LiveTopic) {
        if let Some(ring) = self.of.remove(&topic) {
            self.bytes -= ring.bytes;
            self.frames -= ring.frames.len();
        }
    }

    /// Up to which number frames about a topic are gone.
    pub(super) fn gone(&self, topic: LiveTopic) -> u64 {
        self.of.get(&topic).map_or(0, |ring| ring.gone)
    }

    /// How many numbers a listener has missed, where frames it should have got are gone.
    pub(super) fn lost(&self, seen: u64, topics: &HashMap<LiveTopic, u64>) -> Option<u64> {
        let missed = topics.iter().filter_map(|(topic, after)| {
            let gone = self.gone(*topic);
            (gone > seen.max(*after)).then(|| gone - seen)
        });
        missed.max()
    }

    /// The next frame after `seen` about topics of which a listener has everything up to a number.
    pub(super) fn next(&self, seen: u64, topics: &HashMap<LiveTopic, u64>) -> Option<&SentFrame> {
        let firsts = topics.iter().filter_map(|(topic, after)| {
            let ring = self.of.get(topic)?;
            let from = seen.max(*after);
            ring.frames.get(ring.frames.partition_point(|(seq, _)| *seq <= from))
        });
        firsts.min_by_key(|(seq, _)| *seq).map(|(_, frame)| frame)
    }
}

#[cfg(test)]
impl Rings {
    pub(super) fn topics(&self) -> usize {
        self.of.len()
    }

    pub(super) const fn frames(&self) -> usize {
        self.frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(seq: u64, bytes: usize) -> SentFrame {
        SentFrame { seq: Some(seq), topic: None, whole: true, json: "x".repeat(bytes).into() }
    }

    #[test]
    fn a_topic_that_is_told_much_about_does_not_push_out_a_quiet_one() {
        for (frames_max, bytes_max) in [(10, 1 << 20), (1 << 20, 1_000)] {
            let mut rings = Rings::default();
            rings.push(LiveTopic::Inbox, 1, frame(1, 100));
            for seq in 2..200 {
                rings.push(LiveTopic::Events, seq, frame(seq, 100));
                rings.trim(frames_max, bytes_max);
            }
            assert!(rings.frames <= frames_max && rings.bytes <= bytes_max);
            let quiet = HashMap::from([(LiveTopic::Inbox, 0)]);
            assert_eq!(rings.lost(0, &quiet), None);
            assert_eq!(rings.next(0, &quiet).and_then(|it| it.seq), Some(1));
            let loud = HashMap::from([(LiveTopic::Events, 0)]);
            assert_eq!(rings.lost(0, &loud), Some(rings.gone(LiveTopic::Events)));
            rings.forget(LiveTopic::Events);
            rings.forget(LiveTopic::Inbox);
            assert_eq!((rings.frames, rings.bytes), (0, 0));
        }
    }

    #[test]
    fn frames_of_several_topics_come_in_the_order_of_their_numbers() {
        let mut rings = Rings::default();
        let topics = [LiveTopic::Events, LiveTopic::Inbox, LiveTopic::Agents];
        for seq in 1..=30 {
            let topic = topics[usize::try_from(seq * 7 % 3).unwrap()];
            rings.push(topic, seq, frame(seq, 1));
        }
        let all: HashMap<_, _> = topics.into_iter().map(|topic| (topic, 0)).collect();
        let mut seen = 0;
        while let Some(next) = rings.next(seen, &all) {
            assert_eq!(next.seq, Some(seen + 1));
            seen += 1;
        }
        assert_eq!(seen, 30);
    }
}
