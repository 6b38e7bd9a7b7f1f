//! What the blobs hold: a chunk's samples, a chunk's minutes, and a row of the journal.
//!
//! Decoding judges every byte: a damaged blob is an error, never a panic and never a guess.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::codec::{self, Damaged};
use super::sums::{Point, Sums};

/// The most samples a blob may claim to hold.
const CHUNK_MAX: usize = 4096;
/// Samples in one row of the journal, beyond which another row is begun.
pub(super) const JOURNAL_ROW_SAMPLES: usize = 1 << 16;
/// A row may exceed it by the last series.
const JOURNAL_MAX: usize = JOURNAL_ROW_SAMPLES + CHUNK_MAX;
/// The first byte of a journal row.
const JOURNAL_FORMAT: u8 = 1;
/// How much of the SHA-256 ends a journal row.
const CHECKSUM_LEN: usize = 8;

/// Samples of one series in a row of the journal, in the order they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) series: i64,
    pub(super) points: Vec<Point>,
}

/// A chunk's samples, sorted by time, as two columns.
pub(super) fn encode_chunk(points: &[Point], window_start: i64) -> Vec<u8> {
    let mut out = Vec::with_capacity(points.len() + 16);
    let offsets: Vec<i64> =
        points.iter().map(|point| point.at.wrapping_sub(window_start)).collect();
    codec::encode(&offsets, &mut out);
    let values: Vec<i64> = points.iter().map(|point| point.value).collect();
    codec::encode(&values, &mut out);
    out
}

/// Reads a chunk's samples back.
pub(super) fn decode_chunk(mut bytes: &[u8], window_start: i64) -> Result<Vec<Point>, Damaged> {
    let offsets = codec::decode(&mut bytes, CHUNK_MAX)?;
    let values = codec::decode(&mut bytes, CHUNK_MAX)?;
    if offsets.len() != values.len() || !bytes.is_empty() {
        return Err(Damaged);
    }
    let points = offsets.into_iter().zip(values);
    Ok(points
        .map(|(offset, value)| Point { at: window_start.wrapping_add(offset), value })
        .collect())
}

/// What one column says of a minute.
type MinuteColumn = fn(&(i64, Sums)) -> i64;

/// A chunk's minutes as columns; all but the minute itself relative to the minimum.
pub(super) fn encode_minutes(minutes: &[(i64, Sums)]) -> Vec<u8> {
    let columns: [MinuteColumn; 7] = [
        |(minute, _)| *minute,
        |(_, sums)| sums.min,
        |(_, sums)| sums.max.wrapping_sub(sums.min),
        |(_, sums)| sums.last.value.wrapping_sub(sums.min),
        |(minute, sums)| sums.last.at.wrapping_sub(minute.wrapping_mul(super::sums::MINUTE_MS)),
        |(_, sums)| sums.count,
        // A sum of whole numbers: 600 values below 2^53 fit.
        |(_, sums)| (sums.sum as i64).wrapping_sub(sums.min.wrapping_mul(sums.count)),
    ];
    let mut out = Vec::new();
    for column in columns {
        let values: Vec<i64> = minutes.iter().map(column).collect();
        codec::encode(&values, &mut out);
    }
    out
}

/// Reads a chunk's minutes back.
pub(super) fn decode_minutes(mut bytes: &[u8]) -> Result<Vec<(i64, Sums)>, Damaged> {
    let mut columns: [Vec<i64>; 7] = Default::default();
    for column in &mut columns {
        *column = codec::decode(&mut bytes, CHUNK_MAX)?;
    }
    let [minute, min, max, last, last_at, count, sum] = columns;
    let len = minute.len();
    let others = [&min, &max, &last, &last_at, &count, &sum];
    if others.iter().any(|column| column.len() != len) || count.iter().any(|count| *count < 1) {
        return Err(Damaged);
    }
    let row = |at: usize| {
        let sums = Sums {
            min: min[at],
            max: min[at].wrapping_add(max[at]),
            sum: sum[at].wrapping_add(min[at].wrapping_mul(count[at])) as f64,
            count: count[at],
            last: Point {
                at: minute[at].wrapping_mul(super::sums::MINUTE_MS).wrapping_add(last_at[at]),
                value: min[at].wrapping_add(last[at]),
            },
        };
        (minute[at], sums)
    };
    Ok((0..len).map(row).collect())
}

