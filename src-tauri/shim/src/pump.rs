//! Moves what the program prints into its files, and what it is told into its input.
//!
//! One thread and one loop: it waits for whatever comes first and does a bounded piece of work, so
//! that no stream, no engine and no disk keeps another, or the end of a process, waiting. While
//! nothing happens it costs nothing.

use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use model::process::{LaunchSpec, OUTPUT_BYTES_DEFAULT, TerminalSize, file};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::control::{Control, EngineSays, INPUT_BYTES_MAX, ShimSays};
use crate::input::{Input, Sink};
use crate::keep::Kept;
use crate::program::NotStarted;
use crate::redact::{Redactor, Values};
use crate::terminal::{self, Terminal};

/// How much is read from a stream at a time, in bytes.
const READ_BYTES: usize = 64 * 1024;
/// How long the beginning of what may be a secret is held back.
const HOLD_TIME: Duration = Duration::from_millis(100);
/// How often the engine is told that there is more output.
const TELL_TIME: Duration = Duration::from_millis(10);
/// When a full disk is tried again, where nothing may be lost.
const DISK_TIME: Duration = Duration::from_millis(250);
/// How long the last words to the engine may take.
const LAST_WORDS_TIME: Duration = Duration::from_millis(50);

/// The program's side of its streams.
#[derive(Debug)]
pub struct Ends {
    /// What it reads.
    pub stdin: Stdio,
    /// What it prints.
    pub stdout: Stdio,
    /// What it complains about.
    pub stderr: Stdio,
}

/// What can happen while the pump waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Wake,
    Stream(usize),
    Listener,
    Engine,
    Input,
}

/// The shim's side of a program's streams.
#[derive(Debug)]
pub struct Pump {
    /// Standard output and standard error; none while nothing is started.
    streams: Vec<Stream>,
    input: Input,
    terminal: Option<OwnedFd>,
    control: Option<Control>,
    told: (u64, u64),
    told_at: Instant,
    draining: bool,
    buffer: Vec<u8>,
}

impl Pump {
    /// A pump with nothing to do.
    #[must_use]
    pub fn idle() -> Self {
        Self {
            streams: Vec::new(),
            input: Input::new(Sink::None, Vec::new(), None),
            terminal: None,
            control: None,
            told: (0, 0),
            told_at: Instant::now(),
            draining: false,
            buffer: Vec::new(),
        }
    }

    /// Opens the files, the socket, and the streams or the terminal that `spec` asks for.
    ///
    /// # Errors
    /// What cannot be opened.
    pub fn open(run: &Path, spec: &LaunchSpec) -> Result<(Self, Ends), NotStarted> {
        let values = secrets(spec);
        let limit = spec.limits.output_bytes.unwrap_or(OUTPUT_BYTES_DEFAULT);
        let kept = |name, index, conversation| {
            Kept::open(run, name, index, limit, conversation)
                .map_err(|error| NotStarted::File { name, error })
        };
        let out = kept(file::STDOUT, Some(file::STDOUT_INDEX), spec.channel)?;
        let err = kept(file::STDERR, Some(file::STDERR_INDEX), false)?;
        let control = match Control::listen(run) {
            Ok(control) => Some(control),
            // Who is never talked to can do without.
            Err(_) if !spec.channel && spec.terminal.is_none() => None,
            Err(error) => return Err(NotStarted::File { name: file::CONTROL, error }),
        };
        let first = first_input(run, spec)?;
        let (sources, sink, terminal, ends) = match spec.terminal {
            Some(size) => in_terminal(size)?,
            None => in_pipes(run, spec)?,
        };
        let log = match sink {
            Sink::None => None,
            _ => Some((kept(file::STDIN_LOG, None, false)?, values.clone())),
        };
        let streams = [out, err]
            .into_iter()
            .zip(sources)
            .map(|(kept, source)| Stream::new(source, kept, Redactor::new(values.clone())))
            .collect();
        let input = Input::new(sink, first, log);
        Ok((Self { streams, input, terminal, control, ..Self::idle() }, ends))
    }

    /// Works until `wake` is signalled or `time` is over.
    pub fn wait(&mut self, wake: &mut UnixStream, time: Option<Duration>) {
        let deadline = time.map(|time| Instant::now() + time);
        loop {
            let due = self.tend();
            let due = [due, deadline].into_iter().flatten().min();
            let happened = self.poll(Some(wake.as_fd()), due);
            self.handle(&happened);
            if happened.contains(&Source::Wake) {
                // It never blocks; whatever it says, the caller looks.
                while wake.read(&mut [0; 64]).is_ok_and(|count| count == 64) {}
                return;
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return;
            }
        }
    }

