//! The encrypted door where no name was given: what the machine's addresses open, they open for all.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use gateway::{Host, NoWindow, Outer, Tls};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::House;

#[tokio::test]
async fn the_tools_are_reached_by_every_address_that_the_rest_is_reached_by() {
    let house = House::open().await;
    let work = house.at_work("ann").await;
    let place = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["build.example".into()]).unwrap();
    let (certificate, key) = (place.path().join("c.pem"), place.path().join("k.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let listener = gateway::bind_anywhere("0.0.0.0:0".parse().unwrap()).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tls = Tls::read(&certificate, &key).unwrap();
    let outer = Outer { listener, tls, names: Vec::new() };
    let here = gateway::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let socket = Some(place.path().join("own.sock"));
    let window = Arc::new(NoWindow);
    let host = Host::open_doors(&house.engine, here, Some(outer), socket, window).unwrap();

    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(made.cert.der().to_vec())).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    // An address of this machine that nobody named.
    let address: SocketAddr = format!("127.0.0.2:{port}").parse().unwrap();
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
    let ask = async |host: &str, more: &str| {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("build.example").unwrap();
        let mut stream = connector.connect(name, stream).await.unwrap();
        let head = format!(
            "POST /mcp HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\naccept: application/json, text/event-stream\r\n\
             content-length: {}\r\nconnection: close\r\n{more}\r\n{body}",
            work.token,
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A peer may be cut off after its answer.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    let named = address.to_string();
    for more in [String::new(), format!("origin: https://{named}\r\n")] {
        let answer = ask(&named, &more).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("report_progress"), "{answer}");
    }
    for (host, more) in [
        (format!("attacker.example:{port}"), ""),
        (named.clone(), "origin: https://attacker.example\r\n"),
        ("localhost".to_owned(), ""),
    ] {
        let answer = ask(&host, more).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{host} {more}: {answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
    }
    host.close().await;
    house.close().await;
}
