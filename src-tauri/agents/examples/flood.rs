//! `cargo run --release -p agents --example flood [BYTES [RUNS]]`: what a flood of output costs.
//!
//! Runs print as fast as they can, first lines of JSON and then one endless line, through the shim
//! into their files; this program reads along as the engine does. Told are the speed, the largest
//! memory of this program beyond what it began with, and the largest memory of a shim (PSS).
#![expect(clippy::print_stdout, reason = "it is a program that measures and prints")]

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use agents::Launcher;
use agents::lines::LineReader;
use model::process::{LaunchSpec, ProcessIdentity, file};

/// How many lines are read between two looks at the memory.
const LINES: usize = 1_000;

struct Flood {
    run: PathBuf,
    identity: ProcessIdentity,
    lines: LineReader,
    from: u64,
    over: bool,
}

impl Flood {
    /// Reads what there is, but not more than a few thousand lines.
    fn read(&mut self) -> Result<usize, Box<dyn Error>> {
        let ended = self.run.join(file::EXIT).exists();
        for count in 0..LINES {
            let line = match ended {
                true => self.lines.last_line(self.from)?,
                false => self.lines.next_line(self.from)?,
            };
            match line {
                Some(line) => self.from = line.next_offset,
                None => {
                    self.over = ended;
                    return Ok(count);
                }
            }
        }
        Ok(LINES)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let bytes: u64 = args.next().map_or(Ok(1_000_000_000), |text| text.parse())?;
    let runs: u64 = args.next().map_or(Ok(1), |text| text.parse())?;
    let line =
        "{\"type\":\"text\",\"text\":\"a line of an agent that talks a lot, and then some\"}";
    let each = bytes / runs;
    let lines = format!("yes '{line}' | head -c {each}");
    let endless = format!("head -c {each} /dev/zero | tr '\\0' y");
    measure("lines of JSON", &lines, runs).await?;
    measure("one line", &endless, runs).await
}

async fn measure(what: &str, script: &str, runs: u64) -> Result<(), Box<dyn Error>> {
    let launcher = Launcher::locate()?;
    let place = tempfile::tempdir()?;
    let begun = Instant::now();
    let mut floods = Vec::new();
    for n in 0..runs {
        let run = place.path().join(n.to_string());
        let spec = LaunchSpec {
            program: "sh".to_owned(),
            args: vec!["-c".to_owned(), script.to_owned()],
            directory: "/".to_owned(),
            grace_ms: 1_000,
            marker: run.display().to_string(),
            ..LaunchSpec::default()
        };
        let identity = launcher.start(&run, &spec, None).await?;
        let lines = LineReader::new(&run.join(file::STDOUT));
        floods.push(Flood { run, identity, lines, from: 0, over: false });
    }
    let before = pss("self")?;
    let (mut own, mut shims) = (before, 0);
    while floods.iter().any(|flood| !flood.over) {
        let mut read = 0;
        for flood in floods.iter_mut().filter(|flood| !flood.over) {
            read += flood.read()?;
        }
        own = own.max(pss("self")?);
        let shim = floods.iter().filter_map(|flood| pss(&flood.identity.shim.pid.to_string()).ok());
        shims = shims.max(shim.max().unwrap_or(0));
        if read == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let total: u64 = floods.iter().map(|flood| flood.from).sum();
    println!(
        "{what}: {runs} runs, {total} bytes in {seconds:.2} s, {:.0} MB/s; this program +{} kB, a shim {shims} kB",
        total as f64 / 1e6 / seconds,
        own.saturating_sub(before),
    );
    launcher.close().await;
    Ok(())
}

/// The memory of a process, shared parts counted by their share, in kB.
fn pss(process: &str) -> Result<u64, Box<dyn Error>> {
    let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or("0 kB");
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
