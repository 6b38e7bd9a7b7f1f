//! The line to a program: what it prints, and what it is told, through its shim.

use std::path::{Path, PathBuf};
use std::time::Duration;

use agents::channel::{Channel, LOOK, ShimSays};
use agents::lines::{LineReader, RawLine};
use agents::runtime::{Driver, Line};
use agents::transcript::TranscriptError;
use jiff::Timestamp;
use model::conversation::Stream;
use model::process::{TerminalSize, file};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::warn;

use super::memory::Memory;

/// How long a shim that cannot be reached is left alone.
const RETRY: Duration = Duration::from_millis(500);
/// How long a shim may take to take a line over.
const SAY_WITHIN: Duration = Duration::from_secs(5);
/// How long a program that does not read is given before it is told again.
const AGAIN: Duration = Duration::from_secs(1);
/// Stands for the agent's token in lines that are kept.
const TOKEN_PLACE: &str = "\u{1}hivekeeper-token\u{1}";

/// A line of one of the streams.
pub(super) struct Printed {
    stream: Stream,
    line: RawLine,
}

impl Printed {
    /// Gives it to the driver.
    pub(super) fn give(self, driver: &mut dyn Driver, at: Timestamp) {
        let line = Line { bytes: &self.line.bytes, cut: self.line.cut, at };
        match self.stream {
            Stream::Stdout => driver.stdout(line),
            Stream::Stderr => driver.stderr(line),
        }
    }
}

/// One stream of the output, as far as it was read.
struct Source {
    stream: Stream,
    reader: LineReader,
    offset: u64,
    /// Whether there was no descriptor to read it with, the last time.
    wants: bool,
}

impl Source {
    fn new(run: &Path, stream: Stream, offset: u64) -> Self {
        let name = match stream {
            Stream::Stdout => file::STDOUT,
            Stream::Stderr => file::STDERR,
        };
        Self { stream, reader: LineReader::new(&run.join(name)), offset, wants: false }
    }

    fn next(&mut self, to_the_end: bool) -> Option<Printed> {
        let read = match to_the_end {
            true => self.reader.last_line(self.offset),
            false => self.reader.next_line(self.offset),
        };
        self.wants = read.as_ref().is_err_and(TranscriptError::is_want);
        match read {
            Ok(line) => line.map(|line| {
                self.offset = line.next_offset;
                Printed { stream: self.stream, line }
            }),
            Err(err) => {
                warn!(%err, "output could not be read");
                None
            }
        }
    }
}

/// The line to a program.
pub(super) struct Wire {
    run: PathBuf,
    channel: Option<Channel>,
    tried: Instant,
    stdout: Source,
    stderr: Source,
    /// Whether the program prints no more.
    ended: bool,
    /// The number of the last line that was written since the shim was reached.
    said: u64,
    /// How far it was told that standard output was read.
    acknowledged: u64,
    /// The number of the last line the shim took.
    taken: u64,
    /// Nothing is said before.
    not_before: Instant,
    /// Takes the place of [`TOKEN_PLACE`].
    token: Option<String>,
}

impl Wire {
    pub(super) async fn new(run: &Path, memory: &Memory, token: Option<String>) -> Self {
        let mut this = Self {
            run: run.to_owned(),
            channel: None,
            tried: Instant::now(),
            stdout: Source::new(run, Stream::Stdout, memory.stdout),
            stderr: Source::new(run, Stream::Stderr, memory.stderr),
            ended: false,
            said: 0,
            acknowledged: 0,
            taken: 0,
            not_before: Instant::now(),
            token,
        };
        this.reach().await;
        this
    }

    /// Whether the shim cannot be reached.
    pub(super) const fn is_lost(&self) -> bool {
        self.channel.is_none()
    }

    /// Whether something could not be read for want of a descriptor, the last time.
    pub(super) const fn wants(&self) -> bool {
        self.stdout.wants || self.stderr.wants
    }

    /// Closes all that it holds open, and opens it again when it is needed. Where every descriptor is
    /// held by those that wait for another one, nobody would go on.
    pub(super) fn let_go(&mut self) {
        self.channel = None;
        self.stdout.reader.close();
        self.stderr.reader.close();
    }

    /// How far both streams were read.
    pub(super) const fn offsets(&self) -> (u64, u64) {
        (self.stdout.offset, self.stderr.offset)
    }

    /// A line as it is kept: without the token.
    pub(super) fn kept(&self, line: String) -> String {
        match &self.token {
            Some(token) if line.contains(token.as_str()) => line.replace(token, TOKEN_PLACE),
            _ => line,
        }
    }

