//! `hivekeeper devlog`.

use engine::view::Listing;
use model::devlog as words;

use crate::args::{Devlog, DevlogFormat, ExportDevlog, ListDevlogs};
use crate::commands::deliver;
use crate::failure::Failure;
use crate::out::{Out, remark, time};
use crate::remote::{Place, Remote};
use crate::selector::encode;

/// Carries it out.
pub(crate) async fn run(command: Devlog, place: &Place, out: &mut Out) -> Result<(), Failure> {
    match command {
        Devlog::List(args) => list(&args, place, out).await,
        Devlog::Show { devlog } => show(&devlog, place, out).await,
        Devlog::Export(args) => export(&args, place, out).await,
    }
}

async fn list(args: &ListDevlogs, place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "list the devlogs";
    let remote = Remote::find(place, OPERATION)?;
    let mut query = format!("/api/v1/devlogs?limit={}", args.limit);
    let rest = [("mission", &args.mission), ("text", &args.text), ("cursor", &args.cursor)];
    for (name, value) in rest {
        if let Some(value) = value {
            query.push_str(&format!("&{name}={}", encode(value)));
        }
    }
    let devlogs: Listing<words::Devlog> = remote.get(OPERATION, &query).await?;
    if out.is_json() {
        return out.value(&devlogs);
    }
    if devlogs.items.is_empty() {
        return out.line("no devlogs: one is written whenever an attempt ends");
    }
    let rows: Vec<Vec<String>> = devlogs
        .items
        .iter()
        .map(|devlog| {
            vec![
                devlog.id.to_string(),
                devlog.short_id.to_string(),
                time(devlog.at),
                devlog.title.clone(),
            ]
        })
        .collect();
    out.table(&["ID", "MISSION", "WRITTEN", "TITLE"], &rows)?;
    if let Some(next) = devlogs.next {
        remark(&format!("there is more: --cursor {next}"));
    }
    Ok(())
}

async fn show(id: &str, place: &Place, out: &mut Out) -> Result<(), Failure> {
    let operation = format!("show the devlog {id}");
    let remote = Remote::find(place, &operation)?;
    let path = format!("/api/v1/devlogs/{}", encode(id));
    let devlog: words::Devlog = remote.get(&operation, &path).await?;
    if out.is_json() {
        return out.value(&devlog);
    }
    for line in devlog.markdown.lines() {
        out.line(line)?;
    }
    Ok(())
}

async fn export(args: &ExportDevlog, place: &Place, out: &mut Out) -> Result<(), Failure> {
    let operation = format!("export the devlog {}", args.devlog);
    let remote = Remote::find(place, &operation)?;
    let format = match args.format {
        DevlogFormat::Md => "md",
        DevlogFormat::Html => "html",
    };
    let path = format!("/api/v1/devlogs/{}/export?format={format}", encode(&args.devlog));
    let answer = remote.get_raw(&operation, &path).await?;
    deliver(&answer.body, args.output.as_deref(), out)
}
