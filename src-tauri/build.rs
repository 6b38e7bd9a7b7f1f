//! Declares the window's commands and capabilities to Tauri.

fn main() {
    let commands = tauri_build::AppManifest::new().commands(&[
        "request",
        "live",
        "live_ack",
        "live_stop",
        "live_tell",
        "save_file",
        "pick_directory",
        "open_external",
    ]);
    let attributes = tauri_build::Attributes::new()
        .capabilities_path_pattern("src-tauri/capabilities/**/*")
        .app_manifest(commands);
    if let Err(err) = tauri_build::try_build(attributes) {
        println!("cargo::error={err:#}");
    }
}
