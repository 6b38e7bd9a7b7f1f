//! An engine made reachable: listening, its router, and the file that says where it is.

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use engine::Engine;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accept::{NotLoopback, bind_again, note_port, serve_door};
use crate::access::{Access, AccessError};
use crate::door::{Door, DoorError, SOCKET, Tls, bind_socket};
use crate::endpoint::{Endpoint, EndpointError};
use crate::{WindowControl, router};

/// How long open requests may take to end.
const CLOSE_MAX: Duration = Duration::from_secs(3);

/// An engine could not be made reachable.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] NotLoopback),
    /// Another door cannot be opened.
    #[error(transparent)]
    Door(#[from] DoorError),
    /// No keys could be drawn.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The file that says where it listens could not be written.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The operating system does not say where it listens.
    #[error("find the address that is listened on")]
    Address(#[source] std::io::Error),
}

/// An encrypted door for other machines.
#[derive(Debug)]
pub struct Outer {
    /// Where it listens.
    pub listener: TcpListener,
    /// What it speaks with those who come.
    pub tls: Tls,
    /// By which names they know this machine; its addresses need not be among them.
    pub names: Vec<String>,
}

/// An engine that listens on this machine, and for others where it was told to.
#[derive(Debug)]
pub struct Host {
    engine: Engine,
    router: Router,
    access: Arc<Access>,
    endpoint: Endpoint,
    /// The Unix socket with what tells it from one that somebody else puts in its place.
    socket: Option<(PathBuf, Option<Identity>)>,
    tasks: TaskTracker,
    cancel: CancellationToken,
}

/// Device and number of a file.
type Identity = (u64, u64);

fn identity_of(path: &Path) -> Option<Identity> {
    std::fs::symlink_metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

impl Host {
    /// Listens on a loopback address and says so in the data directory.
    ///
    /// # Errors
    /// When the address is taken or not a loopback address, or nothing can be written.
    pub async fn open(
        engine: &Engine,
        address: SocketAddr,
        window: Arc<dyn WindowControl>,
    ) -> Result<Self, HostError> {
        Self::open_on(engine, bind_again(engine.data_dir(), address).await?, window)
    }

    /// Answers on a loopback address that is listened on already.
    ///
    /// # Errors
    /// When nothing can be written.
    pub fn open_on(
        engine: &Engine,
        listener: TcpListener,
        window: Arc<dyn WindowControl>,
    ) -> Result<Self, HostError> {
        Self::open_doors(engine, listener, None, None, window)
    }

    /// Answers on a loopback address that is listened on already, and beside it on a Unix socket: at
    /// `socket`, or in the data directory where that is possible. `outer` is a door for others.
    ///
    /// # Errors
    /// When nothing can be written, or the socket that was named cannot be listened on.
    pub fn open_doors(
        engine: &Engine,
        listener: TcpListener,
        outer: Option<Outer>,
        socket: Option<PathBuf>,
        window: Arc<dyn WindowControl>,
    ) -> Result<Self, HostError> {
        let address = listener.local_addr().map_err(HostError::Address)?;
        let (access, token) = Access::generate()?;
        access.listening_on(address);
        let mut doors = vec![Door::Plain(listener)];
        if let Some(Outer { listener, tls, names }) = outer {
            let outer = listener.local_addr().map_err(HostError::Address)?;
            access.listening_for_others(outer, names);
            engine.set_exposed(access.outer_url().unwrap_or_default());
            doors.push(Door::Tls(listener, tls));
        }
        let socket = match socket {
            Some(path) => Some((bind_socket(&path)?, path)),
            None => beside(engine),
        };
        let socket = socket.map(|(listener, path)| {
            doors.push(Door::Unix(listener));
            (path.clone(), identity_of(&path))
        });
        let access = Arc::new(access);
        let endpoint = Endpoint {
            url: format!("http://{address}"),
            token,
            socket: socket.as_ref().map(|(path, _)| path.clone()),
            pid: std::process::id(),
            started_at: engine.clock().now(),
            version: engine.version().to_owned(),
        };
        let router = router(engine.clone(), Arc::clone(&access), window);
        let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
        for door in doors {
            let (served, connections) = (router.clone(), tasks.clone());
            let closing = cancel.clone();
            tasks.spawn(async move { serve_door(door, served, &connections, closing).await });
        }
        note_port(engine.data_dir(), address.port());
        engine.set_endpoint(endpoint.url.clone());
        endpoint.write(engine.data_dir())?;
        Ok(Self { engine: engine.clone(), router, access, endpoint, socket, tasks, cancel })
    }

    /// Where other machines reach this engine, such as `https://build.example:7171`.
    #[must_use]
    pub fn outer_url(&self) -> Option<String> {
        self.access.outer_url()
    }

    /// The address, such as `http://127.0.0.1:7171`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.endpoint.url
    }

    /// The router, for requests from inside this process.
    pub const fn router(&self) -> &Router {
        &self.router
    }

    /// A new link that signs one browser in.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn login_link(&self) -> Result<Option<String>, AccessError> {
        self.access.login_link(Instant::now())
    }

    /// Takes no more requests, lets open ones end, and removes the file that says where it listens.
    pub async fn close(&self) {
        self.endpoint.remove(self.engine.data_dir());
        if let Some((path, opened)) = &self.socket
            && identity_of(path) == *opened
        {
            let _ = std::fs::remove_file(path);
        }
        self.cancel.cancel();
        self.tasks.close();
        if tokio::time::timeout(CLOSE_MAX, self.tasks.wait()).await.is_err() {
            tracing::warn!("some connections were cut off");
        }
    }
}

/// The Unix socket in the data directory; an engine does without it where it is not to be had.
fn beside(engine: &Engine) -> Option<(tokio::net::UnixListener, PathBuf)> {
    let path = engine.data_dir().join(SOCKET);
    match bind_socket(&path) {
        Ok(listener) => Some((listener, path)),
        Err(error) => {
            tracing::warn!(%error, "there is no Unix socket; the address on this machine remains");
            None
        }
    }
}
