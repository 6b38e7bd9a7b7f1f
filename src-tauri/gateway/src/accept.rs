//! The accept loop: plain HTTP/1.1 on a loopback address, with limits against slow and greedy peers.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The most connections at once; who comes after that waits in the kernel's queue.
const CONNECTIONS_MAX: usize = 512;
/// How long a peer may take to send the head of a request, and to begin the next one.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest head of a request, in bytes.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// How long open connections may go on after the end was announced.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long to wait when the machine has no descriptor left for another connection.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// The file in the data directory that holds the port of the last time.
const PORT_FILE: &str = "port";

/// Why an address is not listened on.
#[derive(Debug, thiserror::Error)]
pub enum NotLoopback {
    /// It can be reached from other machines.
    #[error(
        "listen on {0}: it can be reached from other machines, and this version offers no \
         encrypted connections; use 127.0.0.1 or [::1] (and a tunnel such as 'ssh -L' from elsewhere)"
    )]
    Open(SocketAddr),
    /// Another program listens there.
    #[error(
        "listen on {0}: another program already does; choose another port, or 0 for any free one"
    )]
    Taken(SocketAddr),
    /// The operating system says no.
    #[error("listen on {address}: {source}")]
    Refused {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// Listens on a loopback address; port 0 means any that is free.
///
/// # Errors
/// When the address is no loopback address, taken, or refused by the operating system.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, NotLoopback> {
    if !address.ip().is_loopback() {
        return Err(NotLoopback::Open(address));
    }
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => NotLoopback::Taken(address),
        _ => NotLoopback::Refused { address, source },
    })
}

/// As [`bind`], for a workspace: port 0 means the port it had the last time where that is free, so
/// that agents that were left running find the engine again.
///
/// # Errors
/// As [`bind`].
pub async fn bind_again(data_dir: &Path, address: SocketAddr) -> Result<TcpListener, NotLoopback> {
    if address.port() == 0
        && let Some(port) = last_port(data_dir)
        && let Ok(listener) = bind(SocketAddr::new(address.ip(), port)).await
    {
        return Ok(listener);
    }
    bind(address).await
}

fn last_port(data_dir: &Path) -> Option<u16> {
    let text = std::fs::read_to_string(data_dir.join(PORT_FILE)).ok()?;
    text.trim().parse().ok().filter(|port| *port != 0)
}

/// Notes the port of a workspace for [`bind_again`]. Where it cannot be noted, the next start has
/// another one.
pub(crate) fn note_port(data_dir: &Path, port: u16) {
    if let Err(error) = std::fs::write(data_dir.join(PORT_FILE), format!("{port}\n")) {
        tracing::warn!(%error, "the port was not noted; agents may not find the engine again");
    }
}

/// Answers connections until it is cancelled, then lets open requests end within two seconds.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tasks: &TaskTracker,
    cancel: CancellationToken,
) {
    serve_within(listener, router, tasks, cancel, CONNECTIONS_MAX).await;
}

