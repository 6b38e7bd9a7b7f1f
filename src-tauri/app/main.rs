//! The window: binary `hivekeeper-desktop`.
#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

use std::process::ExitCode;

fn main() -> ExitCode {
    hivekeeper_app::run(std::env::args_os().skip(1))
}
