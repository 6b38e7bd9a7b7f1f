//! The files of a run: what is written before its shim is started, and what is read of it.

use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::clock::{Clock, SystemClock};
use model::process::{Exit, ExitRecord, LaunchSpec, ProcessIdentity, ProcessRef, file};
use shim::{record, withheld};

use crate::launcher::LaunchError;

/// What is added to the name of a record that is damaged, when another takes its place.
const DAMAGED: &str = "damaged";
/// The grace of a run whose specification cannot be read.
const GRACE_DEFAULT: Duration = Duration::from_secs(model::agent::GRACE_S_DEFAULT as u64);

/// A record about processes nobody measured.
pub(crate) fn bare_record(exit: Exit, survivors: Vec<ProcessRef>) -> ExitRecord {
    ExitRecord { survivors, ..ExitRecord::bare(exit, SystemClock.now()) }
}

/// Writes down what is to be started, all but its secrets, which are returned: the shim gets them in
/// its environment, and the program from there.
pub(crate) fn prepare(
    run: &Path,
    spec: &LaunchSpec,
    stdin: Option<&[u8]>,
) -> Result<Vec<(String, String)>, LaunchError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| LaunchError::Prepare { path, source }
    };
    let (written, secrets) = withheld::take_out(spec);
    let odd = |(name, value): &(String, String)| name.contains(['\0', '=']) || value.contains('\0');
    if let Some((name, _)) = secrets.iter().find(|variable| odd(variable)) {
        let reason = format!("its variable {name:?} contains a NUL byte or is no name");
        return Err(LaunchError::NotStarted { reason });
    }
    // Whoever starts the same run at the same time writes the same files.
    static WRITING: Mutex<()> = Mutex::new(());
    let _turn = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    make_private(run).map_err(failed(run))?;
    if let Some(bytes) = stdin {
        let path = run.join(file::STDIN);
        record::write(&path, bytes).map_err(failed(&path))?;
    }
    let spec = LaunchSpec { stdin: stdin.is_some(), ..written };
    let path = run.join(file::SPEC);
    record::write_json(&path, &spec).map_err(failed(&path))?;
    Ok(secrets)
}

/// Writes the record of a run whose shim did not; one that is damaged is set aside.
pub(crate) fn put_exit(run: &Path, record: ExitRecord) -> Result<ExitRecord, LaunchError> {
    let path = run.join(file::EXIT);
    let failed = |source| LaunchError::Record { path: path.clone(), source };
    if read_exit(run).is_err_and(|error| error.is_damage()) {
        std::fs::rename(&path, path.with_extension(DAMAGED)).map_err(failed)?;
    }
    match record::write_json(&path, &record) {
        // Where the run itself was removed nobody will ask how it ended.
        Err(source) if source.kind() != ErrorKind::NotFound => Err(failed(source)),
        _ => Ok(record),
    }
}

/// Makes a directory that only its owner can look into.
pub(crate) fn make_private(directory: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

pub(crate) fn read_exit(run: &Path) -> Result<Option<ExitRecord>, LaunchError> {
    read(run.join(file::EXIT))
}

pub(crate) fn read_process(run: &Path) -> Result<Option<ProcessIdentity>, LaunchError> {
    read(run.join(file::PROCESS))
}

pub(crate) fn read_spec(run: &Path) -> Result<Option<LaunchSpec>, LaunchError> {
    read(run.join(file::SPEC))
}

fn read<T: serde::de::DeserializeOwned>(path: PathBuf) -> Result<Option<T>, LaunchError> {
    record::read_json(&path).map_err(|source| LaunchError::Record { path, source })
}

/// How long the program of a run has between TERM and KILL.
pub(crate) fn grace_of(run: &Path) -> Duration {
    match read_spec(run) {
        Ok(Some(spec)) => Duration::from_millis(spec.grace_ms),
        _ => GRACE_DEFAULT,
    }
}
