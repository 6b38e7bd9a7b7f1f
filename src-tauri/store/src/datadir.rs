//! The data directory: created private, checked, and held by one engine at a time.
//!
//! Names never become paths here: everything inside is a fixed word or an id.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use model::id::AttemptId;

/// The file whose OS lock says that an engine runs; holds that engine's process id.
const LOCK_FILE: &str = "lock";
/// The folders an engine expects.
const FOLDERS: [&str; 4] = ["runs", "worktrees", "trash", "logs"];

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It, or a folder inside, could not be created.
    #[error(
        "create the directory {}; nothing was changed: check that its parent exists and may be written, or choose another with --data-dir",
        path.display()
    )]
    Create {
        /// What was to be created.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Something else has its name.
    #[error(
        "use {} as data directory: it is not a directory; choose another with --data-dir",
        path.display()
    )]
    NotADirectory {
        /// The path asked for.
        path: PathBuf,
    },
    /// Nothing can be written into it.
    #[error(
        "write into the data directory {}; nothing was changed: give this user the right to write there (chown, chmod u+rwx), free the disk, or choose another with --data-dir",
        path.display()
    )]
    NotWritable {
        /// What could not be written.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Other users may enter it, and it holds things that are not Hivekeeper's, so that its mode
    /// is not ours to change.
    #[error(
        "use {} as data directory: other users may enter it (mode {mode:03o}) and it holds other files; nothing was changed: choose an empty directory with --data-dir, or run `chmod 700` on it",
        path.display()
    )]
    OpenToOthers {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Its mode is too open and could not be changed, or could not be read.
    #[error(
        "make {} private to this user: run `chmod 700` on it as its owner, or choose another with --data-dir",
        path.display()
    )]
    Permissions {
        /// What was to be made private.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system cannot lock files there (some network file systems cannot).
    #[error(
        "lock {}; nothing was changed: choose a directory on a local disk with --data-dir",
        path.display()
    )]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another engine uses it.
    #[error(
        "open the data directory {}: another engine uses it{}; stop that one, or choose another directory with --data-dir",
        path.display(),
        pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The other engine's process, when its lock file could be read.
        pid: Option<u32>,
    },
}

/// A data directory that belongs to this process until the value is dropped.
#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    lock: File,
}

impl DataDir {
    /// Creates the directory if need be, makes it private, and takes its lock.
    ///
    /// # Errors
    /// When it cannot be created, is not a directory, cannot be written, is open to others and
    /// not ours to close, or another engine holds it. Nothing in it was changed then.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let root = std::path::absolute(path)
            .map_err(|source| DataDirError::Create { path: path.to_owned(), source })?;
        create_private(&root)?;
        make_private(&root)?;
        let lock = take_lock(&root)?;
        let dir = Self { root, lock };
        dir.prove_writable()?;
        for folder in FOLDERS {
            let folder = dir.root.join(folder);
            create_private(&folder)?;
            restrict(&folder)?;
        }
        Ok(dir)
    }

    /// Where the platform keeps such data, unless the captain says otherwise: `None` when the
    /// environment names no home.
    #[must_use]
    pub fn default_path() -> Option<PathBuf> {
        default_path_of(|name| std::env::var_os(name).map(PathBuf::from), std::env::home_dir())
    }

    /// The directory itself, absolute.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where attempts run: one folder per attempt.
    #[must_use]
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// Where git worktrees of attempts live.
    #[must_use]
    pub fn worktrees(&self) -> PathBuf {
        self.root.join("worktrees")
    }

    /// Where removed things wait before they are deleted.
    #[must_use]
    pub fn trash(&self) -> PathBuf {
        self.root.join("trash")
    }

    /// Where the engine's own log files are.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The file that tells local programs how to reach the engine.
    #[must_use]
    pub fn endpoint(&self) -> PathBuf {
        self.root.join("endpoint.json")
    }

    /// The folder of one attempt.
    #[must_use]
    pub fn attempt(&self, id: AttemptId) -> PathBuf {
        self.runs().join(id.to_string())
    }

    /// Writes and removes a file: the lock file alone may be writable where its directory is not.
    fn prove_writable(&self) -> Result<(), DataDirError> {
        let path = self.root.join("write-test");
        let written = private_file(&path)
            .and_then(|mut file| file.write_all(b"x"))
            .and_then(|()| fs::remove_file(&path));
        written.map_err(|source| DataDirError::NotWritable { path: self.root.clone(), source })
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        // Closing the file releases the lock as well; a failure here changes nothing.
        let _ = self.lock.unlock();
    }
}

