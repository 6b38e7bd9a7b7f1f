//! What one look at the trees of many processes costs: by the reader this system is given, and by
//! sysinfo; and what a look costs when nothing changed since the one before.

use std::hint::black_box;
use std::process::{Child, Command, Stdio};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use monitor::Processes;

/// Agents, each of them a shell with a sleeping child.
const AGENTS: [usize; 3] = [50, 200, 500];

struct Swarm(Vec<Child>);

impl Swarm {
    fn start(count: usize) -> Self {
        let one = || {
            let mut shell = Command::new("sh");
            shell.args(["-c", "sleep 600 & wait"]).stdin(Stdio::piped());
            shell.spawn().expect("a shell can be started")
        };
        Self((0..count).map(|_| one()).collect())
    }

    fn roots(&self) -> Vec<u32> {
        self.0.iter().map(Child::id).collect()
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        let roots = self.roots();
        let table = Processes::native().and_then(|mut all| all.scan(&roots, &[]));
        let below =
            table.map(|table| roots.iter().flat_map(|root| table.tree(*root)).collect::<Vec<_>>());
        for row in below.unwrap_or_default() {
            let _ = Command::new("kill").arg(row.pid.to_string()).stderr(Stdio::null()).status();
        }
        for child in &mut self.0 {
            let _ = child.wait();
        }
    }
}

fn scans(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one look at all trees");
    for agents in AGENTS {
        let swarm = Swarm::start(agents);
        let roots = swarm.roots();
        let mut native = Processes::native().expect("there is a process table");
        let mut portable = Processes::portable().expect("there is a process table");
        let look = |processes: &mut Processes| {
            let table = processes.scan(&roots, &[std::process::id()]).expect("it is read");
            roots.iter().map(|root| table.tree(*root).len()).sum::<usize>()
        };
        assert_eq!((look(&mut native), look(&mut portable)), (2 * agents, 2 * agents));
        group.bench_function(BenchmarkId::new("native", agents), |bench| {
            bench.iter(|| black_box(look(&mut native)));
        });
        group.bench_function(BenchmarkId::new("sysinfo", agents), |bench| {
            bench.iter(|| black_box(look(&mut portable)));
        });
        group.bench_function(BenchmarkId::new("files and bytes", agents), |bench| {
            bench.iter(|| roots.iter().map(|root| native.details(*root)).collect::<Vec<_>>());
        });
    }
    group.finish();
}

criterion_group!(benches, scans);
criterion_main!(benches);
