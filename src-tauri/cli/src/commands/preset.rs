//! `hivekeeper preset`.

use std::process::ExitCode;

use engine::view::{PresetList, PresetTest};

use crate::args::Preset;
use crate::failure::Failure;
use crate::out::{Out, word};
use crate::remote::{Place, Remote};
use crate::selector::encode;

/// Carries it out; exits with 1 when a tried one did not answer.
pub(crate) async fn run(
    command: Preset,
    place: &Place,
    out: &mut Out,
) -> Result<ExitCode, Failure> {
    match command {
        Preset::List => list(place, out).await?,
        Preset::Test { preset } => return test(&preset, place, out).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "list the presets";
    let remote = Remote::find(place, OPERATION)?;
    let list: PresetList = remote.get(OPERATION, "/api/v1/presets").await?;
    if out.is_json() {
        return out.value(&list);
    }
    let rows: Vec<Vec<String>> = list
        .presets
        .iter()
        .map(|preset| {
            let found = match &preset.installed {
                Some(it) => it.version.clone().unwrap_or_else(|| it.path.clone()),
                None => String::new(),
            };
            // Of what is not there at all, how to get it says more than where it was looked for.
            let problem = match &preset.installed {
                None if !preset.install.is_empty() => preset.install.clone(),
                _ => preset.missing.first().cloned().unwrap_or_default(),
            };
            vec![preset.name.clone(), word(&preset.kind), found, preset.title.clone(), problem]
        })
        .collect();
    out.table(&["NAME", "KIND", "FOUND", "WHAT", "MISSING, OR HOW TO GET IT"], &rows)?;
    match &list.problem {
        Some(problem) => out.line(problem),
        None => Ok(()),
    }
}

async fn test(name: &str, place: &Place, out: &mut Out) -> Result<ExitCode, Failure> {
    let operation = format!("try the preset '{name}'");
    let remote = Remote::find(place, &operation)?;
    let to = format!("/api/v1/presets/{}/test", encode(name));
    let test: PresetTest = remote.post(&operation, &to, &serde_json::json!({})).await?;
    if out.is_json() {
        out.value(&test)?;
    } else {
        out.pairs(&[
            ("answers", if test.ok { "yes" } else { "no" }.to_owned()),
            ("version", test.version.unwrap_or_default()),
            ("within", test.opened_ms.map(|ms| format!("{ms} ms")).unwrap_or_default()),
            ("problem", test.problem.unwrap_or_default()),
        ])?;
        for line in test.said.lines() {
            out.line(line)?;
        }
    }
    Ok(ExitCode::from(u8::from(!test.ok)))
}