/// Opens a file for reading and writing, created readable by this user alone.
pub(crate) fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn create_private(path: &Path) -> Result<(), DataDirError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Ok(()) => Ok(()),
        Err(_) if path.exists() && !path.is_dir() => {
            Err(DataDirError::NotADirectory { path: path.to_owned() })
        }
        Err(source) => Err(DataDirError::Create { path: path.to_owned(), source }),
    }
}

/// Closes the directory to other users, if it is empty or already one of ours.
#[cfg(unix)]
fn make_private(root: &Path) -> Result<(), DataDirError> {
    let mode = mode_of(root)?;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let mut entries = fs::read_dir(root)
        .map_err(|source| DataDirError::NotWritable { path: root.to_owned(), source })?;
    // Closing /tmp or somebody's home to others would break more than it protects.
    let ours = root.join(LOCK_FILE).is_file() || entries.next().is_none();
    if !ours || mode & 0o1000 != 0 {
        return Err(DataDirError::OpenToOthers { path: root.to_owned(), mode });
    }
    restrict(root)
}

#[cfg(unix)]
fn mode_of(path: &Path) -> Result<u32, DataDirError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = fs::metadata(path)
        .map_err(|source| DataDirError::Permissions { path: path.to_owned(), source })?;
    Ok(metadata.permissions().mode() & 0o7777)
}

#[cfg(unix)]
fn restrict(path: &Path) -> Result<(), DataDirError> {
    use std::os::unix::fs::PermissionsExt;
    if mode_of(path)? & 0o077 == 0 {
        return Ok(());
    }
    tracing::warn!(path = %path.display(), "directory was open to other users, now private");
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
        .map_err(|source| DataDirError::Permissions { path: path.to_owned(), source })
}

/// Other platforms inherit the access rules of the user's own folder.
#[cfg(not(unix))]
fn make_private(_root: &Path) -> Result<(), DataDirError> {
    Ok(())
}

#[cfg(not(unix))]
fn restrict(_path: &Path) -> Result<(), DataDirError> {
    Ok(())
}

fn take_lock(root: &Path) -> Result<File, DataDirError> {
    let path = root.join(LOCK_FILE);
    let mut file = private_file(&path)
        .map_err(|source| DataDirError::NotWritable { path: root.to_owned(), source })?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(DataDirError::Locked { path: root.to_owned(), pid: holder(&mut file) });
        }
        Err(TryLockError::Error(source)) => return Err(DataDirError::Lock { path, source }),
    }
    let noted = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    noted.map_err(|source| DataDirError::NotWritable { path: root.to_owned(), source })?;
    Ok(file)
}

/// Reads the process id that the holder of the lock wrote.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(target_os = "macos")]
fn default_path_of(
    _variable: impl Fn(&str) -> Option<PathBuf>,
    home: Option<PathBuf>,
) -> Option<PathBuf> {
    Some(home?.join("Library/Application Support/Hivekeeper"))
}

#[cfg(windows)]
fn default_path_of(
    variable: impl Fn(&str) -> Option<PathBuf>,
    _home: Option<PathBuf>,
) -> Option<PathBuf> {
    Some(variable("APPDATA")?.join("Hivekeeper"))
}

