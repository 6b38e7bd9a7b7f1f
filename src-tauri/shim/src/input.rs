//! What the program is to read while it runs: numbered, written once, in order, never waited for.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::control::{EngineSays, INPUT_BYTES_MAX, ShimSays};
use crate::keep::Kept;
use crate::redact::{Redactor, Values};

/// How much may wait for the program, in bytes.
const WAITING_BYTES_MAX: usize = 2 * INPUT_BYTES_MAX;
/// How many inputs may wait.
const WAITING_MAX: usize = 1024;
/// What a terminal takes for the end of the input.
const END_OF_TRANSMISSION: u8 = 4;

/// Where input goes.
#[derive(Debug)]
pub enum Sink {
    /// Nowhere: the program has a file, or nothing.
    None,
    /// To the program's standard input.
    Pipe(OwnedFd),
    /// To its terminal.
    Terminal(OwnedFd),
}

impl Sink {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::None => None,
            Self::Pipe(end) | Self::Terminal(end) => Some(end.as_fd()),
        }
    }
}

#[derive(Debug)]
struct Piece {
    /// Nothing for what the run began with.
    n: Option<u64>,
    bytes: Vec<u8>,
    /// Whether the input is at its end after it.
    last: bool,
}

/// The input of a program.
#[derive(Debug)]
pub struct Input {
    sink: Sink,
    waiting: VecDeque<Piece>,
    /// How many bytes of the first piece are written.
    written: usize,
    bytes: usize,
    seen_n: u64,
    /// The first input that there was no room for: none after it may go before it.
    put_off: Option<u64>,
    log: Option<(Kept, Redactor)>,
}

impl Input {
    /// Writes to `sink`, first of all what the run began with; `log` keeps what was sent. Of what is
    /// typed into a terminal it keeps only how much that was: a program may have asked for a password.
    #[must_use]
    pub fn new(sink: Sink, first: Vec<u8>, log: Option<(Kept, Values)>) -> Self {
        let waiting = if first.is_empty() {
            VecDeque::new()
        } else {
            VecDeque::from([Piece { n: None, bytes: first, last: false }])
        };
        let bytes = waiting.iter().map(|piece| piece.bytes.len()).sum();
        // A secret may come in several pieces.
        let log = log.map(|(log, values)| (log, Redactor::new(values)));
        Self { sink, waiting, written: 0, bytes, seen_n: 0, put_off: None, log }
    }

    /// The highest number taken over.
    #[must_use]
    pub const fn seen_n(&self) -> u64 {
        self.seen_n
    }

