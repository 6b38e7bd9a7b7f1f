//! Finds blocks of lines that are there more than once.
//!
//! Each line, without the white space around it, becomes a number, the same for equal lines; blank
//! lines become none. A window of as many numbers as make a block has a hash; windows with the same
//! hash are compared, and equal ones grow in both directions as long as all of them agree and none
//! runs into the next. Time and memory grow with the number of lines.

use std::collections::HashMap;
use std::hash::Hasher;

/// Factor of the rolling hash.
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;
/// How many comparisons may be made for each line while blocks grow. Only texts made to be slow,
/// such as many different overlapping repetitions, come near it.
const COMPARISONS_PER_LINE: usize = 64;
/// Of the lines of a window, one in so many must hold a letter or a digit.
const MEANING_SHARE: usize = 3;

/// The lines of many files, as numbers.
#[derive(Debug, Default)]
pub(crate) struct Corpus {
    /// The number of each different line.
    numbers: HashMap<Box<[u8]>, u32>,
    /// Whether the line of a number holds a letter or a digit.
    meaning: Vec<bool>,
    /// The lines that are not blank, file after file.
    lines: Vec<Line>,
    /// Where in `lines` each file ends.
    ends: Vec<usize>,
}

#[derive(Debug, Clone, Copy)]
struct Line {
    /// What it says.
    number: u32,
    /// Where it is in its file, from 1.
    line: u32,
}

/// A block that is there more than once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Block {
    /// How many lines are equal.
    pub(crate) lines: usize,
    /// Where it is, in order.
    pub(crate) spots: Vec<Spot>,
}

/// A place of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Spot {
    /// The file, in the order in which they were added.
    pub(crate) file: usize,
    /// Its first line, from 1.
    pub(crate) line: u32,
    /// Its last line.
    pub(crate) last_line: u32,
    /// Its first line among all lines of the corpus.
    at: usize,
}

/// The lines of a text that are not blank, with their places, without the white space around them.
pub(crate) fn significant(text: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    text.split(|byte| *byte == b'\n')
        .zip(1..)
        .map(|(line, number)| (number, line.trim_ascii()))
        .filter(|(_, line)| !line.is_empty())
}

/// A hash of each window of a text's lines that are not blank, in order. Equal windows have equal
/// hashes in every text; what has equal hashes need not be equal.
pub(crate) fn window_hashes(text: &[u8], window: usize) -> Vec<u64> {
    let top = power(window);
    let lines: Vec<u64> = significant(text).map(|(_, line)| line_hash(line)).collect();
    let mut hash = 0u64;
    let mut hashes = Vec::with_capacity(lines.len().saturating_sub(window));
    for (at, line) in lines.iter().enumerate() {
        if at >= window {
            hash = hash.wrapping_sub(lines[at - window].wrapping_mul(top));
        }
        hash = hash.wrapping_mul(BASE).wrapping_add(*line);
        if at + 1 >= window {
            hashes.push(hash);
        }
    }
    hashes
}

/// The factor of the line that leaves a window.
fn power(window: usize) -> u64 {
    (1..window).fold(1u64, |power, _| power.wrapping_mul(BASE))
}

fn line_hash(line: &[u8]) -> u64 {
    // The same in every run of the program, unlike that of a map.
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(line);
    hasher.finish()
}

impl Corpus {
    /// Adds a file, unless the corpus would then have more than `lines_max` lines.
    pub(crate) fn add(&mut self, text: &[u8], lines_max: usize) -> bool {
        let room = lines_max.saturating_sub(self.lines.len());
        if significant(text).nth(room).is_some() {
            return false;
        }
        for (line, content) in significant(text) {
            let number = self.number_of(content);
            self.lines.push(Line { number, line });
        }
        self.ends.push(self.lines.len());
        true
    }

    fn number_of(&mut self, content: &[u8]) -> u32 {
        if let Some(number) = self.numbers.get(content) {
            return *number;
        }
        let number = u32::try_from(self.meaning.len()).unwrap_or(u32::MAX);
        let meaning = |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii();
        self.meaning.push(content.iter().any(meaning));
        self.numbers.insert(content.into(), number);
        number
    }

