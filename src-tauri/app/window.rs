//! The window itself: where it may go, and bringing it to the front.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use gateway::WindowControl;
use tauri::webview::NewWindowResponse;
use tauri::{App, AppHandle, Manager as _, Url, WebviewUrl, WebviewWindowBuilder};

/// The label of the only window.
pub(crate) const LABEL: &str = "main";

/// Where the window of a workspace keeps what it remembers: the look, the layout, the last filters.
///
/// Beside the ledger and not in the user's own folder, because two workspaces are two memories:
/// what was chosen for one never shows in the other.
pub(crate) fn remembered(data_dir: &Path) -> PathBuf {
    // The browser inside takes no relative path.
    std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned()).join("window")
}

/// Opens the window. It shows the built-in UI and goes nowhere else.
pub(crate) fn open(app: &App, remembered: PathBuf) -> tauri::Result<()> {
    WebviewWindowBuilder::new(app, LABEL, WebviewUrl::default())
        .title("Hivekeeper")
        .inner_size(1280.0, 800.0)
        .min_inner_size(900.0, 600.0)
        .data_directory(remembered)
        .on_navigation(is_own)
        .on_new_window(|_, _| NewWindowResponse::Deny)
        .build()?;
    Ok(())
}

fn is_own(url: &Url) -> bool {
    match url.scheme() {
        "tauri" => true,
        "http" | "https" => url.host_str() == Some("tauri.localhost"),
        _ => false,
    }
}

/// Brings the window to the front once there is one.
#[derive(Debug, Default)]
pub(crate) struct Focus(OnceLock<AppHandle>);

impl Focus {
    /// Says which window there is.
    pub(crate) fn set(&self, app: AppHandle) {
        // There is one window; a second handle would be to the same.
        self.0.get_or_init(|| app);
    }
}

impl WindowControl for Focus {
    fn focus(&self) -> bool {
        self.0.get().is_some_and(bring_to_front)
    }
}

/// Brings the window to the front; says whether there is one that came.
pub(crate) fn bring_to_front(app: &AppHandle) -> bool {
    let Some(window) = app.get_webview_window(LABEL) else {
        return false;
    };
    let shown = [window.unminimize(), window.show(), window.set_focus()];
    shown.iter().all(Result::is_ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_leaves_its_own_pages_for_nowhere() {
        let check =
            |url: &str, allowed| assert_eq!(is_own(&url.parse().unwrap()), allowed, "{url}");
        check("tauri://localhost/", true);
        check("http://tauri.localhost/", true);
        check("https://example.org/", false);
        check("http://127.0.0.1:4000/", false);
        check("file:///etc/passwd", false);
        check("data:text/html,x", false);
        check("javascript:alert(1)", false);
    }
}
