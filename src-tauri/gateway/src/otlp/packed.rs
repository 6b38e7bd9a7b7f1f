//! Compressed bodies: what comes out of them is bounded before and while it comes.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use model::refusal::Code;
use ruzstd::decoding::StreamingDecoder;

use super::Unreadable;
use crate::problem::Problem;

/// The most bytes that come out of a compressed body.
pub(super) const UNPACKED_BYTES_MAX: usize = 20 * 1024 * 1024;
/// The most frames of Zstandard one after the other in one body; clients send one.
const FRAMES_MAX: usize = 64;
/// What a frame of Zstandard begins with.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// Not at all.
    Not,
    /// As gzip does.
    Gzip,
    /// As Zstandard does.
    Zstd,
}

/// How a body is compressed, as its header says.
pub(super) fn packing(headers: &HeaderMap) -> Result<Packing, Problem> {
    let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
    let value = values.next().map(HeaderValue::as_bytes).unwrap_or_default();
    let is = |name: &str| value.eq_ignore_ascii_case(name.as_bytes());
    if values.next().is_none() {
        if value.is_empty() || is("identity") {
            return Ok(Packing::Not);
        }
        if is("gzip") {
            return Ok(Packing::Gzip);
        }
        if is("zstd") {
            return Ok(Packing::Zstd);
        }
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::InvalidInput,
        "the body may be compressed with gzip or zstd, once",
    ))
}

impl Packing {
    /// What a body holds.
    pub(super) fn unpack(self, bytes: Vec<u8>) -> Result<Vec<u8>, Unreadable> {
        match self {
            Self::Not => Ok(bytes),
            Self::Gzip => gzip(&bytes),
            Self::Zstd => zstd(&bytes),
        }
    }
}

fn gzip(packed: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let mut bytes = Vec::new();
    let most = UNPACKED_BYTES_MAX as u64 + 1;
    MultiGzDecoder::new(packed).take(most).read_to_end(&mut bytes).map_err(Unreadable::Packed)?;
    fits(bytes)
}

fn zstd(mut packed: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let mut bytes = Vec::new();
    for _ in 0..FRAMES_MAX {
        if packed.is_empty() {
            return Ok(bytes);
        }
        // So much is kept back until the end of the frame, whatever is asked for.
        if window_of(packed).is_some_and(|window| window > UNPACKED_BYTES_MAX as u64) {
            return Err(Unreadable::Bomb);
        }
        let broken = |why| Unreadable::Packed(std::io::Error::other(why));
        let frame = StreamingDecoder::new(&mut packed).map_err(broken)?;
        let most = (UNPACKED_BYTES_MAX + 1).saturating_sub(bytes.len()) as u64;
        frame.take(most).read_to_end(&mut bytes).map_err(Unreadable::Packed)?;
        bytes = fits(bytes)?;
    }
    if packed.is_empty() { Ok(bytes) } else { Err(Unreadable::TooMuch("64 frames of zstd")) }
}

fn fits(bytes: Vec<u8>) -> Result<Vec<u8>, Unreadable> {
    if bytes.len() > UNPACKED_BYTES_MAX { Err(Unreadable::Bomb) } else { Ok(bytes) }
}

/// How much a frame of Zstandard wants to look back at, in bytes (RFC 8878, 3.1.1.1); nothing where
/// this is none.
fn window_of(frame: &[u8]) -> Option<u64> {
    let rest = frame.strip_prefix(&ZSTD_MAGIC)?;
    let (descriptor, rest) = rest.split_first()?;
    if descriptor & 0x20 == 0 {
        let window = *rest.first()?;
        let base = 1u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    // The whole content is the window.
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let digits = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let size = rest.get(dictionary..dictionary + digits)?;
    let size = size.iter().rev().fold(0u64, |all, byte| all << 8 | u64::from(*byte));
    Some(if digits == 2 { size + 256 } else { size })
}

#[cfg(test)]
impl Packing {
    pub(super) fn pack(self, bytes: &[u8]) -> Vec<u8> {
        use std::io::Write as _;

        use ruzstd::encoding::{CompressionLevel, compress_to_vec};
        match self {
            Self::Not => bytes.to_vec(),
            Self::Gzip => {
                let fast = flate2::Compression::fast();
                let mut packer = flate2::write::GzEncoder::new(Vec::new(), fast);
                packer.write_all(bytes).unwrap();
                packer.finish().unwrap()
            }
            Self::Zstd => compress_to_vec(bytes, CompressionLevel::Fastest),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_becomes_too_large_when_it_is_decompressed_is_refused() {
        for packing in [Packing::Gzip, Packing::Zstd] {
            let bomb = packing.pack(&vec![b' '; UNPACKED_BYTES_MAX + 1]);
            assert!(bomb.len() < 256 * 1024);
            assert!(matches!(packing.unpack(bomb.clone()), Err(Unreadable::Bomb)));
            // One after the other in one body.
            let half = packing.pack(&vec![b' '; UNPACKED_BYTES_MAX / 2 + 1]);
            let two = [half.clone(), half.clone()].concat();
            assert!(matches!(packing.unpack(two), Err(Unreadable::Bomb)));
            assert!(packing.unpack(half).is_ok());
            assert!(packing.unpack(bomb[..bomb.len() / 2].to_vec()).is_err(), "cut off");
            let none = packing.unpack(b"neither of them".to_vec());
            assert!(matches!(none, Err(Unreadable::Packed(_))), "{packing:?}");
        }
    }

    #[test]
    fn a_frame_that_wants_to_look_back_too_far_is_refused_before_it_is_read() {
        // 2 GiB of window, and one of 4 GiB that is the whole content.
        for head in [&[0x00u8, 0xa8][..], &[0xe0, 0, 0, 0, 0, 1, 0, 0, 0]] {
            let frame = [&ZSTD_MAGIC[..], head, &[1, 0, 0]].concat();
            assert!(matches!(Packing::Zstd.unpack(frame), Err(Unreadable::Bomb)), "{head:?}");
        }
        let usual = Packing::Zstd.pack(b"text");
        assert!(window_of(&usual).is_some_and(|window| window <= 8 * 1024 * 1024));
    }

    #[test]
    fn a_body_of_a_great_many_frames_is_refused() {
        let frames = Packing::Zstd.pack(b"x").repeat(FRAMES_MAX + 1);
        assert!(matches!(Packing::Zstd.unpack(frames), Err(Unreadable::TooMuch(_))));
        let frames = Packing::Zstd.pack(b"x").repeat(FRAMES_MAX);
        assert_eq!(Packing::Zstd.unpack(frames).unwrap(), vec![b'x'; FRAMES_MAX]);
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_out_again_and_nothing_else_panics(bytes: Vec<u8>, junk: Vec<u8>) {
            for packing in [Packing::Not, Packing::Gzip, Packing::Zstd] {
                prop_assert_eq!(packing.unpack(packing.pack(&bytes)).unwrap(), bytes.clone());
                let _ = packing.unpack(junk.clone());
                let begins = [&ZSTD_MAGIC[..], &junk].concat();
                let _ = packing.unpack(begins);
            }
        }
    }
}