    /// Where the next bytes go, if any wait.
    #[must_use]
    pub fn wants(&self) -> Option<BorrowedFd<'_>> {
        if self.waiting.is_empty() { None } else { self.sink.descriptor() }
    }

    /// Takes an input over; the answer, where there is one already.
    pub fn take(&mut self, said: EngineSays) -> Option<ShimSays> {
        let (n, bytes, last) = match said {
            EngineSays::Input { n, text } => (n, text.into_bytes(), false),
            EngineSays::CloseInput { n } => {
                let end = match self.sink {
                    Sink::Terminal(_) => vec![END_OF_TRANSMISSION],
                    _ => Vec::new(),
                };
                (n, end, true)
            }
            EngineSays::Resize { .. } | EngineSays::Read { .. } => return None,
        };
        if n <= self.seen_n {
            let waits = self.waiting.iter().any(|piece| piece.n == Some(n));
            return (!waits).then_some(ShimSays::Accepted { n });
        }
        let refused =
            |reason: &str| Some(ShimSays::Refused { n, reason: reason.to_owned(), later: false });
        if matches!(self.sink, Sink::None) || self.waiting.iter().any(|piece| piece.last) {
            return refused("the program takes no more input");
        }
        if bytes.len() > INPUT_BYTES_MAX {
            return refused("it is longer than 8 MiB: give it as a file");
        }
        let room =
            self.bytes + bytes.len() <= WAITING_BYTES_MAX && self.waiting.len() < WAITING_MAX;
        if !room || self.put_off.is_some_and(|first| first < n) {
            self.put_off = Some(self.put_off.map_or(n, |first| first.min(n)));
            let reason = "the program does not read what was sent before: send it again later";
            return Some(ShimSays::Refused { n, reason: reason.to_owned(), later: true });
        }
        self.put_off = None;
        self.seen_n = n;
        self.bytes += bytes.len();
        if !last {
            self.note(&bytes);
        }
        self.waiting.push_back(Piece { n: Some(n), bytes, last });
        None
    }

    /// Writes as much as goes at once; the answers to what is written wholly.
    pub fn write(&mut self) -> Vec<ShimSays> {
        let mut answers = Vec::new();
        while let Some(piece) = self.waiting.front() {
            if self.written < piece.bytes.len() {
                let Some(sink) = self.sink.descriptor() else {
                    break;
                };
                match rustix::io::write(sink, &piece.bytes[self.written..]) {
                    Ok(count) => self.written += count,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(_) => {
                        self.refuse_all(&mut answers);
                        break;
                    }
                }
                continue;
            }
            answers.extend(piece.n.map(|n| ShimSays::Accepted { n }));
            let closes = piece.last && matches!(self.sink, Sink::Pipe(_));
            self.bytes = self.bytes.saturating_sub(piece.bytes.len());
            self.written = 0;
            self.waiting.pop_front();
            if closes {
                self.sink = Sink::None;
            }
        }
        answers
    }

    /// The program reads nothing any more.
    fn refuse_all(&mut self, answers: &mut Vec<ShimSays>) {
        let reason = "the program has closed its input";
        let waiting = std::mem::take(&mut self.waiting);
        let numbers = waiting.into_iter().filter_map(|piece| piece.n);
        let refused = |n| ShimSays::Refused { n, reason: reason.to_owned(), later: false };
        answers.extend(numbers.map(refused));
        (self.bytes, self.written, self.sink) = (0, 0, Sink::None);
    }

    /// Keeps what was sent, without its secrets.
    fn note(&mut self, bytes: &[u8]) {
        let Some((log, redactor)) = &mut self.log else { return };
        let mut out = Vec::new();
        if matches!(self.sink, Sink::Terminal(_)) {
            out = format!("[typed: {} bytes]\n", bytes.len()).into_bytes();
        } else {
            redactor.push(bytes, &mut out);
        }
        keep(log, &mut out);
    }
}

fn keep(log: &mut Kept, out: &mut Vec<u8>) {
    if !out.is_empty() && log.append(out).is_err() {
        log.lose(out.len());
    }
}

