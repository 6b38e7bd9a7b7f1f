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

/// Reads the command line; what comes back as an error is to be printed.
pub(crate) fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Args, String> {
    let mut data_dir = std::env::var_os("HIVEKEEPER_DATA_DIR").map(PathBuf::from);
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--data-dir") => {
                let dir = args
                    .next()
                    .ok_or("failed to read the arguments: --data-dir needs a directory")?;
                data_dir = Some(dir.into());
            }
            Some("--version") => {
                return Err(format!("hivekeeper-desktop {}", env!("CARGO_PKG_VERSION")));
            }
            Some("--help" | "-h") => return Err(USAGE.to_owned()),
            _ => {
                return Err(format!(
                    "failed to read the argument {}\n\n{USAGE}",
                    arg.display()
                ));
            }
        }
    }
    match data_dir.or_else(engine::default_data_dir) {
        Some(data_dir) => Ok(Args { data_dir }),
        None => Err("failed to find a data directory: name one with --data-dir".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Args, String> {
        parse(words.iter().map(OsString::from))
    }

    #[test]
    fn the_window_takes_a_data_directory_and_refuses_what_it_does_not_know() {
        assert_eq!(
            read(&["--data-dir", "/x"]).unwrap().data_dir,
            PathBuf::from("/x")
        );
        assert!(
            read(&["--data-dir"])
                .unwrap_err()
                .contains("needs a directory")
        );
        assert!(read(&["--port", "1"]).unwrap_err().contains("--port"));
        assert!(read(&["--help"]).unwrap_err().starts_with("usage:"));
    }
}
