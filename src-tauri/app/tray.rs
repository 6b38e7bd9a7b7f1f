//! The icon in the notification area: bring the window to the front, stop all agents, let them go on.
//!
//! A desktop need not have such an area. Where there is none, that is logged and the window does
//! without.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use engine::view::HaltView;
use gateway::Problem;
use tauri::image::Image;
use tauri::menu::MenuBuilder;
use tauri::tray::TrayIconBuilder;
use tauri::{AppHandle, Manager as _};
use tauri_plugin_dialog::{DialogExt as _, MessageDialogButtons, MessageDialogKind};

use crate::backend::{Call, CallError, Reply, SharedBackend};
use crate::commands::Listeners;
use crate::window;

const ICON: Image<'_> = tauri::include_image!("icons/tray.png");

/// The entries of the menu: what they are known by, and what they say.
const ENTRIES: [(&str, &str); 3] =
    [("open", "Open"), ("halt", "Stop all agents…"), ("resume", "Resume")];

/// Shows the icon as soon as the main thread has nothing more urgent to do.
pub(crate) fn open_soon(app: &AppHandle) {
    let handle = app.clone();
    if let Err(err) = app.run_on_main_thread(move || open(&handle)) {
        tracing::warn!(error = &err as &dyn std::error::Error, "there is no tray icon");
    }
}

fn open(app: &AppHandle) {
    // The library of the notification area is looked for when it is first used, and where it is
    // missing that panics.
    match catch_unwind(AssertUnwindSafe(|| build(app))) {
        Ok(Ok(())) => tracing::debug!("the tray icon is there"),
        Ok(Err(err)) => {
            tracing::warn!(error = &err as &dyn std::error::Error, "there is no tray icon");
        }
        Err(_) => tracing::warn!("there is no tray icon: this desktop's library for it is missing"),
    }
}

fn build(app: &AppHandle) -> tauri::Result<()> {
    let menu = ENTRIES.iter().fold(MenuBuilder::new(app), |menu, (id, text)| menu.text(*id, *text));
    TrayIconBuilder::with_id("main")
        .icon(ICON)
        .tooltip("Hivekeeper")
        .menu(&menu.build()?)
        .on_menu_event(|app, event| chosen(app, event.id().as_ref()))
        .build(app)?;
    Ok(())
}

fn chosen(app: &AppHandle, entry: &str) {
    match entry {
        "open" => {
            window::bring_to_front(app);
        }
        "halt" => ask_and_halt(app),
        "resume" => ask_engine(app, "/api/v1/swarm/resume", None, |reply| match reply {
            Ok(reply) if succeeded(&reply) => None,
            other => Some(failed("let work go on", other)),
        }),
        _ => {}
    }
}

/// Asks once, and then stops everything at once.
fn ask_and_halt(app: &AppHandle) {
    let handle = app.clone();
    app.dialog()
        .message("Every agent is stopped where it is, and nothing is started until you resume.")
        .title("Stop all agents?")
        .kind(MessageDialogKind::Warning)
        .buttons(MessageDialogButtons::OkCancelCustom(
            "Stop all agents".to_owned(),
            "Cancel".to_owned(),
        ))
        .show(move |yes| {
            if yes {
                let body = serde_json::json!({"note": "from the tray"}).to_string();
                ask_engine(&handle, "/api/v1/swarm/halt", Some(body), |reply| Some(told(reply)));
            }
        });
}

/// Asks the engine as the window does, and shows what there is to say about the answer.
fn ask_engine(
    app: &AppHandle,
    path: &'static str,
    body: Option<String>,
    say: fn(Result<Reply, CallError>) -> Option<String>,
) {
    let handle = app.clone();
    app.state::<Listeners>().carry_out(async move {
        let backend = handle.state::<SharedBackend>().inner().clone();
        let method = "POST".to_owned();
        let call = Call { method, path: path.to_owned(), headers: HashMap::new(), body };
        if let Some(text) = say(backend.call(call).await) {
            handle.dialog().message(text).title("Hivekeeper").show(|_| {});
        }
    });
}

fn succeeded(reply: &Reply) -> bool {
    (200..300).contains(&reply.status)
}

/// What came of stopping everything, in words.
fn told(reply: Result<Reply, CallError>) -> String {
    let reply = match reply {
        Ok(reply) if succeeded(&reply) => reply,
        other => return failed("stop all agents", other),
    };
    let Ok(halt) = serde_json::from_str::<HaltView>(&reply.body) else {
        return "Everything was stopped; the engine's answer cannot be read.".to_owned();
    };
    let mut text = format!(
        "Stopped: {} process trees, {} processes ended in {} ms.",
        halt.trees, halt.ended, halt.took_ms
    );
    for survivor in &halt.survivors {
        text.push_str(&format!("\nStill there: {} (pid {})", survivor.program, survivor.pid));
    }
    if !halt.recorded {
        let why = halt.problem.unwrap_or_else(|| "the ledger did not answer".to_owned());
        text.push_str(&format!("\nIt is not in the ledger: {why}"));
    }
    text
}

fn failed(what: &str, reply: Result<Reply, CallError>) -> String {
    match reply {
        Err(err) => format!("Failed to {what}: {err}"),
        Ok(reply) => match serde_json::from_str::<Problem>(&reply.body) {
            Ok(problem) => format!("Failed to {what}: {}", problem.detail),
            Err(_) => format!("Failed to {what}: the engine answered {}", reply.status),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: serde_json::Value) -> Result<Reply, CallError> {
        Ok(Reply { status, headers: HashMap::new(), body: body.to_string() })
    }

    #[test]
    fn a_halt_from_the_tray_names_what_is_still_there() {
        let halt = serde_json::json!({
            "trees": 2, "ended": 5, "took_ms": 40, "recorded": false, "problem": "disk full",
            "survivors": [{"pid": 77, "program": "stuck"}],
        });
        let text = told(reply(200, halt));
        assert!(text.contains("2 process trees, 5 processes"), "{text}");
        assert!(text.contains("stuck (pid 77)") && text.contains("disk full"), "{text}");
        assert!(told(reply(500, serde_json::json!({}))).contains("answered 500"));
        let nothing = told(Err(CallError::NotApi("/x".to_owned())));
        assert!(nothing.starts_with("Failed to stop all agents"), "{nothing}");
    }
}
