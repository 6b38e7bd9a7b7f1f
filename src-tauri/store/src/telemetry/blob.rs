//! What the blobs hold: a chunk's samples, stretches of minutes or hours, and a row of the journal.
//!
//! Each ends with a checksum. Decoding judges every byte: a damaged blob is an error, never a panic
//! and never a guess.

use std::collections::HashMap;

use super::codec::{self, Damaged, Effort};
use super::tally::{Point, Stretches, Tally};

/// The most samples a blob may claim to hold.
pub(super) const CHUNK_MAX: usize = 4096;
/// Samples in one row of the journal, beyond which another row is begun.
pub(super) const JOURNAL_ROW_SAMPLES: usize = 1 << 16;
/// A row may exceed it by the last series.
const JOURNAL_MAX: usize = JOURNAL_ROW_SAMPLES + CHUNK_MAX;
/// The first byte of a journal row.
const JOURNAL_FORMAT: u8 = 2;
/// A CRC-32 ends every blob.
const CHECKSUM_LEN: usize = 4;

fn seal(out: &mut Vec<u8>) {
    out.extend_from_slice(&crc32fast::hash(out).to_le_bytes());
}

/// The bytes before the checksum, if it is right.
fn opened(bytes: &[u8]) -> Result<&[u8], Damaged> {
    let (body, checksum) = bytes.split_last_chunk::<CHECKSUM_LEN>().ok_or(Damaged)?;
    if crc32fast::hash(body).to_le_bytes() == *checksum { Ok(body) } else { Err(Damaged) }
}

/// A chunk's samples, sorted by time, as two columns.
pub(super) fn encode_chunk(points: &[Point], window_start: i64) -> Vec<u8> {
    let mut out = Vec::with_capacity(points.len() + 16);
    let mut column: Vec<i64> =
        points.iter().map(|point| point.at.wrapping_sub(window_start)).collect();
    codec::encode(&column, Effort::Kept, &mut out);
    column.clear();
    column.extend(points.iter().map(|point| point.value));
    codec::encode(&column, Effort::Kept, &mut out);
    seal(&mut out);
    out
}

/// Reads a chunk's samples back, behind those that are there.
pub(super) fn decode_chunk(
    bytes: &[u8],
    window_start: i64,
    points: &mut Vec<Point>,
) -> Result<(), Damaged> {
    let mut bytes = opened(bytes)?;
    let offsets = codec::decode(&mut bytes, CHUNK_MAX)?;
    let values = codec::decode(&mut bytes, CHUNK_MAX)?;
    if offsets.len() != values.len() || !bytes.is_empty() {
        return Err(Damaged);
    }
    let pairs = offsets.into_iter().zip(values);
    points.extend(
        pairs.map(|(offset, value)| Point { at: window_start.wrapping_add(offset), value }),
    );
    Ok(())
}

const COLUMNS: usize = 10;

/// Stretches as columns; values relative to the minimum, moments to the beginning.
pub(super) fn encode_stretches(stretches: &[(i64, Tally)], width_ms: i64) -> Vec<u8> {
    let mut columns: [Vec<i64>; COLUMNS] = Default::default();
    for (number, tally) in stretches {
        let start = number.wrapping_mul(width_ms);
        // Below 2^127 as there are fewer than 2^63 samples below 2^53; the rest is below 2^64 where
        // it matters, and its upper half is a column of its own, mostly of zeros.
        let rest = tally.sum.wrapping_sub(i128::from(tally.min).wrapping_mul(tally.count.into()));
        let row = [
            *number,
            tally.min,
            tally.max.wrapping_sub(tally.min),
            tally.first.value.wrapping_sub(tally.min),
            tally.last.value.wrapping_sub(tally.min),
            tally.first.at.wrapping_sub(start),
            tally.last.at.wrapping_sub(start),
            tally.count,
            rest as i64,
            (rest >> 64) as i64,
        ];
        columns.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
    }
    let mut out = Vec::new();
    for column in &columns {
        codec::encode(column, Effort::Kept, &mut out);
    }
    let anomalies: Vec<i64> = stretches.iter().map(|(_, tally)| tally.anomalies).collect();
    codec::encode(&anomalies, Effort::Kept, &mut out);
    seal(&mut out);
    out
}