impl Drop for Input {
    /// What was held back, because it might have been the beginning of a secret, is none.
    fn drop(&mut self) {
        if let Some((log, redactor)) = &mut self.log {
            let mut out = Vec::new();
            redactor.finish(&mut out);
            keep(log, &mut out);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn input() -> (Input, UnixStream) {
        let (end, program) = UnixStream::pair().unwrap();
        end.set_nonblocking(true).unwrap();
        (Input::new(Sink::Pipe(end.into()), b"brief\n".to_vec(), None), program)
    }

    fn say(n: u64, text: &str) -> EngineSays {
        EngineSays::Input { n, text: text.to_owned() }
    }

    /// What is kept of these pieces, sent one after the other.
    fn kept_of(pieces: &[&str], sink: fn(OwnedFd) -> Sink, secret: &str) -> String {
        let place = tempfile::tempdir().unwrap();
        let (end, _program) = UnixStream::pair().unwrap();
        end.set_nonblocking(true).unwrap();
        let log = Kept::open(place.path(), "stdin.log", None, 1 << 20, false).unwrap();
        let mut values = Values::default();
        values.add(secret.as_bytes());
        let mut input = Input::new(sink(end.into()), Vec::new(), Some((log, values)));
        for (n, piece) in (1..).zip(pieces) {
            assert_eq!(input.take(say(n, piece)), None);
            input.write();
        }
        drop(input);
        std::fs::read_to_string(place.path().join("stdin.log")).unwrap()
    }

    #[test]
    fn what_is_typed_into_a_terminal_is_not_written_down() {
        let typed = ["h", "u", "nter2", "\r"];
        let kept = kept_of(&typed, Sink::Terminal, "something-else");
        assert_eq!(
            kept,
            "[typed: 1 bytes]\n[typed: 1 bytes]\n[typed: 5 bytes]\n[typed: 1 bytes]\n"
        );
    }

    #[test]
    fn a_secret_that_comes_in_pieces_is_taken_out_of_what_is_kept() {
        let secret = "correct-horse-battery";
        let pieces = ["say corr", "ect-hor", "se-battery", " and go\n", "cor"];
        let kept = kept_of(&pieces, Sink::Pipe, secret);
        assert!(!kept.contains("ect-hor") && !kept.contains("battery"), "{kept}");
        assert!(kept.starts_with("say ") && kept.ends_with(" and go\ncor"), "{kept}");
    }

    #[test]
    fn a_number_is_written_once_however_often_it_is_sent() {
        let (mut input, mut program) = input();
        assert_eq!(input.take(say(1, "one\n")), None);
        assert_eq!(input.take(say(1, "one\n")), None, "it is on its way");
        assert_eq!(input.write(), [ShimSays::Accepted { n: 1 }]);
        assert_eq!(input.take(say(1, "one\n")), Some(ShimSays::Accepted { n: 1 }));
        assert_eq!(input.take(say(7, "seven\n")), None);
        assert_eq!(input.take(say(3, "late\n")), Some(ShimSays::Accepted { n: 3 }));
        assert_eq!(input.take(EngineSays::CloseInput { n: 8 }), None);
        let said = [ShimSays::Accepted { n: 7 }, ShimSays::Accepted { n: 8 }];
        assert_eq!(input.write(), said);
        let mut text = String::new();
        program.read_to_string(&mut text).unwrap();
        assert_eq!(text, "brief\none\nseven\n");
        assert!(matches!(input.take(say(9, "x")), Some(ShimSays::Refused { n: 9, .. })));
        assert_eq!(input.seen_n(), 8);
    }

    #[test]
    fn what_there_is_no_room_for_is_put_off_with_all_that_comes_after_it() {
        let (mut input, mut program) = input();
        for n in 1..WAITING_MAX as u64 {
            assert_eq!(input.take(say(n, "x")), None);
        }
        let last = WAITING_MAX as u64;
        let is_later = |said| matches!(said, Some(ShimSays::Refused { later: true, .. }));
        assert!(is_later(input.take(say(last, "a"))));
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            program.read_to_string(&mut text).unwrap();
            text
        });
        let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while !input.waiting.is_empty() && std::time::Instant::now() < until {
            input.write();
        }
        assert!(is_later(input.take(say(last + 1, "b"))), "it would go before the other");
        for (n, text) in [(last, "a"), (last + 1, "b")] {
            assert_eq!(input.take(say(n, text)), None);
        }
        assert_eq!(input.take(EngineSays::CloseInput { n: last + 2 }), None);
        while !input.waiting.is_empty() && std::time::Instant::now() < until {
            input.write();
        }
        let expect = format!("brief\n{}ab", "x".repeat(WAITING_MAX - 1));
        assert_eq!(reader.join().unwrap(), expect);
    }

    #[test]
    fn what_a_program_does_not_read_is_bounded_and_refused() {
        let (mut input, program) = input();
        assert_eq!(input.write(), []);
        let large = "x".repeat(INPUT_BYTES_MAX);
        assert_eq!(input.take(say(1, &large)), None);
        assert_eq!(input.take(say(2, &large)), None);
        let later =
            |said, n| matches!(said, Some(ShimSays::Refused { n: of, later: true, .. }) if of == n);
        assert!(later(input.take(say(3, "x")), 3));
        let longer = format!("{large}x");
        assert!(matches!(
            input.take(say(3, &longer)),
            Some(ShimSays::Refused { n: 3, later: false, .. })
        ));
        assert_eq!(input.write(), []);
        drop(program);
        let answers = input.write();
        assert!(matches!(
            answers[..],
            [ShimSays::Refused { n: 1, .. }, ShimSays::Refused { n: 2, .. }]
        ));
    }
}