    /// Takes what is left in the streams: until they end, and not longer than `time`, because what
    /// outlived the program may hold them open.
    pub fn drain(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        self.draining = true;
        while self.streams.iter().any(Stream::is_open) && Instant::now() < deadline {
            let due = self.tend();
            let happened = self.poll(None, Some(due.map_or(deadline, |due| due.min(deadline))));
            self.handle(&happened);
        }
        for stream in &mut self.streams {
            stream.end();
            stream.lose();
        }
    }

    /// Says the last words, closes everything, and tells how many bytes were not kept and how many
    /// secrets were taken out.
    pub fn close(&mut self) -> (u64, u64) {
        let deadline = Instant::now() + LAST_WORDS_TIME;
        self.tell(true);
        while self
            .control
            .as_ref()
            .is_some_and(|control| control.engine().is_some() && !control.idle())
            && Instant::now() < deadline
        {
            let happened = self.poll(None, Some(deadline));
            self.handle(&happened);
        }
        self.control = None;
        let tally = |tell: fn(&Stream) -> u64| self.streams.iter().map(tell).sum();
        (tally(|stream| stream.kept.given_up()), tally(|stream| stream.redactor.taken))
    }

    /// Does what is due by the clock, and says when the next thing is.
    fn tend(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let streams = self.streams.iter_mut().filter_map(|stream| stream.tend(now)).min();
        let tell = self.tell(false);
        [streams, tell].into_iter().flatten().min()
    }

    /// Tells the engine how much output there is; when it is too early for that, says when it is due.
    fn tell(&mut self, at_once: bool) -> Option<Instant> {
        let now = self.written();
        let control = self.control.as_mut().filter(|control| control.idle())?;
        if now == self.told {
            return None;
        }
        let due = self.told_at + TELL_TIME;
        if Instant::now() < due && !at_once {
            return Some(due);
        }
        control.say(&ShimSays::Output { stdout: now.0, stderr: now.1 });
        (self.told, self.told_at) = (now, Instant::now());
        None
    }

    fn written(&self) -> (u64, u64) {
        let written =
            |index: usize| self.streams.get(index).map_or(0, |stream| stream.kept.written());
        (written(0), written(1))
    }

