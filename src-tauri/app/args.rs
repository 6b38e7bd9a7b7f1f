//! The few words the window takes on its command line.

use std::ffi::OsString;
use std::path::PathBuf;

/// What the window was started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Args {
    /// The workspace.
    pub(crate) data_dir: PathBuf,
}

const USAGE: &str = "usage: hivekeeper-desktop [--data-dir DIR]

  --data-dir DIR   the workspace (default: $HIVEKEEPER_DATA_DIR, else the platform's data directory)
  --version        print the version
  --help           print this";

/// Why there is nothing to start; the text is for the terminal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoStart {
    /// Help or version was asked for.
    #[error("{0}")]
    Asked(String),
    /// An option lacks its value.
    #[error("failed to read the arguments: {0} needs a directory")]
    NoValue(&'static str),
    /// An argument is not known.
    #[error("failed to read the argument {0}\n\n{USAGE}")]
    Unknown(String),
    /// The platform names no place for data.
    #[error("failed to find a data directory: name one with --data-dir")]
    NoDataDir,
}

/// Reads the command line.
pub(crate) fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Args, NoStart> {
    let mut data_dir = std::env::var_os("HIVEKEEPER_DATA_DIR").map(PathBuf::from);
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--data-dir") => {
                data_dir = Some(args.next().ok_or(NoStart::NoValue("--data-dir"))?.into());
            }
            Some("--version") => {
                let version = env!("CARGO_PKG_VERSION");
                return Err(NoStart::Asked(format!("hivekeeper-desktop {version}")));
            }
            Some("--help" | "-h") => return Err(NoStart::Asked(USAGE.to_owned())),
            _ => return Err(NoStart::Unknown(arg.display().to_string())),
        }
    }
    let data_dir = data_dir.or_else(engine::default_data_dir).ok_or(NoStart::NoDataDir)?;
    Ok(Args { data_dir })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Args, NoStart> {
        parse(words.iter().map(OsString::from))
    }

    #[test]
    fn the_window_takes_a_data_directory_and_refuses_what_it_does_not_know() {
        assert_eq!(read(&["--data-dir", "/x"]).unwrap().data_dir, PathBuf::from("/x"));
        assert!(read(&["--data-dir"]).unwrap_err().to_string().contains("needs a directory"));
        assert!(read(&["--port", "1"]).unwrap_err().to_string().contains("--port"));
        assert!(read(&["--help"]).unwrap_err().to_string().starts_with("usage:"));
    }
}
