//! What the window can ask of the shell.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine::live::{LiveAsk, LiveFrom, LiveTopic, Wish};
use futures::StreamExt as _;
use tauri::ipc::{Channel, InvokeResponseBody};
use tauri::{AppHandle, State, Url};
use tauri_plugin_dialog::DialogExt as _;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backend::{Call, CallError, Reply, SharedBackend};

/// Frames that may be on their way to the window without having been confirmed.
const UNCONFIRMED_MAX: u64 = 256;
/// Listeners one window may have; a page that is loaded again may leave one behind.
const LISTENERS_MAX: usize = 8;
/// Wishes of one listener that wait.
const WISHES_MAX: usize = 16;
/// Where exports are saved without asking, for machines without anybody at the screen.
const EXPORT_DIR: &str = "HIVEKEEPER_EXPORT_DIR";

/// What a command could not do; the window is told in words.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// The API did not answer.
    #[error("failed to {0}")]
    Call(#[from] CallError),
    /// A file could not be written.
    #[error("failed to write {}: {source}", path.display())]
    Save {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A link of a kind that is not opened.
    #[error("failed to open '{0}': only https and mailto links are opened")]
    Link(String),
    /// Nothing on this machine opens it.
    #[error("failed to open {url}: {source}")]
    Open {
        /// The link.
        url: String,
        /// What went wrong.
        source: Box<tauri_plugin_opener::Error>,
    },
}

impl serde::Serialize for Problem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The listeners of the window.
#[derive(Default)]
pub(crate) struct Listeners {
    tasks: TaskTracker,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u32,
    by_id: HashMap<u32, Listener>,
}

struct Listener {
    cancel: CancellationToken,
    wishes: mpsc::Sender<Wish>,
    confirmed: watch::Sender<u64>,
}

impl Listeners {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out something that the window does not wait for.
    pub(crate) fn carry_out(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(work, tauri::async_runtime::handle().inner());
    }

    /// Ends every listener.
    pub(crate) fn stop_all(&self) {
        for listener in self.open().by_id.drain() {
            listener.1.cancel.cancel();
        }
        self.tasks.close();
    }
}

/// Passes a request to the API.
#[tauri::command]
pub(crate) async fn request(
    app: AppHandle,
    backend: State<'_, SharedBackend>,
    method: String,
    path: String,
    headers: HashMap<String, String>,
    body: Option<String>,
) -> Result<Reply, Problem> {
    if crate::begun::first_request() {
        // Not before: nobody waits for the icon, and everybody waits for the page.
        crate::tray::open_soon(&app);
    }
    let call = Call { method, path, headers, body };
    Ok(backend.call(call).await?)
}

/// Listens to the live stream; frames come through the channel until `live_stop`.
#[tauri::command]
pub(crate) async fn live(
    backend: State<'_, SharedBackend>,
    listeners: State<'_, Listeners>,
    channel: Channel<InvokeResponseBody>,
    topics: Vec<LiveTopic>,
    epoch: Option<String>,
    since: Option<u64>,
) -> Result<u32, Problem> {
    let from = LiveFrom { topics, epoch, since };
    let (wishes, asked) = mpsc::channel(WISHES_MAX);
    let frames = backend.live(from, asked).await?;
    let (cancel, confirmed) = (CancellationToken::new(), watch::Sender::new(0));
    let id = {
        let mut open = listeners.open();
        if open.by_id.len() >= LISTENERS_MAX
            && let Some(oldest) = open.by_id.keys().min().copied()
            && let Some(oldest) = open.by_id.remove(&oldest)
        {
            oldest.cancel.cancel();
        }
        open.next += 1;
        let id = open.next;
        let confirmed = confirmed.clone();
        open.by_id.insert(id, Listener { cancel: cancel.clone(), wishes, confirmed });
        id
    };
    let work = forward(frames, channel, confirmed.subscribe());
    listeners.tasks.spawn(async move { cancel.run_until_cancelled(work).await });
    Ok(id)
}

/// Sends frames to the window, never more than [`UNCONFIRMED_MAX`] ahead of it.
async fn forward(
    mut frames: crate::backend::Frames,
    channel: Channel<InvokeResponseBody>,
    mut confirmed: watch::Receiver<u64>,
) {
    let mut sent = 0_u64;
    while let Some(json) = frames.next().await {
        let caught_up = |confirmed: &u64| sent.saturating_sub(*confirmed) < UNCONFIRMED_MAX;
        if confirmed.wait_for(caught_up).await.is_err() {
            return;
        }
        if channel.send(InvokeResponseBody::Json(json)).is_err() {
            return;
        }
        sent += 1;
    }
    // The stream ended: the window is told and asks again.
    drop(channel.send(InvokeResponseBody::Json("null".to_owned())));
}

/// Changes what a listener is told about; what it cannot have, it is told in a frame.
#[tauri::command]
pub(crate) async fn live_tell(
    listeners: State<'_, Listeners>,
    id: u32,
    ask: LiveAsk,
) -> Result<(), Problem> {
    let wishes = listeners.open().by_id.get(&id).map(|listener| listener.wishes.clone());
    if let Some(wishes) = wishes {
        // One that has ended meanwhile has nothing to be told about.
        drop(wishes.send(Wish::of(ask, |_| true)).await);
    }
    Ok(())
}

/// Confirms that so many frames of a listener have arrived.
#[tauri::command]
pub(crate) fn live_ack(listeners: State<'_, Listeners>, id: u32, count: u64) {
    if let Some(listener) = listeners.open().by_id.get(&id) {
        listener.confirmed.send_replace(count);
    }
}

/// Ends a listener.
#[tauri::command]
pub(crate) fn live_stop(listeners: State<'_, Listeners>, id: u32) {
    if let Some(listener) = listeners.open().by_id.remove(&id) {
        listener.cancel.cancel();
    }
}

/// Saves a text where the captain says; gives the path, or nothing when it was called off.
#[tauri::command]
pub(crate) async fn save_file(
    app: AppHandle,
    name: String,
    text: String,
) -> Result<Option<String>, Problem> {
    let Some(path) = place_for(&app, &name).await else {
        return Ok(None);
    };
    tokio::fs::write(&path, text)
        .await
        .map_err(|source| Problem::Save { path: path.clone(), source })?;
    Ok(Some(path.display().to_string()))
}

async fn place_for(app: &AppHandle, name: &str) -> Option<PathBuf> {
    let plain: String = name
        .chars()
        .map(|ch| if ch.is_ascii_alphanumeric() || ".-_".contains(ch) { ch } else { '-' })
        .collect();
    let plain = plain.trim_start_matches('.').to_owned();
    if let Some(directory) = std::env::var_os(EXPORT_DIR) {
        return Some(PathBuf::from(directory).join(plain));
    }
    let (tell, told) = tokio::sync::oneshot::channel();
    app.dialog().file().set_file_name(plain).save_file(move |path| {
        // Nobody waits any more once the window is closed.
        drop(tell.send(path));
    });
    told.await.ok().flatten().and_then(|path| path.into_path().ok())
}

/// Lets the captain choose a directory; gives nothing when it was called off.
#[tauri::command]
pub(crate) async fn pick_directory(app: AppHandle) -> Option<String> {
    let (tell, told) = tokio::sync::oneshot::channel();
    app.dialog().file().pick_folder(move |path| drop(tell.send(path)));
    let path = told.await.ok().flatten().and_then(|path| path.into_path().ok())?;
    Some(path.display().to_string())
}

/// Opens a link in the captain's browser or mail program; the window has asked before.
#[tauri::command]
pub(crate) fn open_external(url: &str) -> Result<(), Problem> {
    let wrong = || Problem::Link(url.to_owned());
    let read: Url = url.parse().map_err(|_| wrong())?;
    if !matches!(read.scheme(), "https" | "mailto") {
        return Err(wrong());
    }
    tauri_plugin_opener::open_url(read.as_str(), None::<&str>)
        .map_err(|source| Problem::Open { url: url.to_owned(), source: Box::new(source) })
}