    /// Waits until something can be done, or it is `due`.
    fn poll(&self, wake: Option<BorrowedFd<'_>>, due: Option<Instant>) -> Vec<Source> {
        let mut asked: Vec<(Source, BorrowedFd<'_>, PollFlags)> = Vec::with_capacity(6);
        asked.extend(wake.map(|wake| (Source::Wake, wake, PollFlags::IN)));
        for (index, stream) in self.streams.iter().enumerate() {
            let source = stream.wants(self.draining);
            asked.extend(source.map(|source| (Source::Stream(index), source, PollFlags::IN)));
        }
        if let Some(control) = &self.control {
            asked.push((Source::Listener, control.listener(), PollFlags::IN));
            if let Some((engine, waits)) = control.engine() {
                let flags = if waits { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
                asked.push((Source::Engine, engine, flags));
            }
        }
        asked.extend(self.input.wants().map(|sink| (Source::Input, sink, PollFlags::OUT)));
        let mut polled: Vec<PollFd<'_>> = asked
            .iter()
            .map(|(_, descriptor, flags)| PollFd::from_borrowed_fd(*descriptor, *flags))
            .collect();
        let time = due.map(|due| due.saturating_duration_since(Instant::now()));
        let time = time.and_then(|time| Timespec::try_from(time).ok());
        match poll(&mut polled, time.as_ref()) {
            Ok(0) => Vec::new(),
            Ok(_) => asked
                .iter()
                .zip(&polled)
                .filter(|(_, polled)| !polled.revents().is_empty())
                .map(|((source, ..), _)| *source)
                .collect(),
            Err(rustix::io::Errno::INTR) => Vec::new(),
            Err(_) => {
                // Never seen; waiting a little keeps the shim from spinning.
                std::thread::sleep(Duration::from_millis(20));
                Vec::new()
            }
        }
    }

    fn handle(&mut self, happened: &[Source]) {
        for source in happened {
            match source {
                Source::Wake => {}
                Source::Stream(index) => {
                    self.buffer.resize(READ_BYTES, 0);
                    if let Some(stream) = self.streams.get_mut(*index) {
                        stream.read(&mut self.buffer);
                    }
                }
                Source::Listener => self.greet(),
                Source::Engine => self.listen(),
                Source::Input => self.feed(),
            }
        }
    }

    fn greet(&mut self) {
        let (stdout, stderr) = self.written();
        if let Some(control) = &mut self.control
            && control.accept()
        {
            self.told = (stdout, stderr);
            control.say(&ShimSays::Hello { input_n: self.input.seen_n(), stdout, stderr });
        }
    }

    fn listen(&mut self) {
        let Some(control) = &mut self.control else {
            return;
        };
        control.flush();
        for said in control.read() {
            match said {
                EngineSays::Read { stdout } => {
                    if let Some(stream) = self.streams.first_mut() {
                        stream.kept.read_up_to(stdout);
                    }
                }
                EngineSays::Resize { cols, rows } => {
                    if let Some(terminal) = &self.terminal {
                        // What is not a terminal any more has no size.
                        let _ = terminal::resize(terminal, TerminalSize { cols, rows });
                    }
                }
                input => {
                    if let Some(answer) = self.input.take(input) {
                        control.say(&answer);
                    }
                }
            }
        }
        self.feed();
    }

    fn feed(&mut self) {
        for answer in self.input.write() {
            if let Some(control) = &mut self.control {
                control.say(&answer);
            }
        }
    }
}

type Opened = ([Option<OwnedFd>; 2], Sink, Option<OwnedFd>, Ends);

fn in_terminal(size: TerminalSize) -> Result<Opened, NotStarted> {
    let terminal = Terminal::open(size)?;
    let copy = |end: &OwnedFd| end.try_clone().map_err(NotStarted::Terminal);
    let ends = Ends {
        stdin: copy(&terminal.programs)?.into(),
        stdout: copy(&terminal.programs)?.into(),
        stderr: terminal.programs.into(),
    };
    let sink = Sink::Terminal(copy(&terminal.ours)?);
    Ok(([Some(copy(&terminal.ours)?), None], sink, Some(terminal.ours), ends))
}

fn in_pipes(run: &Path, spec: &LaunchSpec) -> Result<Opened, NotStarted> {
    let pipe = |name: &'static str| {
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|error| NotStarted::File { name, error: error.into() })
    };
    let ours = |end: OwnedFd, name: &'static str| {
        terminal::no_waiting(&end)
            .map(|()| end)
            .map_err(|error| NotStarted::File { name, error: error.into() })
    };
    let (out, programs_out) = pipe(file::STDOUT)?;
    let (err, programs_err) = pipe(file::STDERR)?;
    let (stdin, sink) = if spec.channel {
        let (programs_in, input) = pipe(file::STDIN)?;
        (Stdio::from(programs_in), Sink::Pipe(ours(input, file::STDIN)?))
    } else if spec.stdin {
        let name = file::STDIN;
        let opened = std::fs::File::open(run.join(name));
        (opened.map_err(|error| NotStarted::File { name, error })?.into(), Sink::None)
    } else {
        (Stdio::null(), Sink::None)
    };
    let ends = Ends { stdin, stdout: programs_out.into(), stderr: programs_err.into() };
    let sources = [Some(ours(out, file::STDOUT)?), Some(ours(err, file::STDERR)?)];
    Ok((sources, sink, None, ends))
}

/// What the program is told first, where its input is not the file itself.
fn first_input(run: &Path, spec: &LaunchSpec) -> Result<Vec<u8>, NotStarted> {
    if !spec.stdin || (!spec.channel && spec.terminal.is_none()) {
        return Ok(Vec::new());
    }
    let name = file::STDIN;
    let failed = |error| NotStarted::File { name, error };
    let opened = std::fs::File::open(run.join(name)).map_err(failed)?;
    let mut first = Vec::new();
    opened.take(INPUT_BYTES_MAX as u64 + 1).read_to_end(&mut first).map_err(failed)?;
    if first.len() > INPUT_BYTES_MAX {
        return Err(failed(std::io::Error::new(
            ErrorKind::FileTooLarge,
            "it is longer than 8 MiB",
        )));
    }
    Ok(first)
}

/// The secrets among the variables the program is given.
fn secrets(spec: &LaunchSpec) -> Values {
    use std::os::unix::ffi::OsStrExt;
    let inherited: Vec<_> = std::env::vars_os().collect();
    let inherited = inherited
        .iter()
        .filter_map(|(name, value)| Some((name.to_str()?, value.as_os_str().as_bytes())));
    let own = spec.env.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let all: Vec<(&str, &[u8])> = inherited.chain(own).collect();
    let mut values = Values::of(all.iter().copied());
    for (_, value) in all.iter().filter(|(name, _)| spec.secret.iter().any(|it| it == name)) {
        values.add(value);
    }
    values
}

