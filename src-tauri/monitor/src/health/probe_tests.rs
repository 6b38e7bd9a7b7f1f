//! Looks at what may be there: in order, wrong, slow, silent, endless, or pointing somewhere else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

/// What a server does with a request.
#[derive(Clone)]
enum Does {
    Answers(String),
    Hangs,
    /// Promises ten gigabytes, and sends for as long as somebody takes it.
    Floods,
    /// Sends a head that does not end.
    Babbles,
}

/// A server; it gives how much it sent.
async fn server(does: Does) -> (SocketAddr, Arc<AtomicUsize>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut seen = Vec::new();
            while !seen.ends_with(b"\r\n\r\n") {
                if stream.read_buf(&mut seen).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            let (first, chunk) = match &does {
                Does::Answers(text) => {
                    drop(stream.write_all(text.as_bytes()).await);
                    continue;
                }
                Does::Hangs => {
                    let mut rest = Vec::new();
                    drop(stream.read_to_end(&mut rest).await);
                    continue;
                }
                Does::Floods => ("HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n", "x"),
                Does::Babbles => ("HTTP/1.1 200 OK\r\n", "x-more: yes\r\n"),
            };
            drop(stream.write_all(first.as_bytes()).await);
            let chunk = chunk.repeat(1_024);
            while stream.write_all(chunk.as_bytes()).await.is_ok() {
                count.fetch_add(chunk.len(), Ordering::Relaxed);
            }
        }
    });
    (address, sent, serving)
}

fn http(address: SocketAddr) -> Probe {
    let url = format!("http://{address}/health?key=abc");
    Probe::Http { url, status: None, contains: None, slow_ms: None }
}

const LONG: Duration = Duration::from_secs(60);

async fn found(probe: &Probe) -> Found {
    look(probe, LONG, Timestamp::UNIX_EPOCH).await.unwrap()
}

fn why(found: &Found) -> &str {
    match &found.finding {
        Finding::Good => "",
        Finding::Poor(why) | Finding::Bad(why) => why,
    }
}

fn answer(status: &str, body: &str) -> Does {
    let length = body.len();
    Does::Answers(format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}"))
}

#[tokio::test]
async fn a_page_is_in_order_when_it_answers_as_it_must() {
    let (address, ..) = server(answer("200 OK", "all is well")).await;
    let plain = found(&http(address)).await;
    assert_eq!(plain.finding, Finding::Good);
    assert!(plain.latency.is_some());
    let with = |status, contains: Option<&str>, slow_ms| Probe::Http {
        url: format!("http://{address}/"),
        status,
        contains: contains.map(str::to_owned),
        slow_ms,
    };
    assert_eq!(found(&with(Some(200), Some("well"), None)).await.finding, Finding::Good);
    let text = found(&with(None, Some("ill"), None)).await;
    assert!(why(&text).contains("does not hold the text"), "{text:?}");
    let status = found(&with(Some(204), None, None)).await;
    assert!(why(&status).contains("200 OK, not 204"), "{status:?}");
    let slow = found(&with(None, None, Some(0))).await;
    assert!(matches!(slow.finding, Finding::Poor(_)), "{slow:?}");
}

#[tokio::test]
async fn a_page_that_fails_says_why_and_tells_no_query() {
    let (address, ..) = server(answer("503 Service Unavailable", "")).await;
    let failed = found(&http(address)).await;
    assert_eq!(why(&failed), "it answered 503 Service Unavailable");
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let refused = found(&http(nobody)).await;
    assert!(why(&refused).contains("refused") && !why(&refused).contains("abc"), "{refused:?}");
    let (address, ..) = server(Does::Answers("no answer at all\r\n\r\n".into())).await;
    assert!(why(&found(&http(address)).await).contains("broke off"));
}

#[tokio::test]
async fn an_answer_that_points_elsewhere_is_not_followed() {
    let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = inner.local_addr().unwrap();
    let moved =
        format!("HTTP/1.1 302 Found\r\nlocation: http://{to}/\r\ncontent-length: 0\r\n\r\n");
    let (address, ..) = server(Does::Answers(moved)).await;
    let found = found(&http(address)).await;
    assert!(why(&found).contains("not followed"), "{found:?}");
    let nobody = tokio::time::timeout(Duration::from_millis(50), inner.accept()).await;
    assert!(nobody.is_err(), "it was followed");
}

