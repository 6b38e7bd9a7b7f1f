//! Certificates as they may be shown: trusted, of nobody's, for another name, ending soon, or ended.

use std::net::SocketAddr;

use jiff::SignedDuration;
use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::*;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.0.der().to_vec())).unwrap();
        Arc::new(roots)
    }
}

/// A server that shows a certificate for a name which ends with a year.
async fn server(authority: &Authority, name: &str, ends: i32) -> SocketAddr {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(ends, 1, 1);
    let certificate = params.signed_by(&key, &authority.0).unwrap().der().clone();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        while let Ok((stream, _)) = listener.accept().await {
            drop(acceptor.accept(stream).await);
        }
    });
    address
}

const DAYS: Days = Days { failed: 7, degraded: 21 };

fn days_before(ends: &str, days: i64) -> Timestamp {
    let ends: Timestamp = ends.parse().unwrap();
    ends - SignedDuration::from_hours(24 * days)
}

#[tokio::test]
async fn a_certificate_is_in_order_until_it_ends_soon() {
    let authority = Authority::new();
    let address = server(&authority, "localhost", 2090).await;
    let shown = shown_by("localhost", address.port(), authority.roots()).await.unwrap();
    assert_eq!(shown.distrust, None);
    let check = |days, expected: &str| {
        let found = judge(&shown, DAYS, days_before("2090-01-01T00:00:00Z", days));
        let word = match &found {
            Finding::Good => "good",
            Finding::Poor(_) => "poor",
            Finding::Bad(_) => "bad",
        };
        assert_eq!(word, expected, "{days} {found:?}");
    };
    check(21, "good");
    check(20, "poor");
    check(7, "poor");
    check(6, "bad");
    check(0, "bad");
    check(-1, "bad");
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_or_that_ended_says_so() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let now = days_before("2090-01-01T00:00:00Z", 1_000);
    let judged = async |name: &str, ends, roots: Arc<RootCertStore>| {
        let address = server(&authority, name, ends).await;
        let shown = shown_by("localhost", address.port(), roots).await.unwrap();
        match judge(&shown, DAYS, now) {
            Finding::Bad(why) => why,
            other => panic!("{other:?}"),
        }
    };
    let unknown = judged("localhost", 2090, stranger.roots()).await;
    assert!(unknown.contains("not trusted"), "{unknown}");
    let other = judged("elsewhere.example", 2090, authority.roots()).await;
    assert!(other.contains("not trusted"), "{other}");
    let nobody = judged("localhost", 2090, Arc::new(RootCertStore::empty())).await;
    assert!(nobody.contains("trusts no authority"), "{nobody}");
    let ended = judged("localhost", 2025, authority.roots()).await;
    assert!(ended.contains("ended at 2025-01-01"), "{ended}");
}

#[tokio::test]
async fn what_does_not_encrypt_shows_no_certificate() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            use tokio::io::AsyncWriteExt as _;
            drop(stream.write_all(b"220 smtp.example ESMTP\r\n").await);
        }
    });
    let days = DAYS;
    let found = look("127.0.0.1", port, days, Timestamp::UNIX_EPOCH, Instant::now()).await;
    let Finding::Bad(why) = found.finding else { panic!("{found:?}") };
    assert!(why.contains("no certificate"), "{why}");
}

proptest! {
    #[test]
    fn no_bytes_panic_as_a_certificate(bytes: Vec<u8>) {
        prop_assert_eq!(end_of(&bytes), None);
    }
}
