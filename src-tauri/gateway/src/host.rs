//! An engine made reachable: listening, its router, and the file that says where it is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use engine::Engine;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accept::{NotLoopback, bind_again, note_port, serve};
use crate::access::{Access, AccessError};
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

/// An engine that listens on this machine.
#[derive(Debug)]
pub struct Host {
    engine: Engine,
    router: Router,
    access: Arc<Access>,
    endpoint: Endpoint,
    tasks: TaskTracker,
    cancel: CancellationToken,
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
        let address = listener.local_addr().map_err(HostError::Address)?;
        let (access, token) = Access::generate()?;
        access.listening_on(address);
        let access = Arc::new(access);
        let endpoint = Endpoint {
            url: format!("http://{address}"),
            token,
            pid: std::process::id(),
            started_at: engine.clock().now(),
            version: engine.version().to_owned(),
        };
        let router = router(engine.clone(), Arc::clone(&access), window);
        let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
        let (served, connections) = (router.clone(), tasks.clone());
        let closing = cancel.clone();
        tasks.spawn(async move { serve(listener, served, &connections, closing).await });
        note_port(engine.data_dir(), address.port());
        engine.set_endpoint(endpoint.url.clone());
        endpoint.write(engine.data_dir())?;
        Ok(Self { engine: engine.clone(), router, access, endpoint, tasks, cancel })
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
        self.cancel.cancel();
        self.tasks.close();
        if tokio::time::timeout(CLOSE_MAX, self.tasks.wait()).await.is_err() {
            tracing::warn!("some connections were cut off");
        }
    }
}