    async fn reach(&mut self) {
        self.tried = Instant::now();
        match Channel::connect(&self.run).await {
            Ok(channel) => {
                self.channel = Some(channel);
                (self.said, self.acknowledged) = (0, 0);
            }
            // It ends with its program, whose end is noticed elsewhere.
            Err(err) => tracing::debug!(run = %self.run.display(), %err, "no shim was reached"),
        }
    }

    /// Waits until there may be something to read, or `until`.
    pub(super) async fn wait(&mut self, until: Option<Instant>) {
        let longest = Instant::now() + LOOK;
        let until = until.map_or(longest, |until| until.min(longest));
        let Some(channel) = &mut self.channel else {
            sleep_until(until.min(Instant::now() + Duration::from_millis(100))).await;
            if self.tried.elapsed() >= RETRY {
                self.reach().await;
            }
            return;
        };
        tokio::select! {
            said = channel.next() => self.heard(said),
            () = sleep_until(until) => {}
        }
    }

    fn heard(&mut self, said: Option<ShimSays>) {
        match said {
            Some(ShimSays::Accepted { n } | ShimSays::Hello { input_n: n, .. }) => {
                self.taken = self.taken.max(n);
            }
            Some(ShimSays::Refused { n, later: true, .. }) => {
                // The program is busy; it is said again, with all that comes after it.
                self.said = self.said.min(n.saturating_sub(1));
                self.not_before = Instant::now() + AGAIN;
            }
            Some(ShimSays::Refused { n, reason, .. }) => {
                // The program takes no input any more; its end says more.
                warn!(run = %self.run.display(), reason, "a line did not reach its program");
                self.taken = self.taken.max(n);
            }
            Some(ShimSays::Output { .. }) => {}
            None => self.channel = None,
        }
    }

    /// The next whole line of either stream.
    pub(super) fn next_line(&mut self) -> Option<Printed> {
        let line = self.stdout.next(self.ended).or_else(|| self.stderr.next(self.ended));
        if self.stdout.wants {
            self.let_go();
        }
        line
    }

    /// From now on a last line without an end is one too: the program prints no more.
    pub(super) const fn read_to_the_end(&mut self) {
        self.ended = true;
    }

    /// Tells the shim how far standard output was read, so that it may go on.
    pub(super) async fn acknowledge(&mut self) {
        if self.acknowledged == self.stdout.offset {
            return;
        }
        self.acknowledged = self.stdout.offset;
        if let Some(channel) = &mut self.channel
            && channel.read_up_to(self.stdout.offset).await.is_err()
        {
            self.channel = None;
        }
    }

    /// Writes what the shim has not taken; all of it again after it was reached anew, where it
    /// knows what it had.
    pub(super) async fn say(&mut self, memory: &Memory) {
        if self.channel.is_none() && self.tried.elapsed() >= RETRY {
            self.reach().await;
        }
        let Some(channel) = self.channel.as_mut().filter(|_| Instant::now() >= self.not_before)
        else {
            return;
        };
        for (n, text) in memory.unsaid.range(self.said + 1..) {
            let say = async {
                match (text, &self.token) {
                    (Some(text), Some(token)) if text.contains(TOKEN_PLACE) => {
                        channel.send_input(*n, &text.replace(TOKEN_PLACE, token)).await
                    }
                    (Some(text), _) => channel.send_input(*n, text).await,
                    (None, _) => channel.close_input(*n).await,
                }
            };
            match timeout(SAY_WITHIN, say).await {
                Ok(Ok(())) => self.said = *n,
                Ok(Err(err)) => {
                    warn!(run = %self.run.display(), %err, "a line could not be written; trying again");
                    self.channel = None;
                    return;
                }
                // Whoever waits for this conversation to stop must not wait for a shim.
                Err(_) => {
                    warn!(run = %self.run.display(), "a shim does not listen; trying again");
                    self.channel = None;
                    return;
                }
            }
        }
    }

    /// Whether something was kept to be said that was not written since the shim was reached.
    pub(super) fn is_behind(&self, memory: &Memory) -> bool {
        memory.unsaid.last_key_value().is_some_and(|(n, _)| *n > self.said)
    }

    /// Forgets what the shim took; says whether that changed anything.
    pub(super) fn took(&self, memory: &mut Memory) -> bool {
        let left = memory.unsaid.split_off(&(self.taken + 1));
        let took = !memory.unsaid.is_empty();
        memory.unsaid = left;
        took
    }

    pub(super) async fn resize(&mut self, cols: u16, rows: u16) {
        if let Some(channel) = &mut self.channel
            && channel.resize(TerminalSize { cols, rows }).await.is_err()
        {
            self.channel = None;
        }
    }
}
