//! The accept loop: HTTP/1.1 through every door, with limits against slow and greedy peers.

use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::crowd::{Crowd, Place};
use crate::door::{Door, Tls, Via};

/// The most connections at once through one door. Who comes after that waits until a place is free, in
/// the kernel's queue but for one.
const CONNECTIONS_MAX: usize = 512;
/// How long a peer keeps its place without having shown that it is known, where others wait for one.
const GRACE: Duration = Duration::from_secs(1);
/// How long a peer may take to send the head of a request, and to begin the next one.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a peer may take to agree on encryption.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a peer may take nothing of an answer that waits for it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
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
        "listen on {0}: it can be reached from other machines, which takes an encrypted door; give \
         --tls-cert and --tls-key, or use 127.0.0.1 or [::1] (and a tunnel such as 'ssh -L')"
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
    bind_anywhere(address).await
}

/// As [`bind`], for an address that other machines reach. What is listened on there has to be
/// encrypted.
///
/// # Errors
/// When the address is taken, or refused by the operating system.
pub async fn bind_anywhere(address: SocketAddr) -> Result<TcpListener, NotLoopback> {
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
    let noted = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(data_dir.join(PORT_FILE))
        .and_then(|mut file| file.write_all(format!("{port}\n").as_bytes()));
    if let Err(error) = noted {
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
    serve_door(Door::Plain(listener), router, tasks, cancel).await;
}

/// As [`serve`], for any door.
pub(crate) async fn serve_door(
    door: Door,
    router: Router,
    tasks: &TaskTracker,
    cancel: CancellationToken,
) {
    let crowd = Crowd::new(CONNECTIONS_MAX, GRACE);
    serve_within(door, router, tasks, cancel, crowd).await;
}

async fn serve_within(
    door: Door,
    router: Router,
    tasks: &TaskTracker,
    cancel: CancellationToken,
    crowd: Arc<Crowd>,
) {
    loop {
        let next = tokio::select! {
            () = cancel.cancelled() => break,
            next = next_connection(&door, &crowd) => next,
        };
        match next {
            Ok((arrival, Some(place))) => {
                let (router, cancel) = (router.clone(), cancel.clone());
                tasks.spawn(async move {
                    let wanted = place.until_wanted();
                    tokio::select! {
                        () = wanted => {}
                        () = receive(arrival, place, router, cancel) => {}
                    }
                });
            }
            Ok((_, None)) => tracing::debug!("a peer with too many connections was cut off"),
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

/// Who came, and through which door.
enum Arrival {
    Plain(TcpStream, SocketAddr),
    Unix(UnixStream),
    Tls(TcpStream, SocketAddr, Tls),
}

impl Arrival {
    /// Which other machine it is, where it is one.
    fn peer(&self) -> Option<IpAddr> {
        let (Self::Plain(_, peer) | Self::Tls(_, peer, _)) = self else {
            return None;
        };
        Some(peer.ip().to_canonical()).filter(|ip| !ip.is_loopback())
    }
}

/// The next one that comes, with its place where it may have one.
async fn next_connection(door: &Door, crowd: &Arc<Crowd>) -> io::Result<(Arrival, Option<Place>)> {
    let arrival = match door {
        Door::Plain(listener) => {
            let (stream, peer) = listener.accept().await?;
            Arrival::Plain(stream, peer)
        }
        Door::Unix(listener) => Arrival::Unix(listener.accept().await?.0),
        Door::Tls(listener, tls) => {
            let (stream, peer) = listener.accept().await?;
            Arrival::Tls(stream, peer, tls.clone())
        }
    };
    let place = crowd.enter(arrival.peer()).await.map_err(io::Error::other)?;
    Ok((arrival, place))
}

/// Agrees with a peer on how to speak, and speaks with it.
async fn receive(arrival: Arrival, place: Place, router: Router, cancel: CancellationToken) {
    match arrival {
        Arrival::Plain(stream, peer) => {
            let _ = stream.set_nodelay(true);
            let via = Via::network(peer, stream.local_addr().ok(), false);
            converse(stream, (via, place), router, cancel, WRITE_TIMEOUT).await;
        }
        Arrival::Unix(stream) => {
            converse(stream, (Via::unix(), place), router, cancel, WRITE_TIMEOUT).await;
        }
        Arrival::Tls(stream, peer, Tls(acceptor)) => {
            let _ = stream.set_nodelay(true);
            let via = Via::network(peer, stream.local_addr().ok(), true);
            let agreed = tokio::select! {
                () = cancel.cancelled() => return,
                agreed = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)) => agreed,
            };
            match agreed {
                Ok(Ok(stream)) => {
                    converse(stream, (via, place), router, cancel, WRITE_TIMEOUT).await;
                }
                Ok(Err(error)) => tracing::debug!(%error, "no agreement on encryption"),
                Err(_) => tracing::debug!("a peer was too slow to agree on encryption"),
            }
        }
    }
}

/// Speaks with one peer.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Send + 'static,
    (via, place): (Via, Place),
    router: Router,
    cancel: CancellationToken,
    write_timeout: Duration,
) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(write_timeout));
    let shown = place.clone();
    let service = router.map_request(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(via);
        request.extensions_mut().insert(shown.clone());
        request
    });
    let answered = move |response| closing_where_wanted(response, &place);
    let service = ServiceExt::<hyper::Request<Incoming>>::map_response(service, answered);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .half_close(false)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(service))
        .with_upgrades();
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
}