/// Reads stretches back.
pub(super) fn decode_stretches(bytes: &[u8], width_ms: i64) -> Result<Stretches, Damaged> {
    let mut bytes = opened(bytes)?;
    let mut columns: [Vec<i64>; COLUMNS] = Default::default();
    for column in &mut columns {
        *column = codec::decode(&mut bytes, CHUNK_MAX)?;
    }
    let anomalies = codec::decode(&mut bytes, CHUNK_MAX)?;
    let len = anomalies.len();
    if columns.iter().any(|column| column.len() != len) || !bytes.is_empty() {
        return Err(Damaged);
    }
    let row = |at: usize| {
        let [number, min, max, first, last, first_at, last_at, count, low, high] =
            columns.each_ref().map(|column| column[at]);
        let start = number.wrapping_mul(width_ms);
        let rest = i128::from(high) << 64 | i128::from(low.cast_unsigned());
        let point = |at: i64, value: i64| Point {
            at: start.wrapping_add(at),
            value: min.wrapping_add(value),
        };
        let tally = Tally {
            first: point(first_at, first),
            min,
            max: min.wrapping_add(max),
            sum: rest.wrapping_add(i128::from(min).wrapping_mul(count.into())),
            count,
            last: point(last_at, last),
            anomalies: anomalies[at],
        };
        (number, tally)
    };
    Ok((0..len).map(row).collect())
}

/// What one row of the journal holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct JournalRow {
    /// Series of which chunks went into the file with this row, each with the first row that holds
    /// anything of it that is not in chunks.
    pub(super) begins: Vec<(i64, i64)>,
    /// Series, each with the number of its samples.
    pub(super) series: Vec<(i64, usize)>,
    /// Their samples one after the other, in the order they came.
    pub(super) points: Vec<Point>,
}

/// A row of the journal: all series together, column by column.
///
/// Series mostly share the moments they were measured at: a list of moments is written once, and
/// which list is whose.
pub(super) fn encode_journal(row: &JournalRow) -> Vec<u8> {
    let mut lists: HashMap<Vec<i64>, i64> = HashMap::new();
    let (mut moments, mut lens) = (Vec::new(), Vec::new());
    let (mut shapes, mut firsts, mut steps) = (Vec::new(), Vec::new(), Vec::new());
    let (mut rest, mut times) = (row.points.as_slice(), Vec::new());
    for (_, count) in &row.series {
        let (points, after) = rest.split_at(*count);
        rest = after;
        times.clear();
        times.extend(points.iter().map(|point| point.at));
        let shape = if let Some(shape) = lists.get(times.as_slice()) {
            *shape
        } else {
            let shape = lists.len() as i64;
            moments.extend_from_slice(&times);
            lens.push(times.len() as i64);
            lists.insert(times.clone(), shape);
            shape
        };
        shapes.push(shape);
        firsts.extend(points.first().map(|point| point.value));
        steps.extend(points.windows(2).map(|pair| pair[1].value.wrapping_sub(pair[0].value)));
    }
    let series: Vec<i64> = row.series.iter().map(|(series, _)| *series).collect();
    let (begun, from): (Vec<i64>, Vec<i64>) = row.begins.iter().copied().unzip();
    let mut out = vec![JOURNAL_FORMAT];
    for column in [&begun, &from, &lens, &moments, &series, &shapes, &firsts, &steps] {
        codec::encode(column, Effort::Brief, &mut out);
    }
    seal(&mut out);
    out
}

