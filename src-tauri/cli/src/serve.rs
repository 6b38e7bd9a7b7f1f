//! `hivekeeper serve`: an engine with its interface on this machine, and for others where it is told.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::{Config, Engine};
use gateway::{Endpoint, Host, NoWindow, Outer, Tls, logging};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::Serve;
use crate::failure::Failure;
use crate::out::{Out, remark};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Runs an engine until it is told to stop.
pub(crate) async fn serve(args: Serve, data_dir: PathBuf, out: &mut Out) -> Result<(), Failure> {
    logging::begin();
    let mut stop = Stop::listen()?;
    // Before anything is made, so that a wrong address leaves no trace.
    let with_link = !args.no_login_link;
    let doors = Doors::open(args, &data_dir).await?;
    let engine = Engine::open(Config::new(data_dir.clone(), VERSION))
        .await
        .map_err(|error| not_opened(&data_dir, &error))?;
    let result = answer((doors, with_link), &engine, &mut stop, out).await;
    tokio::select! {
        () = engine.shutdown() => {}
        () = stop.asked() => tracing::warn!("told to stop again: ending at once"),
    }
    result
}

/// Where an engine is to listen.
struct Doors {
    here: TcpListener,
    outer: Option<Outer>,
    socket: Option<PathBuf>,
}

impl Doors {
    async fn open(args: Serve, data_dir: &Path) -> Result<Self, Failure> {
        let Serve { listen, tls_cert, tls_key, name, socket, .. } = args;
        let (Some(certificate), Some(key)) = (tls_cert, tls_key) else {
            let here = gateway::bind_again(data_dir, listen).await;
            let here = here.map_err(|error| Failure::of(&error))?;
            return Ok(Self { here, outer: None, socket });
        };
        let tls = Tls::read(&certificate, &key).map_err(|error| Failure::of(&error))?;
        let listener = gateway::bind_anywhere(listen).await;
        let listener = listener.map_err(|error| Failure::of(&error))?;
        // Agents and this program's own commands come without encryption, on this machine alone.
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let here = gateway::bind_again(data_dir, any).await.map_err(|error| Failure::of(&error))?;
        Ok(Self { here, outer: Some(Outer { listener, tls, names: name }), socket })
    }
}

async fn answer(
    (doors, with_link): (Doors, bool),
    engine: &Engine,
    stop: &mut Stop,
    out: &mut Out,
) -> Result<(), Failure> {
    let _log = logging::write_to(engine.data_dir()).map_err(|error| Failure::of(&error))?;
    let Doors { here, outer, socket } = doors;
    let host = Host::open_doors(engine, here, outer, socket, Arc::new(NoWindow))
        .map_err(|error| Failure::of(&error))?;
    let said = announce(&host, with_link, out);
    if said.is_ok() {
        tracing::info!(url = host.url(), "listening");
        stop.asked().await;
        tracing::info!("told to stop");
        say_what_goes_on(engine).await;
    }
    host.close().await;
    said
}

/// Agents outlive the engine; whoever stops it should know.
async fn say_what_goes_on(engine: &Engine) {
    let at_work = engine
        .agents()
        .await
        .map_or(0, |agents| agents.items.iter().filter(|agent| agent.current.is_some()).count());
    match at_work {
        0 => {}
        1 => remark("1 agent goes on; start again to take it over"),
        more => remark(&format!("{more} agents go on; start again to take them over")),
    }
}

fn announce(host: &Host, with_link: bool, out: &mut Out) -> Result<(), Failure> {
    let link = match with_link {
        true => host.login_link().map_err(|error| Failure::of(&error))?,
        false => None,
    };
    if out.is_json() {
        let pid = std::process::id();
        let outer = host.outer_url();
        out.value(
            &serde_json::json!({"url": host.url(), "login": link, "pid": pid, "outer": outer}),
        )?;
    } else {
        out.line(&format!("listening on {}", host.url()))?;
        if let Some(outer) = host.outer_url() {
            out.line(&format!("other machines reach this engine at {outer}"))?;
        }
        match link {
            Some(link) => {
                out.line(&format!("open {link} to sign in (once, within 10 minutes)"))?;
            }
            None => out.line("'hivekeeper login' prints a link to sign in")?,
        }
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
