//! Which texts of missions are nearly one: the share of word sequences two texts have in common.
//!
//! The measure is the resemblance of Broder, "On the resemblance and containment of documents"
//! (1997): the Jaccard index of the sets of *shingles*, sequences of neighbouring words. A large
//! text keeps only the smallest of its hashes (a bottom-k sketch), and the index is then estimated
//! from the part of both sketches that is complete.
//!
//! One thing is ours: missions made from a template differ in nothing but a number, a path or a
//! name of code. Such words are *marks*; texts in which each has a mark the other lacks are more
//! than their shared words apart, most of all when the marks stand in their titles.

use std::collections::BTreeSet;

use unicode_segmentation::UnicodeSegmentation;

/// From this similarity on two missions are shown to the captain as nearly one.
///
/// By the pairs in `tests/similar.rs`: what people reword, extend or correct stays above 0.65, what
/// is another piece of work of the same kind stays below 0.55.
pub const NEAR: f64 = 0.6;

/// The most shingles of one size that are kept of one text.
pub const SHINGLES_MAX: usize = 4_096;
/// The most marks that are kept of one text.
const MARKS_MAX: usize = 512;
/// How many words a shingle has in a text that is long enough.
const WORDS: usize = 3;
/// Up to so many words a text also keeps smaller shingles.
const SHORT_MAX: usize = 64;
/// What remains of the similarity when the titles name different numbers, paths or names.
const OTHER_MARKS: f64 = 0.5;

/// What of a mission's text is compared: hashes of its shingles and of its marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shingles {
    words: usize,
    /// By size less one; the sizes below [`WORDS`] only in short texts.
    sketches: [Sketch; WORDS],
    title_marks: BTreeSet<u64>,
    marks: BTreeSet<u64>,
}

impl Shingles {
    /// Reads a mission's title and brief. Case, punctuation and white space do not count.
    #[must_use]
    pub fn of(title: &str, brief: &str) -> Self {
        let mut sketches: [Sketch; WORDS] = Default::default();
        let mut window: [u64; WORDS] = [0; WORDS];
        let mut words = 0;
        for word in title.unicode_words().chain(brief.unicode_words()) {
            window.rotate_left(1);
            window[WORDS - 1] = hash_of_word(word);
            words += 1;
            for (less, sketch) in sketches.iter_mut().enumerate() {
                let size = less + 1;
                if words >= size && (size == WORDS || words <= SHORT_MAX) {
                    sketch.take(hash_of_shingle(&window[WORDS - size..]));
                }
            }
        }
        sketches.iter_mut().for_each(Sketch::close);
        let title_marks = marks_of(title);
        let mut marks = marks_of(brief);
        marks.extend(&title_marks);
        Self { words, sketches, title_marks, marks }
    }

    /// The size of shingles a text of so many words is compared by: with longer ones, one changed
    /// word of a short text would leave nothing in common.
    const fn size(words: usize) -> usize {
        match words {
            0..=11 => 1,
            12..=23 => 2,
            _ => WORDS,
        }
    }
}

/// How much of their words two texts have in common, from 0 (nothing) to 1 (everything).
///
/// Exact for texts of up to [`SHINGLES_MAX`] different shingles; beyond that an estimate with a
/// standard error of at most `1 / (2 · √4096)`, below one percentage point. Texts without any word
/// resemble nothing.
#[must_use]
pub fn similarity(a: &Shingles, b: &Shingles) -> f64 {
    let fewer = a.words.min(b.words);
    let long = a.words.max(b.words) > SHORT_MAX;
    let size = if long { WORDS } else { Shingles::size(fewer) };
    let shared = jaccard(&a.sketches[size - 1], &b.sketches[size - 1]);
    shared * agreement(a, b)
}

