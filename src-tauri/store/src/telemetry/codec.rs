//! Columns of whole numbers as bytes: several codecs, of which the smallest result is kept.
//!
//! A column is `codec byte, length, payload`; lengths and varints are LEB128. Decoding never
//! panics and never allocates more than its caller allows, whatever the bytes are. What is decoded
//! was found whole by its checksum first ([`super::blob`]); `pco` is given nothing else.

use pco::wrapped::{FileCompressor, FileDecompressor};
use pco::{ChunkConfig, DeltaSpec, ModeSpec};

/// Little-endian 64-bit integers: floating-point numbers as they are, and noise.
const RAW: u8 = 0;
/// All values are the one that follows.
const CONSTANT: u8 = 1;
/// The first value, then the differences, each as a zigzag varint.
const DELTA_VARINT: u8 = 2;
/// Differences, each with the number of times it is repeated: states, and moments on a grid.
const RUNS: u8 = 3;
/// Pco's own format, without a file around it.
const PCO: u8 = 4;

/// Below it, pco's tables cost more than they save.
const PCO_MIN: usize = 24;
/// How hard pco tries for what is kept, and for the journal, which is written once and deleted.
const PCO_LEVEL_KEPT: usize = 6;
const PCO_LEVEL_BRIEF: usize = 2;

/// Bytes that no encoder wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("decode a column: its bytes are damaged")]
pub(super) struct Damaged;

/// How much time an encoder may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// For what stays.
    Kept,
    /// For what is deleted within minutes.
    Brief,
}

/// Appends a column to `out`, in whichever codec is smallest.
pub(super) fn encode(values: &[i64], effort: Effort, out: &mut Vec<u8>) {
    let Some((first, rest)) = values.split_first() else {
        put_header(RAW, 0, out);
        return;
    };
    if rest.iter().all(|value| value == first) {
        put_header(CONSTANT, values.len(), out);
        put_varint(zigzag(*first), out);
        return;
    }
    let sizes = Sizes::of(values);
    let (codec, size) = [(RUNS, sizes.runs), (DELTA_VARINT, sizes.varint), (RAW, sizes.raw)]
        .into_iter()
        .min_by_key(|(_, size)| *size)
        .unwrap_or((RAW, sizes.raw));
    // What takes a bit per value or less is not worth a try.
    if values.len() >= PCO_MIN && size > values.len() / 8 {
        let start = out.len();
        put_header(PCO, values.len(), out);
        let head = out.len();
        if put_pco(values, effort, out).is_some() && out.len() - head < size {
            return;
        }
        out.truncate(start);
    }
    put_header(codec, values.len(), out);
    match codec {
        RUNS => put_runs(values, out),
        DELTA_VARINT => put_deltas(values, out),
        _ => out.extend(values.iter().flat_map(|value| value.to_le_bytes())),
    }
}

/// Takes a column of at most `max` values off the front of `input`.
///
/// # Errors
/// When the bytes are damaged, or claim more than `max` values.
pub(super) fn decode(input: &mut &[u8], max: usize) -> Result<Vec<i64>, Damaged> {
    let codec = take(input, 1)?[0];
    let len = usize::try_from(take_varint(input)?).map_err(|_| Damaged)?;
    if len > max {
        return Err(Damaged);
    }
    match codec {
        RAW => take_raw(input, len),
        CONSTANT => Ok(vec![unzigzag(take_varint(input)?); len]),
        DELTA_VARINT => take_deltas(input, len),
        RUNS => take_runs(input, len),
        PCO => take_pco(input, len),
        _ => Err(Damaged),
    }
}

/// What the cheap codecs would take, counted without writing a byte.
struct Sizes {
    raw: usize,
    varint: usize,
    runs: usize,
}

impl Sizes {
    fn of(values: &[i64]) -> Self {
        let (mut varint, mut runs) = (0, 0);
        let (mut before, mut step, mut repeats) = (0_i64, 0_i64, 0_u64);
        for value in values {
            let next = value.wrapping_sub(before);
            before = *value;
            varint += varint_len(zigzag(next));
            if repeats > 0 && next == step {
                repeats += 1;
                continue;
            }
            if repeats > 0 {
                runs += varint_len(zigzag(step)) + varint_len(repeats);
            }
            (step, repeats) = (next, 1);
        }
        runs += varint_len(zigzag(step)) + varint_len(repeats);
        Self { raw: values.len() * 8, varint, runs }
    }
}

const fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

fn put_header(codec: u8, len: usize, out: &mut Vec<u8>) {
    out.push(codec);
    put_varint(len as u64, out);
}