/// One stream of the program.
#[derive(Debug)]
struct Stream {
    source: Option<OwnedFd>,
    redactor: Redactor,
    kept: Kept,
    /// What the disk did not take yet.
    ready: Vec<u8>,
    disk_due: Option<Instant>,
    held_since: Option<Instant>,
}

impl Stream {
    const fn new(source: Option<OwnedFd>, kept: Kept, redactor: Redactor) -> Self {
        Self { source, redactor, kept, ready: Vec::new(), disk_due: None, held_since: None }
    }

    const fn is_open(&self) -> bool {
        self.source.is_some()
    }

    /// Where to read from, if there is room for more.
    fn wants(&self, draining: bool) -> Option<BorrowedFd<'_>> {
        let room = self.ready.is_empty() && (draining || self.kept.has_room());
        self.source.as_ref().filter(|_| room).map(AsFd::as_fd)
    }

    fn read(&mut self, buffer: &mut [u8]) {
        let Some(source) = &self.source else {
            return;
        };
        match rustix::io::read(source, &mut *buffer) {
            Ok(0) => self.end(),
            Ok(count) => {
                self.redactor.push(&buffer[..count], &mut self.ready);
                self.store();
                self.held_since = self.redactor.holds().then(Instant::now);
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            // A terminal without a program says so in this way.
            Err(_) => self.end(),
        }
    }

    fn end(&mut self) {
        if self.source.take().is_some() {
            self.redactor.finish(&mut self.ready);
            self.held_since = None;
            self.store();
        }
    }

    fn tend(&mut self, now: Instant) -> Option<Instant> {
        let mut due = None;
        if let Some(since) = self.held_since {
            if now >= since + HOLD_TIME {
                self.redactor.let_go(&mut self.ready);
                self.held_since = None;
                self.store();
            } else {
                due = Some(since + HOLD_TIME);
            }
        }
        if let Some(disk) = self.disk_due {
            if now >= disk {
                self.store();
            }
            due = [due, self.disk_due].into_iter().flatten().min();
        }
        due
    }

    fn store(&mut self) {
        self.disk_due = None;
        match self.kept.append(&mut self.ready) {
            Ok(()) => {}
            // A conversation with a gap cannot go on; the agent waits for room instead.
            Err(error) if self.kept.is_conversation() && is_full(&error) => {
                self.disk_due = Some(Instant::now() + DISK_TIME);
            }
            Err(_) => self.lose(),
        }
        if self.ready.is_empty() && self.ready.capacity() > 2 * READ_BYTES {
            self.ready = Vec::new();
        }
    }

    /// Gives up what the disk did not take.
    fn lose(&mut self) {
        self.kept.lose(self.ready.len());
        self.ready.clear();
        self.disk_due = None;
    }
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> LaunchSpec {
        LaunchSpec {
            program: "true".to_owned(),
            directory: "/".to_owned(),
            ..LaunchSpec::default()
        }
    }

    #[test]
    fn a_grandchild_that_holds_the_streams_is_not_waited_for() {
        let run = tempfile::tempdir().unwrap();
        let (mut pump, ends) = Pump::open(run.path(), &spec()).unwrap();
        // Held open, as by what outlived the program.
        let mut held = std::process::Command::new("sh")
            .args(["-c", "printf 'last words'; exec sleep 600"])
            .stdout(ends.stdout)
            .spawn()
            .unwrap();
        let begun = Instant::now();
        pump.drain(Duration::from_millis(300));
        let took = begun.elapsed();
        held.kill().unwrap();
        held.wait().unwrap();
        assert!((300..2_000).contains(&took.as_millis()), "{took:?}");
        assert_eq!(std::fs::read(run.path().join(file::STDOUT)).unwrap(), b"last words");
        assert_eq!(pump.close(), (0, 0));
        assert!(!run.path().join(file::CONTROL).exists());
    }

    #[test]
    fn without_anybody_there_is_nothing_to_wait_for() {
        let begun = Instant::now();
        Pump::idle().drain(Duration::from_secs(10));
        let (mut wake, _other) = UnixStream::pair().unwrap();
        wake.set_nonblocking(true).unwrap();
        Pump::idle().wait(&mut wake, Some(Duration::ZERO));
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
