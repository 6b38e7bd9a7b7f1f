//! The socket of a run: what the engine and the shim say to each other while the program runs.
//!
//! One JSON object a line. Engines connect one after the other; the newest counts. The shim never
//! waits for the engine: what the engine does not read is told again in one line when it reads, and
//! an engine that lets [`UNREAD_BYTES_MAX`] of answers lie is let go, to connect again.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::process::file;
use serde::{Deserialize, Serialize};

use crate::proc;

/// The longest text of one input, in bytes.
pub const INPUT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The longest line, in bytes: the longest input, where every byte of it is escaped as JSON.
pub const LINE_BYTES_MAX: usize = 6 * INPUT_BYTES_MAX + 1024;
/// How much an engine may leave unread before it is let go, in bytes.
const UNREAD_BYTES_MAX: usize = 64 * 1024;
/// The longest path a socket may have, in bytes; a little less than the system's 107.
const PATH_BYTES_MAX: usize = 100;
/// How much is read at a time, in bytes.
const READ_BYTES: usize = 16 * 1024;
/// How long nothing is done where there is no descriptor for a connection.
const WANT_TIME: Duration = Duration::from_millis(20);

/// What the engine says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineSays {
    /// Write this to the program's input. Numbers grow; one that was seen is not written again.
    Input {
        /// The input's number; shared with [`EngineSays::CloseInput`].
        n: u64,
        /// What is written, as it is: a line end must be part of it.
        text: String,
    },
    /// The program's input is at its end once everything before is written.
    CloseInput {
        /// The number.
        n: u64,
    },
    /// The terminal has another size.
    Resize {
        /// Characters in a line.
        cols: u16,
        /// Lines.
        rows: u16,
    },
    /// Standard output was read up to here and may be given up.
    Read {
        /// The offset in the output.
        stdout: u64,
    },
}

/// What the shim says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShimSays {
    /// The first line of every connection.
    Hello {
        /// The highest number taken over so far; it and those before must not be sent again.
        input_n: u64,
        /// How much standard output there is, in bytes.
        stdout: u64,
        /// How much standard error there is, in bytes.
        stderr: u64,
    },
    /// There is more output.
    Output {
        /// How much standard output there is, in bytes.
        stdout: u64,
        /// How much standard error there is, in bytes.
        stderr: u64,
    },
    /// The input of this number was written to the program, all of it.
    Accepted {
        /// The number.
        n: u64,
    },
    /// The input of this number will not reach the program now.
    Refused {
        /// The number.
        n: u64,
        /// Why, in words a person reads.
        reason: String,
        /// Whether it may, when it is sent again later: the program has not read what came before.
        #[serde(default)]
        later: bool,
    },
}

/// A path to `name` in `directory` short enough for a socket, and what keeps it usable.
///
/// # Errors
/// When the directory cannot be opened.
pub fn short_path(directory: &Path, name: &str) -> std::io::Result<(PathBuf, Option<OwnedFd>)> {
    let path = directory.join(name);
    if path.as_os_str().len() <= PATH_BYTES_MAX {
        return Ok((path, None));
    }
    let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    let held = rustix::fs::open(directory, flags, rustix::fs::Mode::empty())?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}/{name}", held.as_raw_fd())), Some(held)))
}

/// The shim's end of the socket.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    listener: UnixListener,
    engine: Option<Engine>,
}

#[derive(Debug)]
struct Engine {
    stream: UnixStream,
    /// The beginning of a line.
    line: Vec<u8>,
    /// What it did not read yet.
    unread: Vec<u8>,
}

impl Control {
    /// Listens in the run's directory; for its owner only.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn listen(run: &Path) -> std::io::Result<Self> {
        let path = run.join(file::CONTROL);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let (short, _held) = short_path(run, file::CONTROL)?;
        let listener = UnixListener::bind(short)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Self { path, listener, engine: None })
    }

    /// What becomes readable when an engine connects.
    #[must_use]
    pub fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// The connection, and whether something waits to be written to it.
    #[must_use]
    pub fn engine(&self) -> Option<(BorrowedFd<'_>, bool)> {
        self.engine.as_ref().map(|engine| (engine.stream.as_fd(), !engine.unread.is_empty()))
    }

    /// Takes a new connection in the place of the old one; says whether there was one.
    pub fn accept(&mut self) -> bool {
        let mut new = false;
        // At most a few at a time: whoever connects without end must not keep the pump from its work.
        for _ in 0..16 {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if proc::is_want(&error) => {
                    // It goes on waiting to be accepted; without a pause that would be asked for
                    // again and again.
                    std::thread::sleep(WANT_TIME);
                    break;
                }
                Err(_) => break,
            };
            if stream.set_nonblocking(true).is_ok() {
                self.engine = Some(Engine { stream, line: Vec::new(), unread: Vec::new() });
                new = true;
            }
        }
        new
    }

    /// Whether nothing waits to be written to the engine.
    #[must_use]
    pub fn idle(&self) -> bool {
        self.engine.as_ref().is_some_and(|engine| engine.unread.is_empty())
    }

    /// Reads a bounded piece and returns the whole lines in it that can be understood; what a newer
    /// engine may say beyond that is left out.
    pub fn read(&mut self) -> Vec<EngineSays> {
        let Some(engine) = &mut self.engine else {
            return Vec::new();
        };
        let mut piece = [0; READ_BYTES];
        let mut said = Vec::new();
        match engine.stream.read(&mut piece) {
            Ok(0) => self.engine = None,
            Ok(count) => {
                for part in piece[..count].split_inclusive(|byte| *byte == b'\n') {
                    engine.line.extend_from_slice(part);
                    if part.ends_with(b"\n") {
                        said.extend(serde_json::from_slice::<EngineSays>(&engine.line).ok());
                        engine.line = Vec::new();
                    }
                }
                if engine.line.len() > LINE_BYTES_MAX {
                    self.engine = None;
                }
            }
            Err(error) if is_later(&error) => {}
            Err(_) => self.engine = None,
        }
        said
    }

    /// Says something to the engine, if there is one.
    pub fn say(&mut self, said: &ShimSays) {
        let Some(engine) = &mut self.engine else {
            return;
        };
        // Written to memory; there is nothing that could fail.
        let _ = serde_json::to_writer(&mut engine.unread, said);
        engine.unread.push(b'\n');
        self.flush();
    }

    /// Writes what waits, as much as goes at once.
    pub fn flush(&mut self) {
        let Some(engine) = &mut self.engine else {
            return;
        };
        while !engine.unread.is_empty() {
            match engine.stream.write(&engine.unread) {
                Ok(count) if count > 0 => {
                    engine.unread.drain(..count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_later(&error) && engine.unread.len() <= UNREAD_BYTES_MAX => return,
                _ => {
                    self.engine = None;
                    return;
                }
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // The run may have been removed together with it.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn is_later(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
