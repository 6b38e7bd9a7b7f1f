//! What the machine has of its own: a keychain, and authorities that vouch for others.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::house::{House, PROGRAM};

/// The longest a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(60);
/// A value that is nowhere else.
const VALUE: &str = "correct-horse-battery";
/// Opens the keychain and runs an engine beside it, on a message bus of their own.
const BESIDE_A_KEYCHAIN: &str = "printf %s captain | gnome-keyring-daemon --unlock \
    --components=secrets >/dev/null 2>&1; exec \"$0\" serve";

fn is_there(program: &str) -> bool {
    let version = Command::new(program).arg("--version").stdout(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// An engine in a session with a real Secret Service, whose keychain is kept in the place.
fn with_keychain(place: &Arc<TempDir>) -> House {
    let own = |name: &str| {
        let path = place.path().join(name);
        fs::create_dir_all(&path).unwrap();
        #[cfg(unix)]
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        path
    };
    let (home, run) = (own("home"), own("run"));
    House::open_by(Arc::clone(place), "dbus-run-session", |command| {
        command
            .args(["--", "sh", "-c", BESIDE_A_KEYCHAIN, PROGRAM])
            .env("HOME", &home)
            .env("XDG_DATA_HOME", home.join("share"))
            .env("XDG_RUNTIME_DIR", &run)
            .env_remove("HIVEKEEPER_KEYCHAIN");
    })
}

/// Whether any file below a directory holds a text.
fn holds(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| {
        let path = entry.path();
        match path.is_dir() {
            true => holds(&path, text),
            false => fs::read(&path).is_ok_and(|bytes| {
                bytes.windows(text.len()).any(|window| window == text.as_bytes())
            }),
        }
    })
}

#[test]
fn secrets_live_in_the_os_keychain_where_one_answers_and_in_no_file() {
    if !["dbus-run-session", "gnome-keyring-daemon"].iter().all(|program| is_there(program)) {
        eprintln!("skipped: no Secret Service here (Debian: dbus-daemon and gnome-keyring)");
        return;
    }
    let place = Arc::new(tempfile::tempdir().unwrap());
    let mut house = with_keychain(&place);
    let file = place.path().join("value");
    fs::write(&file, format!("{VALUE}\n")).unwrap();
    house.ok(&["secret", "set", "db", &format!("@{}", file.display())]);
    fs::remove_file(&file).unwrap();
    let told = house.run(&["doctor"]).1;
    assert!(told.contains("kept in the system's keychain"), "{told}");
    let kept = fs::read_to_string(house.data.join("secrets.json")).unwrap();
    assert!(kept.contains("\"db\"") && !kept.contains(VALUE), "{kept}");
    assert_eq!(house.end(), Some(0));
    assert!(!holds(place.path(), VALUE), "neither ours nor the keychain's, which is encrypted");

    // Another session, with the same keychain.
    let mut house = with_keychain(&place);
    // It says what it was given so that it can be told from the value itself.
    let told = "sh -c 'echo \"$DB\" | tr a-z b-za > out.txt'";
    house.finished_mission_with(told, &["--env", "DB=secret:db"]);
    assert!(holds(&house.data, "dpssfdu-ipstf-cbuufsz"), "its agent was given it");
    house.ok(&["secret", "remove", "db"]);
    assert_eq!(house.end(), Some(0));
    let mut house = with_keychain(&place);
    assert!(!house.ok(&["secret", "list"]).contains("db"));
    assert_eq!(house.end(), Some(0));
    assert!(!holds(place.path(), VALUE), "nor anywhere afterwards");
}

/// Answers requests over TLS with a certificate of an authority of its own; tells the head of each.
fn receiver(authority: &Path) -> (u16, mpsc::Receiver<String>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    fs::write(authority, issuer.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let own = own.signed_by(&key, &issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![own.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if let Some(head) = answered(stream, &config)
                && tell.send(head).is_err()
            {
                return;
            }
        }
    });
    (port, told)
}

fn answered(stream: TcpStream, config: &Arc<ServerConfig>) -> Option<String> {
    let connection = ServerConnection::new(Arc::clone(config)).ok()?;
    let mut stream = StreamOwned::new(connection, stream);
    let mut seen = Vec::new();
    let mut some = [0; 4096];
    while !seen.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut some).ok()? {
            0 => return None,
            read => seen.extend_from_slice(&some[..read]),
        }
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()?;
    Some(String::from_utf8_lossy(&seen).into_owned())
}

#[test]
fn traces_go_to_a_receiver_whose_authority_the_captain_names_and_to_no_other() {
    let place = Arc::new(tempfile::tempdir().unwrap());
    let authority = place.path().join("ca.pem");
    let (port, told) = receiver(&authority);
    let house = House::open_by(Arc::clone(&place), PROGRAM, |command| {
        command.arg("serve").env("SSL_CERT_FILE", &authority).env_remove("SSL_CERT_DIR");
    });
    house.ok(&["config", "set", &format!("traces_to=https://localhost:{port}")]);
    house.finished_mission("sh -c 'echo x > out.txt'");
    let head = told.recv_timeout(PATIENCE).unwrap();
    assert!(head.starts_with("POST /v1/traces HTTP/1.1"), "{head}");

    // One that the named authority does not vouch for is told nothing, and that is said.
    let (port, told) = receiver(&place.path().join("other.pem"));
    house.ok(&["config", "set", &format!("traces_to=https://localhost:{port}")]);
    house.ok(&["mission", "add", "--title", "More", "--brief", "c", "--gate", "file: out.txt"]);
    let said = || house.ok(&["log", "--text", "spans could not be sent"]);
    let until = std::time::Instant::now() + PATIENCE;
    while !said().contains("trust") {
        assert!(std::time::Instant::now() < until, "{}", said());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(told.try_recv().is_err());
}