#[tokio::test]
async fn a_look_that_hangs_is_given_up_when_its_time_is_over() {
    let (address, ..) = server(Does::Hangs).await;
    let short = Duration::from_millis(200);
    let began = Instant::now();
    let found = look(&http(address), short, Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(why(&found), "it did not answer within 0.2 s");
    assert!(began.elapsed() < LONG / 2);
}

#[tokio::test]
async fn of_an_answer_of_ten_gigabytes_no_more_than_a_mebibyte_is_read() {
    const MOST: usize = 16 << 20;
    let (address, sent, _serving) = server(Does::Floods).await;
    let url = format!("http://{address}/");
    let contains = Some("never there".to_owned());
    let probe = Probe::Http { url, status: None, contains, slow_ms: None };
    let text = found(&probe).await;
    assert!(why(&text).contains("the first MiB"), "{text:?}");
    // What the system itself had taken in before may be more.
    assert!(sent.load(Ordering::Relaxed) < MOST, "{sent:?}");
    let (address, sent, _serving) = server(Does::Floods).await;
    assert_eq!(found(&http(address)).await.finding, Finding::Good, "its status is enough");
    assert!(sent.load(Ordering::Relaxed) < MOST, "{sent:?}");
    let (address, sent, _serving) = server(Does::Babbles).await;
    assert!(why(&found(&http(address)).await).contains("broke off"));
    assert!(sent.load(Ordering::Relaxed) < MOST, "{sent:?}");
}

#[tokio::test]
async fn a_port_is_in_order_when_somebody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let probe = |host: &str, port| Probe::Tcp { host: host.to_owned(), port, slow_ms: None };
    assert_eq!(found(&probe("127.0.0.1", port)).await.finding, Finding::Good);
    drop(listener);
    assert!(why(&found(&probe("127.0.0.1", port)).await).contains("no connection"));
    let metadata = found(&probe("169.254.169.254", 80)).await;
    assert!(why(&metadata).contains("is not asked"), "{metadata:?}");
}

#[tokio::test]
async fn a_file_and_a_disk_are_looked_at() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("dump");
    let age = |path: &std::path::Path| Probe::FileAge {
        path: path.display().to_string(),
        max_age_s: 60,
        degraded_age_s: None,
    };
    assert!(why(&found(&age(&file)).await).contains("there is no"));
    std::fs::write(&file, "x").unwrap();
    let now = Timestamp::try_from(std::fs::metadata(&file).unwrap().modified().unwrap()).unwrap();
    let judge = async |later| {
        let now = now + jiff::SignedDuration::from_secs(later);
        look(&age(&file), LONG, now).await.unwrap().finding
    };
    assert_eq!(judge(59).await, Finding::Good);
    assert!(matches!(judge(60).await, Finding::Bad(_)));
    let disk = |failed| Probe::Disk {
        path: place.path().display().to_string(),
        failed_free_percent: failed,
        degraded_free_percent: failed.max(1),
    };
    assert!(!why(&found(&disk(100)).await).is_empty(), "there is something on every disk");
    assert!(!matches!(found(&disk(0)).await.finding, Finding::Bad(_)));
    let nowhere = Probe::Disk {
        path: "/no/such/place".to_owned(),
        failed_free_percent: 0,
        degraded_free_percent: 0,
    };
    assert!(why(&found(&nowhere).await).contains("failed to look"));
}

#[tokio::test]
async fn commands_and_reports_are_not_looked_at_here() {
    for probe in [
        Probe::Command { command: vec!["true".to_owned()], degraded_code: None },
        Probe::Heartbeat { period_s: 1, grace_s: 1 },
    ] {
        assert_eq!(look(&probe, LONG, Timestamp::UNIX_EPOCH).await, None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn no_answer_panics(answer: Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let found = runtime.block_on(async {
            let text = String::from_utf8_lossy(&answer).into_owned();
            let (address, ..) = server(Does::Answers(text)).await;
            found(&http(address)).await
        });
        prop_assert!(found.finding != Finding::Good || answer.starts_with(b"HTTP/1."));
    }
}
