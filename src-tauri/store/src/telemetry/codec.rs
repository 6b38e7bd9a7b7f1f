//! Columns of whole numbers as bytes: several codecs, of which the smallest result is kept.
//!
//! A column is `codec byte, length, payload`; lengths and varints are LEB128. Decoding never
//! panics and never allocates more than its caller allows, whatever the bytes are.

/// Little-endian 64-bit integers.
const RAW: u8 = 0;
/// All values are the one that follows.
const CONSTANT: u8 = 1;
/// The first value, then the differences, each as a zigzag varint.
const DELTA_VARINT: u8 = 2;
/// Bit-packed zigzag values; `PACKED + n` packs the n-th differences, n up to [`ORDER_MAX`].
const PACKED: u8 = 3;
/// The highest order of differences that is packed.
const ORDER_MAX: u8 = 2;
/// Values that share one bit width.
const BLOCK: usize = 64;

/// Bytes that no encoder wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("decode a column: its bytes are damaged")]
pub(super) struct Damaged;

/// Appends a column to `out`, in whichever codec is smallest.
pub(super) fn encode(values: &[i64], out: &mut Vec<u8>) {
    let start = out.len();
    put_header(RAW, values.len(), out);
    let Some((first, rest)) = values.split_first() else {
        return;
    };
    if rest.iter().all(|value| value == first) {
        out.truncate(start);
        put_header(CONSTANT, values.len(), out);
        put_varint(zigzag(*first), out);
        return;
    }
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    let mut attempt = Vec::new();
    for codec in DELTA_VARINT..=PACKED + ORDER_MAX {
        attempt.clear();
        put_header(codec, values.len(), &mut attempt);
        match codec {
            DELTA_VARINT => put_deltas(values, &mut attempt),
            _ => put_packed(values, codec - PACKED, &mut attempt),
        }
        if attempt.len() < out.len() - start {
            out.truncate(start);
            out.extend_from_slice(&attempt);
        }
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
        PACKED.. if codec - PACKED <= ORDER_MAX => take_packed(input, len, codec - PACKED),
        _ => Err(Damaged),
    }
}

fn put_header(codec: u8, len: usize, out: &mut Vec<u8>) {
    out.push(codec);
    put_varint(len as u64, out);
}

fn take<'a>(input: &mut &'a [u8], len: usize) -> Result<&'a [u8], Damaged> {
    let (taken, rest) = input.split_at_checked(len).ok_or(Damaged)?;
    *input = rest;
    Ok(taken)
}

/// Small numbers of either sign as small numbers without one (Protocol Buffers, "sint64").
pub(super) fn zigzag(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}

pub(super) fn unzigzag(value: u64) -> i64 {
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

/// Replaces values by their differences, in place, `order` times; the first values stay.
fn difference(values: &mut [i64], order: u8) {
    for done in 0..usize::from(order) {
        for at in (done + 1..values.len()).rev() {
            values[at] = values[at].wrapping_sub(values[at - 1]);
        }
    }
}

fn accumulate(values: &mut [i64], order: u8) {
    for done in (0..usize::from(order)).rev() {
        for at in done + 1..values.len() {
            values[at] = values[at].wrapping_add(values[at - 1]);
        }
    }
}

fn put_packed(values: &[i64], order: u8, out: &mut Vec<u8>) {
    let mut residuals = values.to_vec();
    difference(&mut residuals, order);
    let (heads, rest) = residuals.split_at(usize::from(order).min(values.len()));
    for head in heads {
        put_varint(zigzag(*head), out);
    }
    for block in rest.chunks(BLOCK) {
        let all = block.iter().fold(0, |all, value| all | zigzag(*value));
        let width = 64 - all.leading_zeros();
        out.push(width as u8);
        let (mut buffer, mut filled) = (0_u128, 0);
        for value in block {
            buffer |= u128::from(zigzag(*value)) << filled;
            filled += width;
            while filled >= 8 {
                out.push((buffer & 0xff) as u8);
                buffer >>= 8;
                filled -= 8;
            }
        }
        if filled > 0 {
            out.push((buffer & 0xff) as u8);
        }
    }
}

fn take_packed(input: &mut &[u8], len: usize, order: u8) -> Result<Vec<i64>, Damaged> {
    // Every block costs at least its width, so that the bytes bound the allocation.
    let heads = usize::from(order).min(len);
    if (len - heads).div_ceil(BLOCK) > input.len() {
        return Err(Damaged);
    }
    let mut values = Vec::with_capacity(len);
    for _ in 0..heads {
        values.push(unzigzag(take_varint(input)?));
    }
    while values.len() < len {
        let count = BLOCK.min(len - values.len());
        take_block(input, count, &mut values)?;
    }
    accumulate(&mut values, order);
    Ok(values)
}

fn take_block(input: &mut &[u8], count: usize, values: &mut Vec<i64>) -> Result<(), Damaged> {
    let width = usize::from(take(input, 1)?[0]);
    if width > 64 {
        return Err(Damaged);
    }
    let mut bytes = take(input, (width * count).div_ceil(8))?.iter();
    let mask = (1_u128 << width) - 1;
    let (mut buffer, mut filled) = (0_u128, 0);
    for _ in 0..count {
        while filled < width {
            buffer |= u128::from(*bytes.next().ok_or(Damaged)?) << filled;
            filled += 8;
        }
        values.push(unzigzag((buffer & mask) as u64));
        buffer >>= width;
        filled -= width;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(values: &[i64]) -> (u8, usize) {
        let mut bytes = Vec::new();
        encode(values, &mut bytes);
        let mut input = bytes.as_slice();
        assert_eq!(decode(&mut input, values.len()).as_deref(), Ok(values));
        assert!(input.is_empty(), "{} bytes left over", input.len());
        (bytes[0], bytes.len())
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
            ("a steady step", on_grid, PACKED + 2, 20),
            ("noise of 64 bits", wild, RAW, 4803),
            ("small numbers", (0..600).map(|at| at * at % 7 % 2).collect(), PACKED, 320),
            ("two values", vec![5, 6], DELTA_VARINT, 4),
        ] {
            let (chosen, len) = round_trip(&values);
            assert_eq!(chosen, codec, "{name}");
            assert!(len <= at_most, "{name}: {len} bytes");
        }
        assert!(round_trip(&rare).1 < 700);
    }

    #[test]
    fn a_column_longer_than_allowed_is_refused() {
        let mut bytes = Vec::new();
        encode(&[4; 600], &mut bytes);
        assert_eq!(decode(&mut bytes.as_slice(), 599), Err(Damaged));
    }

    proptest! {
        #[test]
        fn any_column_comes_back(values in prop::collection::vec(any::<i64>(), 0..300)) {
            round_trip(&values);
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
            encode(&values, &mut bytes);
            bytes.pop();
            prop_assert_eq!(decode(&mut bytes.as_slice(), 100), Err(Damaged));
        }
    }
}
