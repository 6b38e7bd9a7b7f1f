//! Talks to a run's shim while its program runs: input, the terminal's size, and how much output
//! there is.
//!
//! A channel is one connection and remembers nothing beyond it. When it is gone, the caller connects
//! again: the first thing it hears then is [`ShimSays::Hello`], with the number of the last input that
//! was taken over, so that no input is sent twice or forgotten. A run whose shim is gone has no
//! channel; how it ended is for [`crate::Launcher::wait`] to say.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::process::{TerminalSize, file};
pub use shim::control::{EngineSays, INPUT_BYTES_MAX, ShimSays};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// How much may wait to be sent, in bytes: two of the longest inputs.
const UNSENT_BYTES_MAX: usize = 2 * shim::control::LINE_BYTES_MAX;
/// The longest line a shim says, in bytes.
const SAID_BYTES_MAX: usize = 64 * 1024;
/// How long a shim may leave what it is sent unread: it never waits for anything itself.
const SEND_TIME: Duration = Duration::from_secs(5);
/// After so long without a word the output is worth a look.
pub const LOOK: Duration = Duration::from_millis(500);

/// What keeps a run from being talked to.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// Nobody answers: the shim is gone, or there never was one.
    #[error("reach the run at '{}'", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The connection is gone.
    #[error("talk to the run: the connection is gone; connect again")]
    Gone(#[source] std::io::Error),
    /// An input that is too long.
    #[error(
        "send {bytes} bytes to the program: {INPUT_BYTES_MAX} at a time are possible; give it as a file"
    )]
    TooLong {
        /// Its length, in bytes.
        bytes: usize,
    },
    /// Too much waits to be sent already; nothing of this was taken.
    #[error("send to the program: {waiting} bytes wait to be sent already; try again later")]
    Full {
        /// How much waits, in bytes.
        waiting: usize,
    },
}

/// What came within a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// The shim said something.
    Said(ShimSays),
    /// Nothing; a look at the output does no harm.
    Quiet,
    /// The connection is gone.
    Gone,
}

/// A connection to a run's shim. Every method may be dropped half-way: what was not sent then is
/// sent with the next call, whatever it is.
#[derive(Debug)]
pub struct Channel {
    stream: UnixStream,
    /// The beginning of a line.
    line: Vec<u8>,
    unsent: Vec<u8>,
    /// How much of `unsent` is sent.
    sent: usize,
}

impl Channel {
    /// Connects to the shim of the run. An engine that was connected before is let go.
    ///
    /// # Errors
    /// When nobody answers there.
    pub async fn connect(run: &Path) -> Result<Self, ChannelError> {
        let path = run.join(file::CONTROL);
        let failed = |source| ChannelError::Connect { path: path.clone(), source };
        // The short way to a long path is open until it was gone.
        let (short, _held) = shim::control::short_path(run, file::CONTROL).map_err(failed)?;
        let stream = UnixStream::connect(short).await.map_err(failed)?;
        Ok(Self { stream, line: Vec::new(), unsent: Vec::new(), sent: 0 })
    }

    /// Sends input number `n` to the program, as it is: a line end must be part of it.
    ///
    /// Numbers grow over the whole life of the run, with or without gaps. The answer comes through
    /// [`Channel::next`]: accepted when it is written, or refused.
    ///
    /// # Errors
    /// When it is too long, too much waits, or the connection is gone.
    pub async fn send_input(&mut self, n: u64, text: &str) -> Result<(), ChannelError> {
        if text.len() > INPUT_BYTES_MAX {
            return Err(ChannelError::TooLong { bytes: text.len() });
        }
        self.send(&EngineSays::Input { n, text: text.to_owned() }).await
    }

    /// Ends the program's input; `n` counts as the number of an input.
    ///
    /// # Errors
    /// As [`Channel::send_input`].
    pub async fn close_input(&mut self, n: u64) -> Result<(), ChannelError> {
        self.send(&EngineSays::CloseInput { n }).await
    }

    /// Gives the terminal another size; nothing where the run has none.
    ///
    /// # Errors
    /// As [`Channel::send_input`].
    pub async fn resize(&mut self, size: TerminalSize) -> Result<(), ChannelError> {
        self.send(&EngineSays::Resize { cols: size.cols, rows: size.rows }).await
    }

    /// Says that standard output was read up to `offset` and need not be kept for this engine.
    ///
    /// # Errors
    /// As [`Channel::send_input`].
    pub async fn read_up_to(&mut self, offset: u64) -> Result<(), ChannelError> {
        self.send(&EngineSays::Read { stdout: offset }).await
    }

    async fn send(&mut self, said: &EngineSays) -> Result<(), ChannelError> {
        let waiting = self.unsent.len() - self.sent;
        let line = serde_json::to_vec(said).map_err(|error| ChannelError::Gone(error.into()))?;
        if waiting + line.len() > UNSENT_BYTES_MAX {
            return Err(ChannelError::Full { waiting });
        }
        self.unsent.extend_from_slice(&line);
        self.unsent.push(b'\n');
        let written = tokio::time::timeout(SEND_TIME, async {
            while !self.unsent.is_empty() {
                self.stream.writable().await?;
                self.write()?;
            }
            Ok(())
        });
        // A shim that is held, or cannot go on, must hold nobody else up.
        let silent = std::io::Error::from(ErrorKind::TimedOut);
        written.await.unwrap_or(Err(silent)).map_err(ChannelError::Gone)
    }

    /// Writes as much as goes at once.
    fn write(&mut self) -> std::io::Result<()> {
        match self.stream.try_write(&self.unsent[self.sent..]) {
            Ok(count) => {
                self.sent += count;
                if self.sent == self.unsent.len() {
                    (self.unsent, self.sent) = (Vec::new(), 0);
                }
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What the shim says next; nothing when the connection is gone.
    pub async fn next(&mut self) -> Option<ShimSays> {
        loop {
            if let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.line.drain(..=end).collect();
                match serde_json::from_slice(&line) {
                    Ok(said) => return Some(said),
                    // A newer shim may say more than this engine understands.
                    Err(_) => continue,
                }
            }
            if self.line.len() > SAID_BYTES_MAX {
                return None;
            }
            let wanted = match self.unsent.is_empty() {
                true => Interest::READABLE,
                false => Interest::READABLE | Interest::WRITABLE,
            };
            let ready = self.stream.ready(wanted).await.ok()?;
            if ready.is_writable() && !self.unsent.is_empty() {
                self.write().ok()?;
            }
            let mut piece = [0; 4096];
            match self.stream.try_read(&mut piece) {
                Ok(0) => return None,
                Ok(count) => self.line.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
    }

    /// What the shim says within `time`; [`LOOK`] is a good one.
    pub async fn hear(&mut self, time: Duration) -> Heard {
        match tokio::time::timeout(time, self.next()).await {
            Ok(Some(said)) => Heard::Said(said),
            Ok(None) => Heard::Gone,
            Err(_) => Heard::Quiet,
        }
    }
}
