//! Making missions from a document.

use std::path::Path;
use std::process::ExitCode;

use engine::view::{ImportFormat, ImportItem, ImportNote, ImportRequest, ImportResult};

use crate::args::{DocumentFormat, Import};
use crate::commands::agent::absolute;
use crate::failure::Failure;
use crate::input::Source;
use crate::out::{Out, word};
use crate::remote::{Place, Remote};

/// The largest document, in bytes; the engine takes no larger one.
const DOCUMENT_BYTES_MAX: usize = 5 * 1024 * 1024;

/// Carries it out; exits with 1 when something of the document cannot be taken over.
pub(super) async fn run(args: Import, place: &Place, out: &mut Out) -> Result<ExitCode, Failure> {
    let operation = format!("import {}", args.file.display());
    let request = ImportRequest {
        format: format_of(&args, &operation)?,
        text: read(&args.file, &operation)?,
        repository: args.repo.map(|repo| absolute(&repo, &operation)).transpose()?,
        policy: args.policy,
        labels: args.labels,
        agent: args.agent,
        queue: args.queue,
        apply: args.apply,
    };
    let remote = Remote::find(place, &operation)?;
    let result: ImportResult = match request.apply {
        true => remote.post(&operation, "/api/v1/missions/import", &request).await?,
        false => remote.ask(&operation, "/api/v1/missions/import", &request).await?,
    };
    if out.is_json() {
        out.value(&result)?;
    } else {
        say(&result, out)?;
    }
    Ok(ExitCode::from(u8::from(has_problems(&result))))
}

fn has_problems(result: &ImportResult) -> bool {
    !result.errors.is_empty() || result.items.iter().any(|item| !item.problems.is_empty())
}

fn format_of(args: &Import, operation: &str) -> Result<ImportFormat, Failure> {
    let by_name = || match args.file.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "md" | "markdown" | "txt" => Some(DocumentFormat::Markdown),
        "json" => Some(DocumentFormat::Json),
        "csv" => Some(DocumentFormat::Csv),
        _ => None,
    };
    match args.format.or_else(by_name) {
        Some(DocumentFormat::Markdown) => Ok(ImportFormat::Markdown),
        Some(DocumentFormat::Json) => Ok(ImportFormat::Json),
        Some(DocumentFormat::Csv) => Ok(ImportFormat::Csv),
        None => Err(Failure::usage(operation)
            .since("its name does not tell how it is written")
            .hint("say so with --format")
            .allowed(["markdown", "json", "csv"].map(str::to_owned).to_vec())
            .exit(2)),
    }
}

fn read(file: &Path, operation: &str) -> Result<String, Failure> {
    let Some(name) = file.to_str() else {
        return Err(Failure::new(operation).since("its name is not UTF-8"));
    };
    let given = if name == "-" { name.to_owned() } else { format!("@{name}") };
    let source = Source {
        what: "the document",
        given: &given,
        bytes_max: DOCUMENT_BYTES_MAX,
        too_large: "import it in several pieces",
    };
    source.read()
}

fn say(result: &ImportResult, out: &mut Out) -> Result<(), Failure> {
    let note =
        |what: &str, note: &ImportNote| format!("{what}, line {}: {}", note.line, note.message);
    for error in &result.errors {
        out.line(&note("error", error))?;
    }
    for warning in &result.warnings {
        out.line(&note("note", warning))?;
    }
    for item in &result.items {
        say_item(item, out)?;
    }
    let counts = format!(
        "{} new, {} changed, {} unchanged, {} left out",
        result.created, result.updated, result.unchanged, result.skipped
    );
    match result.applied {
        true => out.line(&format!("done: {counts}")),
        false if !result.errors.is_empty() => {
            out.line("nothing was made; correct the document, then import it again")
        }
        false => out.line(&format!("would be: {counts}; nothing was made, --apply makes it")),
    }
}

fn say_item(item: &ImportItem, out: &mut Out) -> Result<(), Failure> {
    let id = item.short_id.as_ref().map(ToString::to_string).unwrap_or_default();
    out.line(
        format!("line {:<5} {:<9} {id:<8} {}", item.line, word(&item.action), item.title)
            .trim_end(),
    )?;
    for problem in &item.problems {
        let hint = problem.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        out.line(&format!("  problem: {}{hint}", problem.message))?;
    }
    for twin in &item.similar {
        let percent = (twin.similarity * 100.0).round();
        out.line(&format!(
            "  nearly the same: {} '{}' ({}, {percent} %)",
            twin.short_id, twin.title, twin.state
        ))?;
    }
    Ok(())
}