/// Ends a connection with its answer where others wait for its place.
fn closing_where_wanted(mut response: Response, place: &Place) -> Response {
    if place.is_wanted() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Instant;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    struct Server {
        address: SocketAddr,
        tasks: TaskTracker,
        cancel: CancellationToken,
    }

    /// Lets whoever holds a connection be known.
    async fn known(axum::Extension(place): axum::Extension<Place>) -> &'static str {
        place.prove();
        "hello"
    }

    async fn server(connections_max: usize) -> Server {
        server_with(connections_max, GRACE).await
    }

    async fn server_with(connections_max: usize, grace: Duration) -> Server {
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let server = Server {
            address: listener.local_addr().unwrap(),
            tasks: TaskTracker::new(),
            cancel: CancellationToken::new(),
        };
        let router = Router::new()
            .route("/", get(|| async { "hello" }))
            .route("/known", get(known))
            .route("/never", get(|| async { std::future::pending::<&'static str>().await }));
        let (tasks, cancel) = (server.tasks.clone(), server.cancel.clone());
        server.tasks.spawn(async move {
            let door = Door::Plain(listener);
            let crowd = Crowd::new(connections_max, grace);
            serve_within(door, router, &tasks, cancel, crowd).await;
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

    /// A client that keeps its connection for as long as it may.
    struct Keeping {
        address: SocketAddr,
        stream: Option<TcpStream>,
    }

    impl Keeping {
        async fn ask(&mut self) -> String {
            let stream = match &mut self.stream {
                Some(stream) => stream,
                none => none.insert(TcpStream::connect(self.address).await.unwrap()),
            };
            stream.write_all(b"GET /known HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"hello") {
                assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "{answer:?}");
            }
            let answer = String::from_utf8(answer).unwrap();
            if answer.contains("connection: close") {
                self.stream = None;
            }
            answer
        }
    }

    #[tokio::test]
    async fn more_clients_that_keep_their_connections_than_there_are_places_are_all_answered() {
        let server = server(8).await;
        let beat = Duration::from_millis(100);
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..64 {
            let mut client = Keeping { address: server.address, stream: None };
            all.spawn(async move {
                let mut times = tokio::time::interval(beat);
                let begun = Instant::now();
                for _ in 0..20 {
                    times.tick().await;
                    client.ask().await;
                }
                begun.elapsed()
            });
        }
        let took = tokio::time::timeout(Duration::from_secs(60), all.join_all()).await.unwrap();
        let slowest = took.iter().max().unwrap();
        // As long as twenty beats take, with room for a machine that has more to do.
        assert!(*slowest < beat * 20 * 2, "{slowest:?}");
    }

    #[tokio::test]
    async fn who_says_nothing_gives_way_and_who_is_known_does_not() {
        let server = server_with(2, Duration::ZERO).await;
        let mut known = Keeping { address: server.address, stream: None };
        assert!(!known.ask().await.contains("connection: close"), "there is room");
        let mut silent = TcpStream::connect(server.address).await.unwrap();
        silent.write_all(b"G").await.unwrap();
        for _ in 0..3 {
            let begun = Instant::now();
            assert!(exchange(server.address, ASK).await.contains("hello"));
            assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        }
        let mut rest = Vec::new();
        let cut_off = silent.read_to_end(&mut rest);
        let cut_off = tokio::time::timeout(Duration::from_secs(3), cut_off).await;
        assert!(cut_off.is_ok() && rest.is_empty(), "before the time for its head is over");
        assert!(known.stream.is_some());
        known.ask().await;
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_of_its_answer_is_cut_off() {
        let (near, far) = tokio::io::duplex(64);
        let router = Router::new().route("/", get(|| async { "a".repeat(1 << 20) }));
        let (began, patience) = (Instant::now(), Duration::from_millis(200));
        let (mut reading, mut writing) = tokio::io::split(far);
        writing.write_all(ASK).await.unwrap();
        let place = Crowd::new(1, GRACE).enter(None).await.unwrap().unwrap();
        converse(near, (Via::unix(), place), router, CancellationToken::new(), patience).await;
        assert!(began.elapsed() >= patience, "{:?}", began.elapsed());
        let mut rest = Vec::new();
        reading.read_to_end(&mut rest).await.unwrap();
        assert!(rest.len() < 1024, "{}", rest.len());
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
        let noted = std::fs::metadata(dir.path().join(PORT_FILE)).unwrap().permissions();
        assert_eq!(noted.mode() & 0o777, 0o600);
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