/// A row of the journal: all series together, column by column, and a checksum.
///
/// Series mostly share the moments they were measured at, so moments are listed once.
pub(super) fn encode_journal(groups: &[Group]) -> Vec<u8> {
    let all = || groups.iter().flat_map(|group| &group.points);
    let moments: BTreeSet<i64> = all().map(|point| point.at).collect();
    let moments: Vec<i64> = moments.into_iter().collect();
    let mut out = vec![JOURNAL_FORMAT];
    codec::encode(&moments, &mut out);
    let series: Vec<i64> = groups.iter().map(|group| group.series).collect();
    codec::encode(&series, &mut out);
    let counts: Vec<i64> = groups.iter().map(|group| group.points.len() as i64).collect();
    codec::encode(&counts, &mut out);
    let index_of = |point: &Point| moments.partition_point(|moment| *moment < point.at) as i64;
    let indices: Vec<i64> = all().map(index_of).collect();
    codec::encode(&indices, &mut out);
    let firsts = groups.iter().filter_map(|group| group.points.first());
    let firsts: Vec<i64> = firsts.map(|point| point.value).collect();
    codec::encode(&firsts, &mut out);
    let steps: Vec<i64> = groups
        .iter()
        .flat_map(|group| group.points.windows(2))
        .map(|pair| pair[1].value.wrapping_sub(pair[0].value))
        .collect();
    codec::encode(&steps, &mut out);
    let checksum = Sha256::digest(&out);
    out.extend_from_slice(&checksum[..CHECKSUM_LEN]);
    out
}

/// Reads a row of the journal back, if its checksum is right.
pub(super) fn decode_journal(bytes: &[u8]) -> Result<Vec<Group>, Damaged> {
    let at = bytes.len().checked_sub(CHECKSUM_LEN).ok_or(Damaged)?;
    let (body, checksum) = bytes.split_at(at);
    if Sha256::digest(body)[..CHECKSUM_LEN] != *checksum {
        return Err(Damaged);
    }
    decode_journal_body(body)
}

fn decode_journal_body(body: &[u8]) -> Result<Vec<Group>, Damaged> {
    let (&format, mut body) = body.split_first().ok_or(Damaged)?;
    if format != JOURNAL_FORMAT {
        return Err(Damaged);
    }
    let mut column = || codec::decode(&mut body, JOURNAL_MAX);
    let (moments, series, counts) = (column()?, column()?, column()?);
    let (indices, firsts, steps) = (column()?, column()?, column()?);
    let steps_len = indices.len().checked_sub(series.len()).ok_or(Damaged)?;
    if counts.len() != series.len() || firsts.len() != series.len() || steps.len() != steps_len {
        return Err(Damaged);
    }
    let (mut indices, mut steps) = (indices.into_iter(), steps.into_iter());
    let mut groups = Vec::with_capacity(series.len());
    for ((series, count), first) in series.into_iter().zip(counts).zip(firsts) {
        let mut points = Vec::new();
        let mut value = first;
        for nth in 0..count.max(0) {
            let index = usize::try_from(indices.next().ok_or(Damaged)?).map_err(|_| Damaged)?;
            let at = *moments.get(index).ok_or(Damaged)?;
            if nth > 0 {
                value = value.wrapping_add(steps.next().ok_or(Damaged)?);
            }
            points.push(Point { at, value });
        }
        groups.push(Group { series, points });
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::super::sums::by_minute;
    use super::*;
    use proptest::prelude::*;

    fn points() -> impl Strategy<Value = Vec<Point>> {
        let point = (0_i64..600_000, -(1_i64 << 53)..(1 << 53));
        prop::collection::vec(point, 1..200).prop_map(|pairs| {
            let mut points: Vec<Point> = pairs
                .into_iter()
                .map(|(at, value)| Point { at: at + 1_800_000_000_000, value })
                .collect();
            points.sort_by_key(|point| point.at);
            points
        })
    }

    proptest! {
        #[test]
        fn a_chunk_comes_back(points in points()) {
            let blob = encode_chunk(&points, 1_800_000_000_000);
            prop_assert_eq!(decode_chunk(&blob, 1_800_000_000_000), Ok(points));
        }

        #[test]
        fn minutes_come_back(points in points()) {
            let minutes = by_minute(&points);
            prop_assert_eq!(decode_minutes(&encode_minutes(&minutes)), Ok(minutes));
        }

        #[test]
        fn a_journal_row_comes_back_and_a_flipped_bit_is_noticed(
            series in prop::collection::btree_map(0_i64..1000, points(), 0..8),
            at in any::<prop::sample::Index>(),
            bit in 0..8_u8,
        ) {
            let groups: Vec<Group> = series
                .into_iter()
                .map(|(series, points)| Group { series, points })
                .collect();
            let mut blob = encode_journal(&groups);
            prop_assert_eq!(decode_journal(&blob), Ok(groups));
            let at = at.index(blob.len());
            blob[at] ^= 1 << bit;
            prop_assert_eq!(decode_journal(&blob), Err(Damaged));
        }

        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode_chunk(&bytes, 0);
            let _ = decode_minutes(&bytes);
            let _ = decode_journal(&bytes);
            bytes.insert(0, JOURNAL_FORMAT);
            let _ = decode_journal_body(&bytes);
        }
    }
}
