//! One look at the whole process table, divided among the runs it belongs to.
//!
//! Looking for each run by itself would read the table once per run; with hundreds of runs that
//! takes longer than ending them may.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use model::process::{ExitRecord, LaunchSpec, ProcessIdentity, ProcessRef, file};
use shim::proc::{self, Stat};
use shim::record;

use crate::survey::this_boot;

/// How many parents a process may have: more is a table that changed while it was read.
const PARENTS_MAX: usize = 4096;

/// A run whose processes are looked for.
#[derive(Debug)]
pub(crate) struct Watched {
    /// Its directory.
    pub(crate) run: PathBuf,
    /// The value of the variable its processes carry; nothing where no file of it could be read.
    pub(crate) marker: Option<String>,
    /// Its shim, which is never one of its members.
    pub(crate) shim: Option<ProcessRef>,
    /// Its processes as far as they are known; they stay its own wherever they go.
    pub(crate) known: HashSet<ProcessRef>,
    /// Whether it has said neither what it started nor how it ended.
    pub(crate) starting: bool,
}

impl Watched {
    /// A run that was started.
    pub(crate) fn started(run: &Path, identity: &ProcessIdentity) -> Self {
        let ours = this_boot(identity);
        Self {
            run: run.to_owned(),
            marker: Some(identity.marker.clone()),
            shim: ours.then_some(identity.shim),
            known: ours.then_some(identity.program).into_iter().collect(),
            starting: false,
        }
    }

    /// What the directory of a run says; nothing where it is over, or no run.
    pub(crate) fn open(run: &Path) -> Option<Self> {
        if run.join(file::EXIT).exists() {
            return None;
        }
        let spec = || record::read_json::<LaunchSpec>(&run.join(file::SPEC)).ok().flatten();
        match record::read_json::<ProcessIdentity>(&run.join(file::PROCESS)) {
            Ok(Some(identity)) => Some(Self::started(run, &identity)),
            Ok(None) => {
                let marker = spec()?.marker;
                Some(Self { marker: Some(marker), starting: true, ..Self::blank(run) })
            }
            // A damaged record does not make its processes anybody else's.
            Err(_) => {
                let marker = spec().map(|spec| spec.marker).or_else(|| usual_marker(run));
                Some(Self { marker, ..Self::blank(run) })
            }
        }
    }

    /// A run that is over, and yet something carries its marker.
    pub(crate) fn left_over(run: &Path, markers: &HashSet<String>) -> Option<Self> {
        let spec: Option<LaunchSpec> = record::read_json(&run.join(file::SPEC)).ok().flatten();
        let marker = spec.map(|spec| spec.marker).or_else(|| usual_marker(run));
        let marker = marker.filter(|marker| markers.contains(marker))?;
        // What could not be ended then is ours still.
        let exit: Option<ExitRecord> = record::read_json(&run.join(file::EXIT)).ok().flatten();
        let known = exit.map(|exit| exit.survivors).unwrap_or_default();
        Some(Self { marker: Some(marker), known: known.into_iter().collect(), ..Self::blank(run) })
    }

    /// A run of which nothing is known but where it is.
    pub(crate) fn blank(run: &Path) -> Self {
        Self {
            run: run.to_owned(),
            marker: None,
            shim: None,
            known: HashSet::new(),
            starting: false,
        }
    }
}

/// What the processes of a run carry where no file of it says so: an attempt's its id, which is the
/// name of its directory, and everything else's the place of its run.
fn usual_marker(run: &Path) -> Option<String> {
    let name = run.file_name()?.to_str()?;
    if name.parse::<model::id::AttemptId>().is_ok() {
        return Some(name.to_owned());
    }
    Some(run.display().to_string())
}

/// The living processes at one moment, and what each of them carries.
#[derive(Debug)]
pub(crate) struct Census {
    processes: HashMap<u32, (Stat, Option<String>)>,
    /// Whether there may be more: not every process could be looked at.
    pub(crate) unsure: bool,
}

impl Census {
    /// Looks at the process table.
    pub(crate) fn take() -> Self {
        let table = proc::table();
        let mut unsure = table.is_err();
        let mut processes = HashMap::new();
        for stat in table.unwrap_or_default().into_iter().filter(|stat| !stat.ended) {
            let marker = proc::marker(stat.pid);
            unsure |= marker.is_err();
            processes.insert(stat.pid, (stat, marker.unwrap_or_default()));
        }
        Self { processes, unsure }
    }

    /// Every marker that something carries.
    pub(crate) fn markers(&self) -> HashSet<String> {
        self.processes.values().filter_map(|(_, marker)| marker.clone()).collect()
    }

    /// Whether this very process is alive.
    pub(crate) fn has(&self, process: ProcessRef) -> bool {
        self.processes.get(&process.pid).is_some_and(|(stat, _)| stat.process() == process)
    }