/// The known texts that are nearly `new`, the nearest first, at most `limit` of them.
#[must_use]
pub fn twins<K>(
    new: &Shingles,
    known: impl Iterator<Item = (K, Shingles)>,
    limit: usize,
) -> Vec<(K, f64)> {
    let mut found: Vec<(K, f64)> = Vec::new();
    for (key, shingles) in known {
        let near = similarity(new, &shingles);
        if near < NEAR {
            continue;
        }
        // Those that came first stay first among equals.
        let at = found.partition_point(|(_, other)| *other >= near);
        if at < limit {
            found.insert(at, (key, near));
            found.truncate(limit);
        }
    }
    found
}

/// The smallest hashes of a text, in ascending order and each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Sketch {
    hashes: Vec<u64>,
    cut: bool,
}

impl Sketch {
    fn take(&mut self, hash: u64) {
        self.hashes.push(hash);
        if self.hashes.len() >= 4 * SHINGLES_MAX {
            self.close();
        }
    }

    fn close(&mut self) {
        self.hashes.sort_unstable();
        self.hashes.dedup();
        self.cut |= self.hashes.len() > SHINGLES_MAX;
        self.hashes.truncate(SHINGLES_MAX);
    }

    /// Up to which hash the sketch lacks nothing.
    fn complete_to(&self) -> u64 {
        match self.hashes.last() {
            Some(last) if self.cut => *last,
            _ => u64::MAX,
        }
    }
}

/// The Jaccard index of the parts of both sketches that are complete.
#[expect(clippy::cast_precision_loss, reason = "at most twice the size of a sketch")]
fn jaccard(a: &Sketch, b: &Sketch) -> f64 {
    let end = a.complete_to().min(b.complete_to());
    let within = |sketch: &Sketch| sketch.hashes.partition_point(|hash| *hash <= end);
    let (a, b) = (&a.hashes[..within(a)], &b.hashes[..within(b)]);
    let shared = a.iter().filter(|hash| b.binary_search(hash).is_ok()).count();
    let all = a.len() + b.len() - shared;
    if all == 0 { 0.0 } else { shared as f64 / all as f64 }
}

/// What the marks leave of the similarity of the words.
#[expect(clippy::cast_precision_loss, reason = "a few hundred marks at most")]
fn agreement(a: &Shingles, b: &Shingles) -> f64 {
    let differ = |a: &BTreeSet<u64>, b: &BTreeSet<u64>| !a.is_subset(b) && !b.is_subset(a);
    if differ(&a.title_marks, &b.title_marks) {
        return OTHER_MARKS;
    }
    if !differ(&a.marks, &b.marks) {
        return 1.0;
    }
    let shared = a.marks.intersection(&b.marks).count();
    let all = a.marks.union(&b.marks).count();
    shared as f64 / all as f64
}

/// Numbers, paths and names of code in a text: what tells one use of a template from another.
fn marks_of(text: &str) -> BTreeSet<u64> {
    let edge = |c: char| !c.is_alphanumeric();
    let words = text.split_whitespace().map(|word| word.trim_matches(edge));
    words.filter(|word| is_mark(word)).map(hash_of_word).take(MARKS_MAX).collect()
}

fn is_mark(word: &str) -> bool {
    word.contains(|c: char| c.is_numeric() || matches!(c, '/' | '\\' | '_' | '.'))
        || word.contains("::")
        || word.chars().skip(1).zip(word.chars()).any(|(c, before)| {
            // CamelCase, but not SHOUTING and not a Capital at the front.
            c.is_uppercase() && before.is_lowercase()
        })
}

fn hash_of_word(word: &str) -> u64 {
    let mut hash = Hash::default();
    let mut bytes = [0; 4];
    for c in word.chars().flat_map(char::to_lowercase) {
        hash.add(c.encode_utf8(&mut bytes).as_bytes());
    }
    hash.end()
}

fn hash_of_shingle(words: &[u64]) -> u64 {
    let mut hash = Hash::default();
    words.iter().for_each(|word| hash.add(&word.to_le_bytes()));
    hash.end()
}

/// FNV-1a with the finaliser of SplitMix64 (Steele, Lea, Flood 2014): the same on every machine and
/// in every version, and even in its high bits, by which a sketch is cut.
struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    const fn end(self) -> u64 {
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