async fn serve_within(
    listener: TcpListener,
    router: Router,
    tasks: &TaskTracker,
    cancel: CancellationToken,
    connections_max: usize,
) {
    let free = Arc::new(Semaphore::new(connections_max));
    loop {
        let next = tokio::select! {
            () = cancel.cancelled() => break,
            next = next_connection(&listener, &free) => next,
        };
        match next {
            Ok((stream, place)) => {
                tasks.spawn(converse(stream, place, router.clone(), cancel.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::select! {
                    () = cancel.cancelled() => break,
                    () = tokio::time::sleep(EXHAUSTED) => {}
                }
            }
        }
    }
}

async fn next_connection(
    listener: &TcpListener,
    free: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(free).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

/// Speaks with one peer; its place is free again when this ends.
async fn converse(
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    router: Router,
    cancel: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = cancel.cancelled() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(FAREWELL, connection).await {
                Ok(ended) => ended,
                Err(_) => Ok(()),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
    drop(place);
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    struct Server {
        address: SocketAddr,
        tasks: TaskTracker,
        cancel: CancellationToken,
    }

    async fn server(connections_max: usize) -> Server {
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let server = Server {
            address: listener.local_addr().unwrap(),
            tasks: TaskTracker::new(),
            cancel: CancellationToken::new(),
        };
        let router = Router::new()
            .route("/", get(|| async { "hello" }))
            .route("/never", get(|| async { std::future::pending::<&'static str>().await }));
        let (tasks, cancel) = (server.tasks.clone(), server.cancel.clone());
        server.tasks.spawn(async move {
            serve_within(listener, router, &tasks, cancel, connections_max).await;
        });
        server
    }

    async fn exchange(address: SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        // A peer that is cut off may see a reset after its answer.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn an_address_other_machines_reach_is_refused_in_clear_words() {
        for address in ["0.0.0.0:0", "192.168.1.2:0", "[::]:0"] {
            let error = bind(address.parse().unwrap()).await.unwrap_err();
            assert!(error.to_string().contains("other machines"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_named() {
        let first = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = first.local_addr().unwrap();
        let error = bind(address).await.unwrap_err();
        assert!(matches!(error, NotLoopback::Taken(_)), "{error}");
        assert!(error.to_string().contains(&address.to_string()));
    }

    #[tokio::test]
    async fn a_peer_that_sends_its_head_too_slowly_is_dropped() {
        let server = server(8).await;
        let began = Instant::now();
        let answer = exchange(server.address, b"GET / HTTP/1.1\r\nhost: x\r\n").await;
        let took = began.elapsed();
        assert!(!answer.contains("hello"), "{answer}");
        assert!(took >= Duration::from_secs(4), "{took:?}");
        assert!(took < Duration::from_secs(20), "{took:?}");
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_is_refused() {
        let server = server(8).await;
        let mut request = b"GET / HTTP/1.1\r\nhost: x\r\nx-filler: ".to_vec();
        request.extend(std::iter::repeat_n(b'a', 64 * 1024));
        request.extend(b"\r\n\r\n");
        let answer = exchange(server.address, &request).await;
        assert!(!answer.contains("hello"));
        assert!(answer.is_empty() || answer.contains(" 431 "), "{answer}");
        assert!(exchange(server.address, ASK).await.contains("hello"));
    }

    #[tokio::test]
    async fn who_comes_when_every_place_is_taken_is_answered_once_one_is_free() {
        let server = server(2).await;
        let mut silent = Vec::new();
        for _ in 0..2 {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            // One byte, so that the peer holds its place until its time is over.
            stream.write_all(b"G").await.unwrap();
            silent.push(stream);
        }
        let late = exchange(server.address, ASK);
        tokio::pin!(late);
        let early = tokio::time::timeout(Duration::from_millis(300), late.as_mut()).await;
        assert!(early.is_err(), "there was a third place");
        silent.clear();
        let answer = tokio::time::timeout(Duration::from_secs(20), late).await;
        assert!(answer.unwrap().contains("hello"));
    }

    #[tokio::test]
    async fn the_end_is_not_held_up_by_a_request_that_never_ends() {
        let server = server(8).await;
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /never HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert!(exchange(server.address, ASK).await.contains("hello"));
        server.cancel.cancel();
        server.tasks.close();
        let ended = tokio::time::timeout(Duration::from_secs(10), server.tasks.wait()).await;
        assert!(ended.is_ok(), "still open after its farewell");
        assert!(TcpStream::connect(server.address).await.is_err());
    }

    #[tokio::test]
    async fn a_workspace_gets_the_port_it_had_where_that_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let first = bind_again(dir.path(), any).await.unwrap();
        let port = first.local_addr().unwrap().port();
        note_port(dir.path(), port);
        let other = bind_again(dir.path(), any).await.unwrap();
        assert_ne!(other.local_addr().unwrap().port(), port, "it is taken");
        drop(first);
        let again = bind_again(dir.path(), any).await.unwrap();
        assert_eq!(again.local_addr().unwrap().port(), port);
        std::fs::write(dir.path().join(PORT_FILE), "no port\n").unwrap();
        drop(again);
        assert!(bind_again(dir.path(), any).await.is_ok());
    }
}
