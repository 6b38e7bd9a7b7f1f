//! Reads a patch without context: which lines were added, where, and what they say.

/// The longest head of a file's changes that is read, in bytes: a path, quoted.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// What stands in a patch, in its order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// From here on it is about this file.
    File(&'a [u8]),
    /// So many lines were added to it, from this one on, counted from 1.
    Lines {
        /// The first line's number in the later file.
        first: u64,
        /// How many.
        count: u64,
    },
    /// A piece of an added line; a long line comes in several.
    Added {
        /// The line's number in the later file.
        line: u64,
        /// The piece.
        text: &'a [u8],
        /// Whether the line ends with it.
        ends: bool,
    },
}

/// What kind of line is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Added,
    Head,
    Other,
}

/// Reads a patch that comes in pieces with at most one line each.
#[derive(Debug, Default)]
pub(super) struct Patch {
    /// The kind of a line that has begun and not ended.
    open: Option<Kind>,
    /// As much of a head's line as there is.
    head: Vec<u8>,
    /// Lines of the hunk that are still to come: removed and added ones.
    removed_left: u64,
    added_left: u64,
    /// The number of the next added line.
    line: u64,
}

impl Patch {
    /// Reads one piece.
    pub(super) fn read(&mut self, piece: &[u8], take: &mut dyn FnMut(Part<'_>)) {
        let (text, ends) = match piece.strip_suffix(b"\n") {
            Some(text) => (text, true),
            None => (piece, false),
        };
        let (kind, text) = match self.open {
            Some(kind) => (kind, text),
            None => self.begin(text),
        };
        match kind {
            Kind::Added => take(Part::Added { line: self.line, text, ends }),
            Kind::Head => {
                let room = HEAD_BYTES_MAX.saturating_sub(self.head.len());
                self.head.extend_from_slice(&text[..text.len().min(room)]);
            }
            Kind::Other => {}
        }
        self.open = (!ends).then_some(kind);
        if ends {
            match kind {
                Kind::Added => self.line += 1,
                Kind::Head => self.read_head(take),
                Kind::Other => {}
            }
        }
    }

    /// What a line is: inside of a hunk its sign says so, whatever follows it.
    fn begin<'a>(&mut self, text: &'a [u8]) -> (Kind, &'a [u8]) {
        match text.first() {
            Some(b'+') if self.added_left > 0 => {
                self.added_left -= 1;
                (Kind::Added, &text[1..])
            }
            Some(b'-') if self.removed_left > 0 => {
                self.removed_left -= 1;
                (Kind::Other, text)
            }
            Some(b'+' | b'@') => (Kind::Head, text),
            _ => (Kind::Other, text),
        }
    }

    fn read_head(&mut self, take: &mut dyn FnMut(Part<'_>)) {
        let head = std::mem::take(&mut self.head);
        if let Some(name) = head.strip_prefix(b"+++ ") {
            if let Some(path) = path_of(name) {
                take(Part::File(&path));
            }
        } else if let Some((removed, first, count)) = ranges(&head) {
            (self.removed_left, self.added_left, self.line) = (removed, count, first);
            if count > 0 {
                take(Part::Lines { first, count });
            }
        }
    }
}

/// Reads `@@ -1,2 +3,4 @@`: how many were removed, the first added line, how many were added.
fn ranges(head: &[u8]) -> Option<(u64, u64, u64)> {
    let text = String::from_utf8_lossy(head);
    let mut words = text.strip_prefix("@@ ")?.split(' ');
    let (_, removed) = range(words.next()?.strip_prefix('-')?)?;
    let (first, count) = range(words.next()?.strip_prefix('+')?)?;
    Some((removed, first, count))
}

fn range(text: &str) -> Option<(u64, u64)> {
    match text.split_once(',') {
        Some((first, count)) => Some((first.parse().ok()?, count.parse().ok()?)),
        None => Some((text.parse().ok()?, 1)),
    }
}

/// The path in `b/src/a.rs`, or in `"b/\303\244"` where git quotes it; nothing for `/dev/null`.
fn path_of(name: &[u8]) -> Option<Vec<u8>> {
    // Git ends a name with a blank in it by a tab.
    let name = name.strip_suffix(b"\t").unwrap_or(name);
    let path = match name.strip_prefix(b"\"") {
        Some(quoted) => unquoted(quoted.strip_suffix(b"\"")?)?,
        None => name.to_vec(),
    };
    path.strip_prefix(b"b/").map(<[u8]>::to_vec)
}

/// Undoes git's quoting, which is C's.
fn unquoted(quoted: &[u8]) -> Option<Vec<u8>> {
    let mut path = Vec::with_capacity(quoted.len());
    let mut rest = quoted;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'\\' {
            path.push(*byte);
            continue;
        }
        let [escaped, tail @ ..] = rest else {
            return None;
        };
        rest = tail;
        path.push(match escaped {
            b'a' => 7,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 11,
            b'f' => 12,
            b'r' => b'\r',
            b'"' | b'\\' => *escaped,
            b'0'..=b'3' => {
                let [second @ b'0'..=b'7', third @ b'0'..=b'7', tail @ ..] = rest else {
                    return None;
                };
                rest = tail;
                (escaped - b'0') * 64 + (second - b'0') * 8 + (third - b'0')
            }
            _ => return None,
        });
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a patch says, one line for each part, read in pieces of at most `piece` bytes.
    fn read(text: &[u8], piece: usize) -> Vec<String> {
        let mut parts = Vec::new();
        let mut patch = Patch::default();
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            for piece in line.chunks(piece) {
                patch.read(piece, &mut |part| {
                    parts.push(match part {
                        Part::File(path) => format!("file {}", path.escape_ascii()),
                        Part::Lines { first, count } => format!("lines {first} {count}"),
                        Part::Added { line, text, ends } => {
                            format!("{line} {}{}", text.escape_ascii(), if ends { "." } else { "" })
                        }
                    });
                });
            }
        }
        parts
    }