    /// The blocks of at least `window` lines that are there more than once, and whether that is all
    /// of them; nothing when `stop` says so.
    pub(crate) fn duplicates(
        &self,
        window: usize,
        stop: &mut dyn FnMut() -> bool,
    ) -> Option<(Vec<Block>, bool)> {
        let groups = self.groups(window, stop)?;
        let mut growth = Growth {
            corpus: self,
            window,
            part_of: vec![0; self.lines.len()],
            reached: HashMap::new(),
            blocks: Vec::new(),
            left: COMPARISONS_PER_LINE.saturating_mul(self.lines.len()).saturating_add(1 << 16),
        };
        for (done, group) in groups.iter().enumerate() {
            if growth.left == 0 || (done % 1024 == 0 && stop()) {
                break;
            }
            growth.take(group);
        }
        if stop() {
            return None;
        }
        let complete = growth.left > 0;
        let mut seen = std::collections::HashSet::new();
        let mut blocks = growth.blocks;
        blocks.retain(|block| seen.insert(block.clone()));
        Some((blocks, complete))
    }

    /// Places of equal windows, two at least in each group, in the order of the first places.
    fn groups(&self, window: usize, stop: &mut dyn FnMut() -> bool) -> Option<Vec<Vec<usize>>> {
        let mut hashed = self.windows(window);
        if stop() {
            return None;
        }
        hashed.sort_unstable();
        let mut groups = Vec::new();
        for same_hash in hashed.chunk_by(|a, b| a.0 == b.0).filter(|chunk| chunk.len() > 1) {
            let mut left: Vec<usize> = same_hash.iter().map(|(_, at)| *at).collect();
            // Nearly always once: different windows rarely have the same hash.
            while let Some(first) = left.first().copied() {
                let (equal, other): (Vec<usize>, Vec<usize>) =
                    left.into_iter().partition(|at| self.equal(first, *at, window));
                left = other;
                if equal.len() > 1 {
                    groups.push(equal);
                }
            }
        }
        groups.sort_unstable_by_key(|group| group[0]);
        (!stop()).then_some(groups)
    }

    fn equal(&self, one: usize, other: usize, window: usize) -> bool {
        let numbers = |at: usize| self.lines[at..at + window].iter().map(|line| line.number);
        one == other || numbers(one).eq(numbers(other))
    }

    /// The hash and the place of each window that says something.
    fn windows(&self, window: usize) -> Vec<(u64, usize)> {
        let mut found = Vec::new();
        let top = power(window);
        let mut begin = 0;
        for end in &self.ends {
            let (mut hash, mut meaning, mut run) = (0u64, 0usize, 0usize);
            for at in begin..*end {
                let number = self.lines[at].number;
                if at >= begin + window {
                    let gone = self.lines[at - window].number;
                    hash = hash.wrapping_sub(mixed(gone).wrapping_mul(top));
                    meaning -= usize::from(self.meaning[gone as usize]);
                }
                hash = hash.wrapping_mul(BASE).wrapping_add(mixed(number));
                meaning += usize::from(self.meaning[number as usize]);
                let same = at > begin && self.lines[at - 1].number == number;
                run = if same { run + 1 } else { 1 };
                let says_something = meaning * MEANING_SHARE >= window && run < window;
                if at + 1 >= begin + window && says_something {
                    found.push((hash, at + 1 - window));
                }
            }
            begin = *end;
        }
        found
    }

    fn file_of(&self, at: usize) -> usize {
        self.ends.partition_point(|end| *end <= at)
    }

    /// Where the lines of a file begin and end.
    fn bounds(&self, file: usize) -> (usize, usize) {
        (file.checked_sub(1).map_or(0, |before| self.ends[before]), self.ends[file])
    }
}

/// Spreads a number over 64 bits.
const fn mixed(number: u32) -> u64 {
    let spread = (number as u64 + 1).wrapping_mul(0xff51_afd7_ed55_8ccd);
    spread ^ (spread >> 32)
}

/// Grows groups of equal windows to blocks, and leaves out what is part of a block already.
struct Growth<'a> {
    corpus: &'a Corpus,
    window: usize,
    /// The first block each line became part of, from 1.
    part_of: Vec<u32>,
    /// For each set of distances between places, where its last block ends.
    reached: HashMap<Vec<usize>, usize>,
    blocks: Vec<Block>,
    /// How many comparisons may still be made.
    left: usize,
}