/// Reads a row of the journal back, if its checksum is right.
pub(super) fn decode_journal(bytes: &[u8]) -> Result<JournalRow, Damaged> {
    let (&format, mut body) = opened(bytes)?.split_first().ok_or(Damaged)?;
    if format != JOURNAL_FORMAT {
        return Err(Damaged);
    }
    let mut column = || codec::decode(&mut body, JOURNAL_MAX);
    let (begun, from, lens, moments) = (column()?, column()?, column()?, column()?);
    let (series, shapes, firsts, steps) = (column()?, column()?, column()?, column()?);
    if begun.len() != from.len() || series.len() != shapes.len() || series.len() != firsts.len() {
        return Err(Damaged);
    }
    let (mut lists, mut rest) = (Vec::with_capacity(lens.len()), moments.as_slice());
    for len in lens {
        let len = usize::try_from(len).map_err(|_| Damaged)?;
        let (list, after) = rest.split_at_checked(len).ok_or(Damaged)?;
        lists.push(list);
        rest = after;
    }
    let mut row =
        JournalRow { begins: begun.into_iter().zip(from).collect(), ..Default::default() };
    let mut steps = steps.into_iter();
    for ((series, shape), first) in series.into_iter().zip(shapes).zip(firsts) {
        let shape = usize::try_from(shape).map_err(|_| Damaged)?;
        let list = *lists.get(shape).ok_or(Damaged)?;
        let mut value = first;
        for (nth, at) in list.iter().enumerate() {
            if nth > 0 {
                value = value.wrapping_add(steps.next().ok_or(Damaged)?);
            }
            row.points.push(Point { at: *at, value });
        }
        if list.is_empty() || row.points.len() > JOURNAL_MAX {
            return Err(Damaged);
        }
        row.series.push((series, list.len()));
    }
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::super::tally::{HOUR_MS, MINUTE_MS, group, hours_of, tidy};
    use super::*;
    use proptest::prelude::*;

    const START: i64 = 1_800_000_000_000;

    fn points() -> impl Strategy<Value = Vec<Point>> {
        let value = prop_oneof![
            20 => -(1_i64 << 53)..(1 << 53),
            1 => any::<f64>().prop_map(|number| number.to_bits().cast_signed()),
        ];
        prop::collection::vec((0_i64..600_000, value), 1..200).prop_map(|pairs| {
            let points = pairs.into_iter().map(|(at, value)| Point { at: at + START, value });
            let mut points: Vec<Point> = points.collect();
            tidy(&mut points);
            points
        })
    }

    fn row(groups: Vec<(i64, Vec<Point>)>, begins: Vec<(i64, i64)>) -> JournalRow {
        let series = groups.iter().map(|(series, points)| (*series, points.len())).collect();
        let points = groups.into_iter().flat_map(|(_, points)| points).collect();
        JournalRow { begins, series, points }
    }

    #[test]
    fn chunks_of_no_and_of_one_sample_come_back() {
        for points in [vec![], vec![Point { at: i64::MIN, value: i64::MAX }]] {
            let mut found = Vec::new();
            let blob = encode_chunk(&points, START);
            assert_eq!(decode_chunk(&blob, START, &mut found), Ok(()));
            assert_eq!(found, points);
        }
    }

    proptest! {
        #[test]
        fn a_chunk_comes_back_and_a_flipped_bit_is_noticed(
            points in points(),
            at in any::<prop::sample::Index>(),
            bit in 0..8_u8,
        ) {
            let mut blob = encode_chunk(&points, START);
            let mut found = Vec::new();
            prop_assert_eq!(decode_chunk(&blob, START, &mut found), Ok(()));
            prop_assert_eq!(&found, &points);
            let at = at.index(blob.len());
            blob[at] ^= 1 << bit;
            prop_assert_eq!(decode_chunk(&blob, START, &mut found), Err(Damaged));
        }

        #[test]
        fn stretches_come_back(points in points()) {
            let minutes = group(&points, MINUTE_MS);
            let blob = encode_stretches(&minutes, MINUTE_MS);
            prop_assert_eq!(decode_stretches(&blob, MINUTE_MS), Ok(minutes.clone()));
            let hours = hours_of(&minutes);
            let blob = encode_stretches(&hours, HOUR_MS);
            prop_assert_eq!(decode_stretches(&blob, HOUR_MS), Ok(hours));
        }

        #[test]
        fn a_journal_row_comes_back_and_a_flipped_bit_is_noticed(
            groups in prop::collection::btree_map(0_i64..1000, points(), 0..8),
            begins in prop::collection::vec((0_i64..1000, 0_i64..1000), 0..9),
            at in any::<prop::sample::Index>(),
            bit in 0..8_u8,
        ) {
            let row = row(groups.into_iter().collect(), begins);
            let mut blob = encode_journal(&row);
            prop_assert_eq!(decode_journal(&blob), Ok(row));
            let at = at.index(blob.len());
            blob[at] ^= 1 << bit;
            prop_assert_eq!(decode_journal(&blob), Err(Damaged));
        }

        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode_chunk(&bytes, 0, &mut Vec::new());
            let _ = decode_stretches(&bytes, MINUTE_MS);
            let _ = decode_journal(&bytes);
            // With a checksum that is right, so that what is behind it is looked at.
            let mut sealed = bytes.clone();
            seal(&mut sealed);
            let _ = decode_chunk(&sealed, 0, &mut Vec::new());
            let _ = decode_stretches(&sealed, MINUTE_MS);
            bytes.insert(0, JOURNAL_FORMAT);
            seal(&mut bytes);
            let _ = decode_journal(&bytes);
        }
    }
}