/// XDG Base Directory Specification: a relative `XDG_DATA_HOME` is ignored.
#[cfg(not(any(target_os = "macos", windows)))]
fn default_path_of(
    variable: impl Fn(&str) -> Option<PathBuf>,
    home: Option<PathBuf>,
) -> Option<PathBuf> {
    let data_home = variable("XDG_DATA_HOME").filter(|path| path.is_absolute());
    let data_home = data_home.or_else(|| Some(home?.join(".local/share")))?;
    Some(data_home.join("hivekeeper"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn scratch() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary directory")
    }

    #[test]
    fn a_new_directory_comes_with_its_folders() {
        let scratch = scratch();
        let dir = DataDir::open(&scratch.path().join("a/b")).expect("opens");
        for folder in [dir.runs(), dir.worktrees(), dir.trash(), dir.logs()] {
            assert!(folder.is_dir(), "{} is missing", folder.display());
        }
        let id = AttemptId::from_uuid(Uuid::nil());
        assert_eq!(dir.attempt(id), dir.runs().join(Uuid::nil().to_string()));
        assert!(!dir.root().join("write-test").exists());
    }

    #[test]
    fn a_second_engine_is_told_who_holds_the_directory_and_may_have_it_afterwards() {
        let scratch = scratch();
        let first = DataDir::open(scratch.path()).expect("opens");
        match DataDir::open(scratch.path()) {
            Err(DataDirError::Locked { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("expected Locked, got {other:?}"),
        }
        drop(first);
        DataDir::open(scratch.path()).expect("the lock went with the first");
    }

    #[test]
    fn a_file_in_its_place_is_named() {
        let scratch = scratch();
        let path = scratch.path().join("taken");
        fs::write(&path, "x").expect("writes");
        let error = DataDir::open(&path).expect_err("not a directory");
        assert!(matches!(error, DataDirError::NotADirectory { .. }));
        assert!(error.to_string().contains(&path.display().to_string()));
        let error = DataDir::open(&path.join("below")).expect_err("cannot be created");
        assert!(matches!(error, DataDirError::Create { .. }), "{error:?}");
    }

    #[cfg(unix)]
    mod on_unix {
        use super::*;
        use std::os::unix::fs::PermissionsExt;

        fn mode(path: &Path) -> u32 {
            fs::metadata(path).expect("exists").permissions().mode() & 0o7777
        }

        fn set(path: &Path, mode: u32) {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
        }

        #[test]
        fn what_it_creates_is_private() {
            let scratch = scratch();
            let dir = DataDir::open(&scratch.path().join("data")).expect("opens");
            assert_eq!(mode(dir.root()), 0o700);
            assert_eq!(mode(&dir.runs()), 0o700);
            assert_eq!(mode(&dir.root().join(LOCK_FILE)), 0o600);
        }

        #[test]
        fn an_open_directory_is_closed_when_it_is_ours_and_refused_when_it_is_not() {
            let scratch = scratch();
            let empty = scratch.path().join("empty");
            fs::create_dir(&empty).expect("mkdir");
            set(&empty, 0o755);
            drop(DataDir::open(&empty).expect("an empty directory becomes ours"));
            assert_eq!(mode(&empty), 0o700);
            set(&empty, 0o755);
            set(&empty.join("runs"), 0o755);
            drop(DataDir::open(&empty).expect("it is ours"));
            assert_eq!((mode(&empty), mode(&empty.join("runs"))), (0o700, 0o700));

            let home = scratch.path().join("home");
            fs::create_dir(&home).expect("mkdir");
            fs::write(home.join("letter"), "x").expect("writes");
            set(&home, 0o755);
            let error = DataDir::open(&home).expect_err("not ours");
            assert!(matches!(error, DataDirError::OpenToOthers { mode: 0o755, .. }));
            assert_eq!(mode(&home), 0o755, "nothing was changed");
            assert_eq!(fs::read_dir(&home).expect("readable").count(), 1);
        }

        #[test]
        fn it_is_refused_exactly_when_it_cannot_be_written() {
            let scratch = scratch();
            let path = scratch.path().join("closed");
            fs::create_dir(&path).expect("mkdir");
            set(&path, 0o500);
            // The superuser writes everywhere, so the answer is compared with an attempt.
            let may_write = fs::write(path.join("attempt"), "x").is_ok();
            let opened = DataDir::open(&path);
            assert_eq!(opened.is_ok(), may_write);
            if let Err(error) = opened {
                assert!(matches!(error, DataDirError::NotWritable { .. }), "{error:?}");
            }
            set(&path, 0o700);
        }
    }

    #[cfg(not(any(target_os = "macos", windows)))]
    #[test]
    fn the_default_follows_the_xdg_rules() {
        let home = || Some(PathBuf::from("/home/ada"));
        let cases = [
            (Some("/data"), home(), Some("/data/hivekeeper")),
            (Some("relative"), home(), Some("/home/ada/.local/share/hivekeeper")),
            (None, home(), Some("/home/ada/.local/share/hivekeeper")),
            (None, None, None),
        ];
        for (xdg, home, expected) in cases {
            let found = default_path_of(|_| xdg.map(PathBuf::from), home);
            assert_eq!(found, expected.map(PathBuf::from), "XDG_DATA_HOME={xdg:?}");
        }
    }
}