    #[test]
    fn added_lines_are_read_with_their_places_whatever_they_look_like() {
        let text = "diff --git a/a b.txt b/a b.txt\nindex 1..2 100644\n--- a/a b.txt\t\n\
            +++ b/a b.txt\t\n@@ -1 +1,2 @@ fn x() {\n-old\n+++ b/other\n+@@ -1 +1 @@\n\
            @@ -5,0 +7 @@\n+x\n\\ No newline at end of file\n\
            diff --git \"a/\\303\\244\\\"\" \"b/\\303\\244\\\"\"\n--- /dev/null\n\
            +++ \"b/\\303\\244\\\"\"\n@@ -0,0 +1 @@\n+y\n\
            diff --git a/z b/z\n--- a/z\n+++ b/z\n@@ -1,2 +0,0 @@\n---- a/q\n-+++ b/q\n";
        let expect = [
            "file a b.txt",
            "lines 1 2",
            "1 ++ b/other.",
            "2 @@ -1 +1 @@.",
            "lines 7 1",
            "7 x.",
            "file \\xc3\\xa4\\\"",
            "lines 1 1",
            "1 y.",
            "file z",
        ];
        assert_eq!(read(text.as_bytes(), usize::MAX), expect);
    }

    #[test]
    fn a_long_line_comes_in_pieces_of_the_same_line() {
        let text = b"+++ b/x\n@@ -0,0 +1,2 @@\n+abcdef\n+g\n";
        let expect = ["file x", "lines 1 2", "1 abc", "1 def.", "2 g."];
        assert_eq!(read(text, 4), expect);
    }

    proptest! {
        #[test]
        fn any_path_git_quotes_reads_back(path in prop::collection::vec(1..=255u8, 1..40)) {
            let quoted: Vec<u8> = path
                .iter()
                .flat_map(|byte| match byte {
                    b'"' | b'\\' => vec![b'\\', *byte],
                    b' '..=b'~' => vec![*byte],
                    _ => format!("\\{byte:03o}").into_bytes(),
                })
                .collect();
            let name = [b"\"b/".as_slice(), &quoted, b"\""].concat();
            prop_assert_eq!(path_of(&name), Some(path));
        }

        #[test]
        fn no_patch_panics(
            text in prop::collection::vec(any::<u8>(), 0..300), piece in 1..20usize
        ) {
            read(&text, piece);
            let _ = unquoted(&text);
        }

        #[test]
        fn nothing_that_is_added_is_missed(
            lines in prop::collection::vec("[-+@ \\\\a/b]{0,12}", 1..20), piece in 1..20usize
        ) {
            let added: String = lines.iter().map(|line| format!("+{line}\n")).collect();
            let text = format!("+++ b/x\n@@ -0,0 +1,{} @@\n{added}", lines.len());
            let mut patch = Patch::default();
            let mut read = vec![String::new(); lines.len()];
            for line in text.as_bytes().split_inclusive(|byte| *byte == b'\n') {
                for piece in line.chunks(piece) {
                    patch.read(piece, &mut |part| {
                        if let Part::Added { line, text, .. } = part {
                            read[line as usize - 1].push_str(std::str::from_utf8(text).unwrap());
                        }
                    });
                }
            }
            prop_assert_eq!(read, lines);
        }
    }
}