pub(super) fn take<'a>(input: &mut &'a [u8], len: usize) -> Result<&'a [u8], Damaged> {
    let (taken, rest) = input.split_at_checked(len).ok_or(Damaged)?;
    *input = rest;
    Ok(taken)
}

/// Small numbers of either sign as small numbers without one (Protocol Buffers, "sint64").
pub(super) const fn zigzag(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}

pub(super) const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

pub(super) fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn take_varint(input: &mut &[u8]) -> Result<u64, Damaged> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(input, 1)?[0];
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return Err(Damaged);
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Damaged)
}

fn take_raw(input: &mut &[u8], len: usize) -> Result<Vec<i64>, Damaged> {
    let bytes = take(input, len.checked_mul(8).ok_or(Damaged)?)?;
    let words = bytes.as_chunks::<8>().0;
    Ok(words.iter().map(|word| i64::from_le_bytes(*word)).collect())
}

fn put_deltas(values: &[i64], out: &mut Vec<u8>) {
    let mut before = 0_i64;
    for value in values {
        put_varint(zigzag(value.wrapping_sub(before)), out);
        before = *value;
    }
}

fn take_deltas(input: &mut &[u8], len: usize) -> Result<Vec<i64>, Damaged> {
    if len > input.len() {
        return Err(Damaged);
    }
    let mut values = Vec::with_capacity(len);
    let mut value = 0_i64;
    for _ in 0..len {
        value = value.wrapping_add(unzigzag(take_varint(input)?));
        values.push(value);
    }
    Ok(values)
}

fn put_runs(values: &[i64], out: &mut Vec<u8>) {
    let mut before = 0_i64;
    let steps = values.iter().map(|value| {
        let step = value.wrapping_sub(before);
        before = *value;
        step
    });
    let steps: Vec<i64> = steps.collect();
    for run in steps.chunk_by(|one, other| one == other) {
        put_varint(zigzag(run[0]), out);
        put_varint(run.len() as u64, out);
    }
}

fn take_runs(input: &mut &[u8], len: usize) -> Result<Vec<i64>, Damaged> {
    let mut values = Vec::with_capacity(len);
    let mut value = 0_i64;
    while values.len() < len {
        let step = unzigzag(take_varint(input)?);
        let repeats = usize::try_from(take_varint(input)?).map_err(|_| Damaged)?;
        if repeats == 0 || repeats > len - values.len() {
            return Err(Damaged);
        }
        for _ in 0..repeats {
            value = value.wrapping_add(step);
            values.push(value);
        }
    }
    Ok(values)
}

/// Appends the length of pco's bytes, and those; `None` where pco does not want the numbers.
fn put_pco(values: &[i64], effort: Effort, out: &mut Vec<u8>) -> Option<()> {
    let level = match effort {
        Effort::Kept => PCO_LEVEL_KEPT,
        Effort::Brief => PCO_LEVEL_BRIEF,
    };
    let config = ChunkConfig::default()
        .with_compression_level(level)
        .with_mode_spec(ModeSpec::Classic)
        .with_delta_spec(DeltaSpec::Auto);
    let files = FileCompressor::default();
    let mut bytes = Vec::with_capacity(values.len());
    files.write_header(&mut bytes).ok()?;
    let mut chunk = files.chunk_compressor::<i64>(values, &config).ok()?;
    chunk.write_meta(&mut bytes).ok()?;
    chunk.write_page(0, &mut bytes).ok()?;
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(&bytes);
    Some(())
}

