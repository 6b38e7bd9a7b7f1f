//! `hivekeeper scan`: works without an engine, reads and never writes.

use std::path::Path;
use std::process::ExitCode;

use engine::scan::{Duplicate, Place, ScanError, ScanOptions, ScanReport};
use tokio_util::sync::CancellationToken;

use crate::args::Scan;
use crate::failure::Failure;
use crate::out::{Out, remark};

/// Something was found.
const FOUND: u8 = 1;
/// The words make no command.
const USAGE: u8 = 2;
/// What shells expect of a program that Ctrl-C ended.
const CANCELLED: u8 = 130;
/// How many other places one line names.
const OTHERS_MAX: usize = 3;

/// Carries it out.
pub(crate) async fn run(args: Scan, out: &mut Out) -> Result<ExitCode, Failure> {
    let usual = ScanOptions::default();
    let options = ScanOptions {
        lines_max: args.max_lines.unwrap_or(usual.lines_max),
        block_lines: args.block.unwrap_or(usual.block_lines),
        ..usual
    };
    let root = args.directory;
    let report = scanned(&root, options).await?;
    if out.is_json() {
        out.value(&report)?;
    } else {
        say(&report, &root, options, out)?;
    }
    let clean = report.oversize.is_empty() && report.duplicates.is_empty();
    Ok(ExitCode::from(if clean { 0 } else { FOUND }))
}

async fn scanned(root: &Path, options: ScanOptions) -> Result<ScanReport, Failure> {
    const OPERATION: &str = "scan the directory";
    let cancel = CancellationToken::new();
    let scanning = {
        let (root, cancel) = (root.to_owned(), cancel.clone());
        move || engine::scan::scan(&root, &options, &cancel, &mut |_| {})
    };
    let mut scanning = tokio::task::spawn_blocking(scanning);
    let joined = tokio::select! {
        joined = &mut scanning => joined,
        _ = tokio::signal::ctrl_c() => {
            cancel.cancel();
            scanning.await
        }
    };
    let report = joined.map_err(|error| Failure::new(OPERATION).because(&error))?;
    report.map_err(|error| {
        let (code, hint) = match &error {
            ScanError::Cancelled => (CANCELLED, "nothing was changed"),
            _ => (USAGE, "name a directory you may read"),
        };
        Failure::of(&error).hint(hint).exit(code)
    })
}

fn say(
    report: &ScanReport,
    root: &Path,
    options: ScanOptions,
    out: &mut Out,
) -> Result<(), Failure> {
    for file in &report.oversize {
        // Where it begins to be too long.
        let line = u64::from(options.lines_max) + 1;
        let at = named(root, &file.path, line);
        out.line(&format!("{at}: {} lines, {} allowed", file.lines, options.lines_max))?;
    }
    for block in &report.duplicates {
        say_block(block, root, out)?;
    }
    for skipped in &report.skipped {
        remark(&format!("not read: {}: {}", skipped.path, skipped.why));
    }
    if let Some(why) = &report.truncated {
        remark(&format!("the report is not complete: {why}"));
    }
    out.line(&format!(
        "{} files with {} lines: {} too long, {} blocks more than once",
        report.files,
        report.lines,
        report.oversize.len(),
        report.duplicates.len()
    ))
}

/// One line for every place, so that an editor can jump to each.
fn say_block(block: &Duplicate, root: &Path, out: &mut Out) -> Result<(), Failure> {
    for (n, place) in block.places.iter().enumerate() {
        let at = |it: &Place| named(root, &it.path, u64::from(it.line));
        let others = block.places.iter().enumerate().filter(|(m, _)| *m != n);
        let others: Vec<String> = others.take(OTHERS_MAX).map(|(_, place)| at(place)).collect();
        let more = block.places_total.saturating_sub(1 + others.len() as u64);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let others = others.join(", ");
        out.line(&format!("{}: {} equal lines, also at {others}{more}", at(place), block.lines))?;
    }
    Ok(())
}

fn named(root: &Path, path: &str, line: u64) -> String {
    let file = if root == Path::new(".") { Path::new(path).to_owned() } else { root.join(path) };
    format!("{}:{line}", file.display())
}
