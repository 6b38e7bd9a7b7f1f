//! A terminal for a program that wants one.

use std::os::fd::{AsFd, OwnedFd};

use model::process::TerminalSize;
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use crate::program::NotStarted;

/// Both ends of a terminal.
#[derive(Debug)]
pub struct Terminal {
    /// The shim's end; reading and writing never wait.
    pub ours: OwnedFd,
    /// The program's.
    pub programs: OwnedFd,
}

impl Terminal {
    /// Opens a terminal of this size.
    ///
    /// # Errors
    /// When the system has none left, or does not allow it.
    pub fn open(size: TerminalSize) -> Result<Self, NotStarted> {
        Self::open_with(size, || {
            rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
        })
    }

    fn open_with(
        size: TerminalSize,
        open: impl FnOnce() -> rustix::io::Result<OwnedFd>,
    ) -> Result<Self, NotStarted> {
        let failed = |error: Errno| match error {
            // POSIX calls it "try again" when there is none left, and Linux "no space".
            Errno::AGAIN | Errno::NOSPC | Errno::MFILE | Errno::NFILE | Errno::IO => {
                NotStarted::NoTerminalLeft
            }
            error => NotStarted::Terminal(error.into()),
        };
        let ours = open().map_err(failed)?;
        rustix::pty::grantpt(&ours).map_err(failed)?;
        rustix::pty::unlockpt(&ours).map_err(failed)?;
        resize(&ours, size).map_err(failed)?;
        let programs = peer(&ours).map_err(failed)?;
        no_waiting(&ours).map_err(failed)?;
        Ok(Self { ours, programs })
    }
}

fn peer(ours: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    let name = rustix::pty::ptsname(ours, Vec::new())?;
    rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())
}

/// Gives the terminal another size; the kernel tells the program.
///
/// # Errors
/// When it is no terminal.
pub fn resize(terminal: impl AsFd, size: TerminalSize) -> rustix::io::Result<()> {
    let size = Winsize { ws_row: size.rows, ws_col: size.cols, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(terminal, size)
}

/// Makes reading and writing answer at once.
///
/// # Errors
/// When the system refuses.
pub fn no_waiting(descriptor: impl AsFd) -> rustix::io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(&descriptor)?;
    rustix::fs::fcntl_setfl(&descriptor, flags | rustix::fs::OFlags::NONBLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_has_the_size_that_was_asked_for() {
        let terminal = Terminal::open(TerminalSize { cols: 132, rows: 50 }).unwrap();
        let size = rustix::termios::tcgetwinsize(&terminal.programs).unwrap();
        assert_eq!((size.ws_col, size.ws_row), (132, 50));
    }

    #[test]
    fn without_a_free_terminal_the_error_says_what_to_do() {
        let error = Terminal::open_with(TerminalSize::default(), || Err(Errno::NOSPC)).unwrap_err();
        let said = error.to_string();
        assert!(said.contains("no terminal is free") && said.contains("kernel.pty.max"), "{said}");
        let error = Terminal::open_with(TerminalSize::default(), || Err(Errno::PERM)).unwrap_err();
        assert!(matches!(error, NotStarted::Terminal(_)));
    }
}
