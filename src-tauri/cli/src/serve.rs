//! `hivekeeper serve`: an engine with its interface on a loopback address.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::{Config, Engine};
use gateway::{Access, Endpoint, NoWindow};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::args::Serve;
use crate::failure::Failure;
use crate::logging;
use crate::out::Out;

/// How long open requests may take after the end was asked for.
const REQUESTS_END: Duration = Duration::from_secs(3);
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Runs an engine until it is told to stop.
pub(crate) async fn serve(args: Serve, data_dir: PathBuf, out: &mut Out) -> Result<(), Failure> {
    logging::begin();
    let mut stop = Stop::listen()?;
    let engine = Engine::open(Config::new(data_dir.clone(), VERSION))
        .await
        .map_err(|error| not_opened(&data_dir, &error))?;
    let result = answer(&args, &engine, &mut stop, out).await;
    tokio::select! {
        () = engine.shutdown() => {}
        () = stop.asked() => tracing::warn!("told to stop again: ending at once"),
    }
    result
}

async fn answer(
    args: &Serve,
    engine: &Engine,
    stop: &mut Stop,
    out: &mut Out,
) -> Result<(), Failure> {
    let _log = logging::write_to(&engine.data_dir().join("logs"))?;
    let listener = gateway::bind(args.listen).await.map_err(|error| Failure::of(&error))?;
    let address =
        listener.local_addr().map_err(|error| Failure::new("find out the port").because(&error))?;
    let (access, endpoint) = keys(engine, address)?;
    let data_dir = engine.data_dir().to_owned();
    endpoint.write(&data_dir).map_err(|error| Failure::of(&error))?;
    engine.set_endpoint(endpoint.url.clone());
    let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
    spawn_gateway(engine, &access, listener, &tasks, &cancel);
    let said = announce(&access, &endpoint, out);
    if said.is_ok() {
        tracing::info!(url = endpoint.url, "listening");
        stop.asked().await;
        tracing::info!("told to stop");
    }
    endpoint.remove(&data_dir);
    cancel.cancel();
    tasks.close();
    if tokio::time::timeout(REQUESTS_END, tasks.wait()).await.is_err() {
        tracing::warn!("not every request ended in time");
    }
    said
}

fn keys(engine: &Engine, address: SocketAddr) -> Result<(Arc<Access>, Endpoint), Failure> {
    let (access, token) = Access::generate().map_err(|error| Failure::of(&error))?;
    access.listening_on(address);
    let endpoint = Endpoint {
        url: format!("http://{address}"),
        token,
        pid: std::process::id(),
        started_at: engine.clock().now(),
        version: VERSION.to_owned(),
    };
    Ok((Arc::new(access), endpoint))
}

fn spawn_gateway(
    engine: &Engine,
    access: &Arc<Access>,
    listener: TcpListener,
    tasks: &TaskTracker,
    cancel: &CancellationToken,
) {
    let router = gateway::router(engine.clone(), Arc::clone(access), Arc::new(NoWindow));
    let (connections, cancel) = (tasks.clone(), cancel.clone());
    tasks.spawn(async move {
        gateway::serve(listener, router, &connections, cancel).await;
    });
}

fn announce(access: &Access, endpoint: &Endpoint, out: &mut Out) -> Result<(), Failure> {
    let link =
        access.login_link(Instant::now()).map_err(|error| Failure::of(&error))?.unwrap_or_default();
    if out.is_json() {
        out.value(&serde_json::json!({"url": endpoint.url, "login": link, "pid": endpoint.pid}))?;
    } else {
        out.line(&format!("listening on {}", endpoint.url))?;
        out.line(&format!("open {link} to sign in (once, within 10 minutes)"))?;
    }
    out.flush()
}

/// The signals that end an engine in order.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn listen() -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::new("listen for signals").because(&error));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn not_opened(data_dir: &Path, error: &engine::OpenError) -> Failure {
    let failure = Failure::of(error);
    match Endpoint::read(data_dir) {
        Ok(Some(endpoint)) => failure.hint(format!(
            "if an engine runs (pid {}), use it at {}: 'hivekeeper login' prints a link; or choose \
             another workspace with --data-dir",
            endpoint.pid, endpoint.url
        )),
        _ => failure,
    }
}