    /// The living processes of each run, in the order of `runs`: what carries its marker, what it is
    /// known to have, and everything below these and below its shim.
    pub(crate) fn divide(&self, runs: &mut [Watched]) -> Vec<Vec<Stat>> {
        let mut owners: HashMap<u32, usize> = HashMap::new();
        let shims: HashMap<u32, usize> = runs
            .iter()
            .enumerate()
            .filter_map(|(index, run)| Some((run.shim.filter(|shim| self.has(*shim))?.pid, index)))
            .collect();
        for (index, run) in runs.iter().enumerate() {
            for known in run.known.iter().filter(|known| self.has(**known)) {
                owners.insert(known.pid, index);
            }
        }
        let by_marker: HashMap<&str, usize> = runs
            .iter()
            .enumerate()
            .filter_map(|(index, run)| Some((run.marker.as_deref()?, index)))
            .collect();
        for (pid, (_, marker)) in &self.processes {
            if let Some(index) = marker.as_deref().and_then(|marker| by_marker.get(marker)) {
                owners.insert(*pid, *index);
            }
        }
        let own = std::process::id();
        let mut members: Vec<Vec<Stat>> = runs.iter().map(|_| Vec::new()).collect();
        for (pid, (stat, _)) in &self.processes {
            if *pid == own || shims.contains_key(pid) {
                continue;
            }
            let owner = self.owner(*pid, &owners, &shims);
            if let Some(run) = owner.and_then(|index| members.get_mut(index)) {
                run.push(*stat);
            }
        }
        for (run, members) in runs.iter_mut().zip(&members) {
            run.known = members.iter().map(Stat::process).collect();
        }
        members
    }

    /// Whose a process is: its own, or its nearest parent's that is anybody's.
    fn owner(
        &self,
        pid: u32,
        owners: &HashMap<u32, usize>,
        shims: &HashMap<u32, usize>,
    ) -> Option<usize> {
        let mut at = pid;
        for _ in 0..PARENTS_MAX {
            if let Some(owner) = owners.get(&at).or_else(|| shims.get(&at)) {
                return Some(*owner);
            }
            at = self.processes.get(&at).map(|(stat, _)| stat.parent).filter(|up| *up > 1)?;
        }
        None
    }

    /// The process that was started to be the shim of `run`.
    pub(crate) fn shim_of(&self, run: &Path) -> Option<ProcessRef> {
        let place = run.canonicalize().ok()?;
        self.processes.values().find_map(|(stat, _)| {
            use std::os::unix::ffi::OsStrExt;
            let arguments = proc::arguments(stat.pid);
            let named = arguments.get(1).filter(|_| arguments.len() <= 3)?;
            let named = Path::new(std::ffi::OsStr::from_bytes(named));
            let is_it = named.is_absolute() && (named == run || named == place);
            (is_it && arguments.first()?.ends_with(b"hivekeeper-shim")).then(|| stat.process())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn census(table: &[(u32, u32, Option<&str>)]) -> Census {
        let stat = |pid, parent| Stat {
            pid,
            parent,
            start_ticks: u64::from(pid),
            ended: false,
            held: false,
        };
        let processes = table
            .iter()
            .map(|(pid, parent, marker)| (*pid, (stat(*pid, *parent), marker.map(str::to_owned))))
            .collect();
        Census { processes, unsure: false }
    }

    fn process(pid: u32) -> ProcessRef {
        ProcessRef { pid, start_ticks: u64::from(pid) }
    }

    fn run(marker: &str, shim: u32) -> Watched {
        let marker = Some(marker.to_owned());
        Watched { marker, shim: Some(process(shim)), ..Watched::blank(Path::new("/run")) }
    }

    fn pids(members: &[Stat]) -> Vec<u32> {
        let mut pids: Vec<u32> = members.iter().map(|stat| stat.pid).collect();
        pids.sort_unstable();
        pids
    }

    #[test]
    fn each_process_belongs_to_one_run_by_its_marker_its_parents_or_what_is_known() {
        let mut runs = [run("a", 10), run("b", 20)];
        let table = census(&[
            (1, 0, None),
            (10, 1, None),
            (11, 10, Some("a")),
            (12, 11, None),
            (13, 10, None),
            (20, 1, None),
            (21, 20, Some("b")),
            (22, 1, Some("b")),
            (23, 12, Some("b")),
            (30, 1, Some("c")),
            (31, 1, None),
        ]);
        let members = table.divide(&mut runs);
        assert_eq!(pids(&members[0]), [11, 12, 13], "the one that hides its marker too");
        assert_eq!(pids(&members[1]), [21, 22, 23], "a marker says more than a parent");
        // Later: one has lost its parents, and a stranger has the number of another.
        let later = census(&[(12, 1, None), (22, 1, None)]);
        let mut stranger = later.processes[&22].clone();
        stranger.0.start_ticks += 1;
        let mut later = later;
        later.processes.insert(22, stranger);
        let members = later.divide(&mut runs);
        assert_eq!((pids(&members[0]), pids(&members[1])), (vec![12], vec![]));
    }

    #[test]
    fn a_table_that_goes_in_circles_comes_to_an_end() {
        let mut runs = [run("a", 10)];
        let members = census(&[(2, 3, None), (3, 2, None)]).divide(&mut runs);
        assert_eq!(pids(&members[0]), Vec::<u32>::new());
    }
}