fn take_pco(input: &mut &[u8], len: usize) -> Result<Vec<i64>, Damaged> {
    let size = usize::try_from(take_varint(input)?).map_err(|_| Damaged)?;
    let bytes = take(input, size)?;
    let (files, rest) = FileDecompressor::new(bytes).map_err(|_| Damaged)?;
    let (mut chunk, rest) = files.chunk_decompressor::<i64, _>(rest).map_err(|_| Damaged)?;
    let mut page = chunk.page_decompressor(rest, len).map_err(|_| Damaged)?;
    let mut values = vec![0; len];
    let progress = page.read(&mut values).map_err(|_| Damaged)?;
    if progress.n_processed == len { Ok(values) } else { Err(Damaged) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(values: &[i64]) -> (u8, usize) {
        let mut found = (0, usize::MAX);
        for effort in [Effort::Brief, Effort::Kept] {
            let mut bytes = Vec::new();
            encode(values, effort, &mut bytes);
            let mut input = bytes.as_slice();
            assert_eq!(decode(&mut input, values.len()).as_deref(), Ok(values));
            assert!(input.is_empty(), "{} bytes left over", input.len());
            found = (bytes[0], bytes.len());
        }
        found
    }

    /// Each codec by itself, whichever is the smallest for the column.
    fn each_codec(values: &[i64]) {
        type Put = fn(&[i64], &mut Vec<u8>);
        type Take = fn(&mut &[u8], usize) -> Result<Vec<i64>, Damaged>;
        let raw: Put = |values, out| out.extend(values.iter().flat_map(|it| it.to_le_bytes()));
        let pco: Put = |values, out| {
            put_pco(values, Effort::Kept, out).expect("pco takes any column");
        };
        let codecs: [(Put, Take); 4] =
            [(raw, take_raw), (put_deltas, take_deltas), (put_runs, take_runs), (pco, take_pco)];
        for (at, (put, take)) in codecs.into_iter().enumerate() {
            if values.is_empty() && at == 3 {
                continue;
            }
            let mut bytes = Vec::new();
            put(values, &mut bytes);
            let mut input = bytes.as_slice();
            assert_eq!(take(&mut input, values.len()).as_deref(), Ok(values), "codec {at}");
            assert!(input.is_empty());
        }
    }

    #[test]
    fn the_smallest_codec_is_chosen() {
        let on_grid: Vec<i64> = (0..600).map(|second| second * 1000).collect();
        let wild: Vec<i64> = (0..600_i64)
            .map(|at| (at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64.cast_signed()))
            .map(|at| at.wrapping_mul(at ^ (at >> 29)).wrapping_mul(at))
            .collect();
        let mut rare = vec![0; 600];
        rare[300] = 1 << 40;
        for (name, values, codec, at_most) in [
            ("empty", vec![], RAW, 2),
            ("constant", vec![-7; 600], CONSTANT, 4),
            ("a steady step", on_grid, RUNS, 10),
            ("noise of 64 bits", wild, RAW, 4803),
            ("small numbers", (0..600).map(|at| at * at % 7 % 5).collect(), PCO, 320),
            ("two values", vec![5, 6], DELTA_VARINT, 4),
            ("one that is high once", rare, RUNS, 30),
        ] {
            let (chosen, len) = round_trip(&values);
            assert!(len <= at_most, "{name}: {len} bytes by codec {chosen}");
            assert_eq!(chosen, codec, "{name}");
        }
    }

    #[test]
    fn extremes_come_back_from_every_codec() {
        let bits = |value: f64| value.to_bits().cast_signed();
        let nan_with_payload = 0x7ff8_dead_beef_0001_u64.cast_signed();
        for values in [
            vec![],
            vec![0],
            vec![i64::MIN],
            vec![i64::MAX, i64::MIN, 0, -1, i64::MIN, i64::MAX],
            vec![bits(f64::NAN), nan_with_payload, bits(f64::INFINITY), bits(f64::NEG_INFINITY)],
        ] {
            round_trip(&values);
            each_codec(&values);
            let many = values.repeat(200);
            round_trip(&many);
            each_codec(&many);
        }
    }

    #[test]
    fn a_column_longer_than_allowed_is_refused() {
        let mut bytes = Vec::new();
        encode(&[4; 600], Effort::Kept, &mut bytes);
        assert_eq!(decode(&mut bytes.as_slice(), 599), Err(Damaged));
    }

    proptest! {
        #[test]
        fn any_column_comes_back(values in prop::collection::vec(any::<i64>(), 0..300)) {
            round_trip(&values);
            each_codec(&values);
        }

        #[test]
        fn a_column_of_small_steps_comes_back(
            start in any::<i64>(),
            steps in prop::collection::vec(-40_i64..40, 0..300),
        ) {
            let values: Vec<i64> = steps
                .iter()
                .scan(start, |value, step| {
                    *value = value.wrapping_add(*step);
                    Some(*value)
                })
                .collect();
            round_trip(&values);
            each_codec(&values);
        }

        #[test]
        fn arbitrary_bytes_never_panic_nor_grow(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            codec in 0..8_u8,
            max in 0_usize..5000,
        ) {
            let mut input = bytes.as_slice();
            if let Ok(values) = decode(&mut input, max) {
                prop_assert!(values.len() <= max);
            }
            let mut bytes = bytes;
            bytes.insert(0, codec);
            if let Ok(values) = decode(&mut bytes.as_slice(), max) {
                prop_assert!(values.len() <= max);
            }
        }

        #[test]
        fn a_cut_column_is_damaged(values in prop::collection::vec(any::<i64>(), 1..100)) {
            let mut bytes = Vec::new();
            encode(&values, Effort::Kept, &mut bytes);
            bytes.pop();
            prop_assert_eq!(decode(&mut bytes.as_slice(), 100), Err(Damaged));
        }
    }
}
