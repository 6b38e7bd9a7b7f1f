//! The desktop shell: a window on the engine, and the only room that knows Tauri.
//!
//! Invariant: the shell adds nothing to the API. Its one command passes a request to the same router
//! that everybody uses: in process where this program holds the workspace, over loopback where
//! another engine (`hivekeeper serve`) does.

mod args;
mod backend;
mod begun;
mod commands;
mod start;
mod tray;
mod window;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use tauri::{Manager as _, RunEvent};

use crate::args::NoStart;
use crate::backend::Backend;
use crate::commands::Listeners;
use crate::start::Start;

/// Runs the window until it is closed.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    begun::now();
    engine::heap::share();
    let args = match args::parse(args) {
        Ok(args) => args,
        Err(asked @ NoStart::Asked(_)) => {
            return start::tell(&asked.to_string(), ExitCode::SUCCESS);
        }
        Err(problem) => return start::tell(&problem.to_string(), ExitCode::from(2)),
    };
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
            Ok(runtime) => runtime,
            Err(err) => return start::tell(&format!("failed to start: {err}"), ExitCode::FAILURE),
        };
    tauri::async_runtime::set(runtime.handle().clone());
    let focus = Arc::new(window::Focus::default());
    match runtime.block_on(start::open(&args, Arc::clone(&focus))) {
        Start::Focused => ExitCode::SUCCESS,
        Start::Ready(backend) => {
            let code = show(Arc::clone(&backend), &focus, &args.data_dir);
            runtime.block_on(backend.close());
            code
        }
        Start::Failed(text) => {
            start::show_problem(&text);
            ExitCode::FAILURE
        }
    }
}

/// Opens the window and stays until it is closed.
fn show(backend: Arc<Backend>, focus: &Arc<window::Focus>, data_dir: &Path) -> ExitCode {
    let focus = Arc::clone(focus);
    let remembered = window::remembered(data_dir);
    let built = tauri::Builder::default()
        .plugin(tauri_plugin_dialog::init())
        .manage(backend)
        .manage(Listeners::default())
        .invoke_handler(tauri::generate_handler![
            commands::request,
            commands::live,
            commands::live_ack,
            commands::live_stop,
            commands::live_tell,
            commands::save_file,
            commands::pick_directory,
            commands::open_external,
        ])
        .setup(move |app| {
            window::open(app, remembered)?;
            focus.set(app.handle().clone());
            Ok(())
        })
        .build(tauri::generate_context!());
    match built {
        Ok(app) => {
            let code = app.run_return(|app, event| {
                if let RunEvent::Exit = event {
                    app.state::<Listeners>().stop_all();
                }
            });
            ExitCode::from(u8::try_from(code).unwrap_or(1))
        }
        Err(err) => start::tell(&format!("failed to open the window: {err}"), ExitCode::FAILURE),
    }
}
