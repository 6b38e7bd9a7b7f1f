//! Finds the program a run names, and says in words why it cannot be started.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Why a program did not start, each as a sentence a person can act on.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// The specification names no program.
    #[error("no program is named")]
    NoName,
    /// A name that no directory of `PATH` knows.
    #[error("the program '{0}' was not found in PATH: install it, or name its full path")]
    NotInPath(String),
    /// A path that leads nowhere.
    #[error("the program '{}' was not found", .0.display())]
    Absent(PathBuf),
    /// A path that leads to a directory.
    #[error("'{}' is a directory, not a program", .0.display())]
    IsDirectory(PathBuf),
    /// A file without permission to execute it.
    #[error("'{}' may not be executed (permission denied): make it executable with chmod +x", .0.display())]
    NotExecutable(PathBuf),
    /// A file that cannot be looked at.
    #[error("the program '{}' cannot be read: {error}", path.display())]
    Unreadable {
        /// The program.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The directory to start in is not there.
    #[error("the directory '{}' does not exist", .0.display())]
    NoDirectory(PathBuf),
    /// The place to start in is something else.
    #[error("'{}' is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// The directory to start in cannot be used.
    #[error("the directory '{}' cannot be used: {error}", path.display())]
    DirectoryUnusable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Arguments and environment are larger than the system allows.
    #[error(
        "its arguments are too long for this system: give the brief as {{brief_file}} or on \
         standard input instead of {{brief}}"
    )]
    TooLong,
    /// The interpreter of a script, or the loader of a binary, is missing.
    #[error("'{}' could not be run: what its first line (#!) or its format asks for was not found", .0.display())]
    NoInterpreter(PathBuf),
    /// A NUL byte where the system allows none.
    #[error("its program, arguments or environment contain a NUL byte")]
    Nul,
    /// Anything else the system said.
    #[error("'{}' could not be run: {error}", path.display())]
    Refused {
        /// The program.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The specification is damaged.
    #[error("what to start cannot be read: {0}")]
    Specification(std::io::Error),
    /// There is no specification.
    #[error("nothing says what to start")]
    NoSpecification,
    /// A part of the specification that stands in no file is missing.
    #[error("what to start is not known wholly: {0}; retry the mission")]
    Withheld(#[from] crate::withheld::Missing),
    /// This system cannot keep a tree of processes together.
    #[error("its processes cannot be kept together: {0}")]
    Unsupported(String),
    /// The walls around it cannot be put up.
    #[error("its sandbox cannot be set up: {0}")]
    Sandbox(String),
    /// The walls around it hide the program itself.
    #[error(
        "the program '{}' is hidden from inside its sandbox: let it see the home, or install the \
         program outside of it", .0.display()
    )]
    Hidden(PathBuf),
    /// What is set up between the shim and the program failed.
    #[error("{0}")]
    Door(String),
    /// A file for its input or output cannot be opened.
    #[error("its file '{name}' cannot be opened: {error}")]
    File {
        /// The file's name in the run's directory.
        name: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
    /// Every terminal of the system is in use.
    #[error(
        "no terminal is free for it: close programs that use one, or allow more (kernel.pty.max)"
    )]
    NoTerminalLeft,
    /// It cannot be given a terminal.
    #[error("it cannot be given a terminal: {0}")]
    Terminal(std::io::Error),
    /// It was started, but could not be recorded, and so was ended again.
    #[error("it was ended again, because its process could not be recorded: {0}")]
    Unrecorded(std::io::Error),
}

/// The file that `program` means: a path, from `directory` where it is relative, or a name looked up
/// in the directories of `path`.
///
/// # Errors
/// What was not found, and where it was looked for.
pub fn find(program: &str, directory: &Path, path: &OsStr) -> Result<PathBuf, NotStarted> {
    if program.trim().is_empty() {
        return Err(NotStarted::NoName);
    }
    if program.contains('/') {
        return at(&directory.join(program));
    }
    if let Ok(found) = which::which_in(program, Some(path), directory) {
        return Ok(found);
    }
    let unusable =
        std::env::split_paths(path).map(|place| place.join(program)).find(|there| there.is_file());
    match unusable {
        Some(there) => at(&there),
        None => Err(NotStarted::NotInPath(program.to_owned())),
    }
}

/// Checks a path that names the program itself.
fn at(path: &Path) -> Result<PathBuf, NotStarted> {
    let there = path.to_owned();
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Err(NotStarted::IsDirectory(there)),
        Ok(metadata) if metadata.permissions().mode() & 0o111 == 0 => {
            Err(NotStarted::NotExecutable(there))
        }
        Ok(_) => Ok(there),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(NotStarted::Absent(there)),
        Err(error) => Err(NotStarted::Unreadable { path: there, error }),
    }
}

/// Checks the directory a program is to start in.
///
/// # Errors
/// When it is missing, or something else.
pub fn check_directory(directory: &Path) -> Result<(), NotStarted> {
    let path = directory.to_owned();
    match std::fs::metadata(directory) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(NotStarted::NotADirectory(path)),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(NotStarted::NoDirectory(path)),
        Err(error) => Err(NotStarted::DirectoryUnusable { path, error }),
    }
}

/// Says why the system refused to start `program`.
#[must_use]
pub fn refusal(program: &Path, error: std::io::Error) -> NotStarted {
    let path = program.to_owned();
    match error.kind() {
        ErrorKind::ArgumentListTooLong => NotStarted::TooLong,
        ErrorKind::PermissionDenied => NotStarted::NotExecutable(path),
        ErrorKind::NotFound => NotStarted::NoInterpreter(path),
        ErrorKind::InvalidInput => NotStarted::Nul,
        _ => NotStarted::Refused { path, error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_started_is_named_with_where_it_was_looked_for() {
        let here = tempfile::tempdir().unwrap();
        std::fs::write(here.path().join("plain.txt"), "x").unwrap();
        let path = std::ffi::OsString::from("/nowhere/bin:/usr/bin:/bin");
        let check = |program: &str, expect: Result<(), &str>| match (
            find(program, here.path(), &path),
            expect,
        ) {
            (Ok(_), Ok(())) => {}
            (Err(said), Err(part)) => assert!(said.to_string().contains(part), "{said}"),
            (got, _) => panic!("{program}: {got:?}"),
        };
        check("sh", Ok(()));
        check("/bin/sh", Ok(()));
        check("no-such-program", Err("not found in PATH"));
        check("./plain.txt", Err("chmod +x"));
        check("./absent", Err("was not found"));
        check("/tmp", Err("is a directory"));
        check(" ", Err("no program"));
        assert!(check_directory(here.path()).is_ok());
        let said = check_directory(&here.path().join("gone")).unwrap_err();
        assert!(said.to_string().contains("does not exist"), "{said}");
    }
}