impl Growth<'_> {
    fn take(&mut self, group: &[usize]) {
        if self.is_part_of_one(group) {
            return;
        }
        let places = self.apart(group);
        if places.len() < 2 {
            return;
        }
        let first = places[0];
        let distances: Vec<usize> = places[1..].iter().map(|place| place - first).collect();
        if self.reached.get(&distances).is_some_and(|end| first + self.window <= *end) {
            return;
        }
        let (back, lines) = self.grow(&places);
        self.reached.insert(distances, first - back + lines);
        let id = u32::try_from(self.blocks.len() + 1).unwrap_or(u32::MAX);
        let mut spots = Vec::with_capacity(places.len());
        for place in places {
            let at = place - back;
            for part in &mut self.part_of[at..at + lines] {
                *part = if *part == 0 { id } else { *part };
            }
            let of = &self.corpus.lines;
            let (line, last_line) = (of[at].line, of[at + lines - 1].line);
            spots.push(Spot { file: self.corpus.file_of(at), line, last_line, at });
        }
        self.blocks.push(Block { lines, spots });
    }

    /// Whether all these windows lie in places of one block.
    fn is_part_of_one(&self, group: &[usize]) -> bool {
        let block = self.part_of[group[0]];
        block != 0
            && group.iter().all(|at| {
                self.part_of[*at] == block && self.part_of[*at + self.window - 1] == block
            })
    }

    /// The places without those that overlap an earlier one.
    fn apart(&self, group: &[usize]) -> Vec<usize> {
        let mut places: Vec<usize> = Vec::with_capacity(group.len());
        for at in group {
            if places.last().is_none_or(|last| last + self.window <= *at) {
                places.push(*at);
            }
        }
        places
    }

    /// How far all places agree: how many lines before, and how many in all.
    fn grow(&mut self, places: &[usize]) -> (usize, usize) {
        let corpus = self.corpus;
        let bounds: Vec<(usize, usize)> =
            places.iter().map(|at| corpus.bounds(corpus.file_of(*at))).collect();
        let gap = places.windows(2).zip(bounds.windows(2));
        let gap = gap.filter(|(_, files)| files[0] == files[1]).map(|(at, _)| at[1] - at[0]);
        let lines_max = gap.min().unwrap_or(usize::MAX);
        let (mut back, mut lines) = (0, self.window);
        let number = |at: usize| corpus.lines[at].number;
        while lines < lines_max && self.left > 0 {
            self.left = self.left.saturating_sub(places.len());
            let inside = places.iter().zip(&bounds).all(|(at, (_, end))| at + lines < *end);
            if !inside || places.iter().any(|at| number(at + lines) != number(places[0] + lines)) {
                break;
            }
            lines += 1;
        }
        while lines < lines_max && self.left > 0 {
            self.left = self.left.saturating_sub(places.len());
            let inside = places.iter().zip(&bounds).all(|(at, (begin, _))| *at > begin + back);
            let before = back + 1;
            if !inside || places.iter().any(|at| number(at - before) != number(places[0] - before))
            {
                break;
            }
            back += 1;
            lines += 1;
        }
        (back, lines)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn duplicates(files: &[&str], window: usize) -> Vec<Block> {
        let mut corpus = Corpus::default();
        for file in files {
            assert!(corpus.add(file.as_bytes(), usize::MAX));
        }
        let (blocks, complete) = corpus.duplicates(window, &mut || false).unwrap();
        assert!(complete);
        blocks
    }

    /// Each block as its length and its places.
    fn found(files: &[&str], window: usize) -> Vec<(usize, Vec<(usize, u32)>)> {
        duplicates(files, window)
            .into_iter()
            .map(|block| {
                let places = block.spots.iter().map(|spot| (spot.file, spot.line));
                (block.lines, places.collect())
            })
            .collect()
    }

    fn numbered(prefix: &str, range: std::ops::Range<u32>) -> String {
        range.map(|n| format!("{prefix}{n}\n")).collect()
    }

    #[test]
    fn a_block_is_found_at_its_full_length_whatever_stands_around_it() {
        let shared = numbered("s", 0..7);
        let one = format!("a\nb\n{shared}c\n");
        let other = format!("\n\n  {}\n", shared.replace('\n', "  \n\n\t"));
        assert_eq!(found(&[&one, &other], 3), [(7, vec![(0, 3), (1, 3)])]);
        assert_eq!(found(&[&one, &other], 7), [(7, vec![(0, 3), (1, 3)])]);
        assert_eq!(found(&[&one, &other], 8), []);
    }

    #[test]
    fn a_short_block_in_three_places_and_a_long_one_in_two_are_each_found_once() {
        let long = numbered("s", 0..30);
        let short = numbered("s", 10..20);
        let expect = [(30, vec![(0, 1), (1, 1)]), (10, vec![(0, 11), (1, 11), (2, 1)])];
        assert_eq!(found(&[&long, &long, &short], 5), expect);
    }

    #[test]
    fn places_of_a_block_never_overlap() {
        let thrice = numbered("s", 0..12).repeat(3);
        assert_eq!(found(&[&thrice], 10), [(12, vec![(0, 1), (0, 13), (0, 25)])]);
        let one_and_a_half = format!("{}{}", numbered("s", 0..8), numbered("s", 0..4));
        assert_eq!(found(&[&one_and_a_half], 5), []);
    }

    #[test]
    fn braces_and_borders_alone_and_one_line_again_and_again_are_no_block() {
        let braces = "}\n)\n});\n]\n".repeat(9);
        assert_eq!(found(&[&braces, &braces], 5), []);
        let zeros = "0,\n".repeat(100);
        assert_eq!(found(&[&zeros, &zeros], 5), []);
    }

    #[test]
    fn a_hundred_thousand_lines_of_few_kinds_take_no_longer_than_they_should() {
        let periodic = numbered("s", 0..7).repeat(15_000);
        let mut corpus = Corpus::default();
        assert!(corpus.add(periodic.as_bytes(), usize::MAX));
        let begun = std::time::Instant::now();
        let (blocks, _) = corpus.duplicates(10, &mut || false).unwrap();
        assert!(!blocks.is_empty());
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    }

    #[test]
    fn what_is_stopped_has_no_result_and_what_is_too_long_is_not_added() {
        let mut corpus = Corpus::default();
        assert!(!corpus.add(b"a\nb\nc\n", 2));
        assert!(corpus.add(b"a\n\nb\n", 2));
        assert_eq!(corpus.duplicates(3, &mut || true), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn every_block_reported_is_equal_in_all_its_places_which_do_not_overlap(
            files in prop::collection::vec(prop::collection::vec(0..5u8, 0..40), 1..5),
            window in 3..6usize,
        ) {
            let kinds = ["a\n", " b\n", "\n", "}\n", "d\r\n"];
            let text = |lines: &Vec<u8>| lines.iter().map(|n| kinds[*n as usize]).collect();
            let texts: Vec<String> = files.iter().map(text).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            for block in duplicates(&texts, window) {
                prop_assert!(block.lines >= window && block.spots.len() >= 2);
                let lines_of = |spot: &Spot| -> Vec<(u32, Vec<u8>)> {
                    significant(texts[spot.file].as_bytes())
                        .filter(|(line, _)| (spot.line..=spot.last_line).contains(line))
                        .map(|(line, text)| (line, text.to_vec()))
                        .collect()
                };
                let text = |spot: &Spot| -> Vec<Vec<u8>> {
                    lines_of(spot).into_iter().map(|(_, text)| text).collect()
                };
                let first = text(&block.spots[0]);
                prop_assert_eq!(first.len(), block.lines);
                for spot in &block.spots {
                    prop_assert_eq!(&text(spot), &first);
                }
                for pair in block.spots.windows(2) {
                    prop_assert!(pair[0].file < pair[1].file || pair[0].last_line < pair[1].line);
                }
            }
        }

        #[test]
        fn what_is_planted_twice_is_found(
            before in prop::collection::vec(0..1000u32, 0..30),
            between in prop::collection::vec(0..1000u32, 0..30),
            length in 4..20u32,
        ) {
            let noise =
                |numbers: &[u32]| numbers.iter().map(|n| format!("x{n}\n")).collect::<String>();
            let planted = numbered("planted ", 0..length);
            let one = format!("{}{planted}{}", noise(&before), noise(&between));
            let blocks = duplicates(&[&one, &planted], 4);
            let is_planted = |block: &Block| {
                block.lines == length as usize
                    && block.spots.iter().any(|spot| (spot.file, spot.line) == (1, 1))
            };
            prop_assert!(blocks.iter().any(is_planted), "{:?}", blocks);
        }
    }
}
