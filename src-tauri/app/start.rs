//! Starting: take the workspace, or attach to the engine that holds it.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use engine::{Config, Engine};
use gateway::{Client, Host, Reattaching, logging};
use http::{Method, StatusCode};
use tauri_plugin_dialog::{DialogExt as _, MessageDialogKind};

use crate::args::Args;
use crate::backend::{Backend, SharedBackend};
use crate::window::Focus;

/// What came of the start.
pub(crate) enum Start {
    /// There is an engine for the window.
    Ready(SharedBackend),
    /// A window for this workspace was open already and is in front now.
    Focused,
    /// Nothing could be started; the text says why and what to do.
    Failed(String),
}

/// Takes the workspace, or attaches to the engine that holds it.
pub(crate) async fn open(args: &Args, focus: Arc<Focus>) -> Start {
    logging::begin();
    match Engine::open(Config::new(args.data_dir.clone(), env!("CARGO_PKG_VERSION"))).await {
        Ok(engine) => {
            let log = match logging::write_to(engine.data_dir()) {
                Ok(log) => Some(log),
                Err(err) => {
                    tracing::warn!(error = &err as &dyn std::error::Error, "there is no log file");
                    None
                }
            };
            let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            match Host::open(&engine, any, focus).await {
                Ok(host) => Start::Ready(Arc::new(Backend::Own { engine, host, _log: log })),
                Err(err) => {
                    engine.shutdown().await;
                    Start::Failed(format!("failed to {err}"))
                }
            }
        }
        Err(err) if err.is_locked() => attach(args, &err.to_string()).await,
        Err(err) => Start::Failed(text(&err)),
    }
}

/// Uses the engine that runs already.
async fn attach(args: &Args, locked: &str) -> Start {
    let client = match Client::for_data_dir(&args.data_dir) {
        Ok(client) => client,
        Err(_) => return Start::Failed(format!("failed to {locked}")),
    };
    match client.request(Method::POST, "/api/v1/window/focus", None).await {
        Ok(answer) if answer.status == StatusCode::NO_CONTENT => Start::Focused,
        Ok(_) => Start::Ready(Arc::new(Backend::Other(Reattaching::new(client)))),
        Err(err) => Start::Failed(format!("failed to {locked}; and failed to {err}")),
    }
}

/// An error with its causes, in one text.
fn text(err: &dyn std::error::Error) -> String {
    let mut text = format!("failed to {err}");
    let mut cause = err.source();
    while let Some(err) = cause {
        text.push_str(&format!(": {err}"));
        cause = err.source();
    }
    text
}

/// Says something on the terminal the window was started from.
pub(crate) fn tell(text: &str, code: ExitCode) -> ExitCode {
    use std::io::Write as _;
    // There may be no terminal to say it on.
    drop(writeln!(std::io::stderr(), "{text}"));
    code
}

/// Shows a problem that keeps the window from opening.
pub(crate) fn show_problem(problem: &str) {
    tell(&format!("hivekeeper: {problem}"), ExitCode::FAILURE);
    let problem = problem.to_owned();
    let built = tauri::Builder::default()
        .plugin(tauri_plugin_dialog::init())
        .setup(move |app| {
            let handle = app.handle().clone();
            app.dialog()
                .message(problem)
                .title("Hivekeeper cannot start")
                .kind(MessageDialogKind::Error)
                .show(move |_| handle.exit(1));
            Ok(())
        })
        .build(tauri::generate_context!());
    if let Ok(app) = built {
        app.run_return(|_, _| {});
    }
}
