//! Access tokens, pairing, and where the engine may listen.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};

use crate::house::{House, json, run};

#[test]
fn a_token_is_made_listed_and_revoked_and_its_secret_printed_once() {
    let house = House::open();
    house.ok(&["agent", "add", "ann", "--command", "cat"]);
    assert!(house.ok(&["token", "list"]).contains("no tokens"));
    let add = ["token", "add", "build server", "--role", "operator", "--scope", "missions"];
    let made = house.json(&[&add[..], &["--scope", "agent:ann", "--days", "90"]].concat());
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with("hk_t_"), "{made}");
    assert_eq!(made["token"]["scopes"].as_array().unwrap().len(), 2);
    let listed = house.ok(&["token", "list"]);
    assert!(listed.contains("build server") && listed.contains("never"), "{listed}");
    assert!(listed.contains(&secret[..12]) && !listed.contains(secret), "{listed}");
    let (code, _, error) = house.run(&["token", "add", "x", "--role", "viewer", "--scope", "all"]);
    assert!(code == 2 && error.contains("'all' is no scope"), "{code} {error}");
    let (code, _, error) = house.run(&["token", "add", "Build Server", "--role", "viewer"]);
    assert!(code == 1 && error.contains("already"), "{error}");
    assert!(house.ok(&["token", "revoke", "BUILD server"]).contains("opens nothing any more"));
    assert_eq!(house.run(&["token", "revoke", "build server"]).0, 1);
    assert!(house.ok(&["token", "list", "--revoked"]).contains("revoked"));
    // What the list does not show is asked for by its id all the same.
    let (code, _, error) = house.run(&["token", "revoke", made["token"]["id"].as_str().unwrap()]);
    assert!(code == 1 && error.contains("already revoked"), "{error}");
    let text = house.ok(&["token", "add", "script", "--role", "viewer"]);
    assert!(text.lines().nth(1).unwrap().starts_with("hk_t_"), "{text}");
}

#[test]
fn a_browser_is_paired_by_a_link_that_says_where_it_works() {
    let house = House::open();
    let pairing = house.json(&["token", "pair", "--role", "viewer", "--name", "phone"]);
    assert_eq!((&pairing["role"], &pairing["reachable"]), (&"viewer".into(), &false.into()));
    assert!(pairing["url"].as_str().unwrap().contains("/#login="), "{pairing}");
    let text = house.ok(&["token", "pair", "--role", "operator"]);
    assert!(text.contains("only browsers on this machine"), "{text}");
}

#[test]
fn an_engine_has_a_socket_for_its_account_and_no_door_for_others_without_a_certificate() {
    let house = House::open();
    let socket = house.data.join("hivekeeper.sock");
    let meta = std::fs::metadata(&socket).unwrap();
    assert!(meta.file_type().is_socket());
    assert_eq!(meta.permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(house.data.join("endpoint.json")).unwrap();
    assert_eq!(json(&text)["socket"], socket.to_str().unwrap());
    let (code, _, error) = run(&["serve", "--listen", "0.0.0.0:0"]);
    assert!(code == 1 && error.contains("--tls-cert"), "{error}");
    let (code, _, error) = run(&["serve", "--tls-cert", "/nowhere.pem", "--tls-key", "/no.pem"]);
    assert!(code == 1 && error.contains("/nowhere.pem"), "{error}");
}

#[test]
fn browsers_that_are_signed_in_are_listed_and_signed_out() {
    let house = House::open();
    assert!(house.ok(&["login", "list"]).contains("no browser is signed in"));
    let sign_in = |link: &str| {
        let (url, code) = link.split_once("/#login=").unwrap();
        let address = url.strip_prefix("http://").unwrap();
        let body = serde_json::json!({ "code": code }).to_string();
        let request = format!(
            "POST /api/v1/login HTTP/1.1\r\nhost: {address}\r\nuser-agent: Fox/1\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    };
    sign_in(house.json(&["login"])["url"].as_str().unwrap());
    let pairing = house.json(&["token", "pair", "--role", "viewer", "--name", "phone"]);
    sign_in(pairing["url"].as_str().unwrap());
    let text = house.ok(&["login", "list"]);
    assert!(text.contains("phone") && text.contains("viewer"), "{text}");
    assert!(text.contains("Fox/1") && text.contains("127.0.0.1"), "{text}");
    let listed = house.json(&["login", "list"]);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    assert!(house.ok(&["login", "end", "PHONE"]).contains("signed out"));
    let (code, _, error) = house.run(&["login", "end", "phone"]);
    assert!(code == 1 && error.contains("login list"), "{error}");
    assert!(house.ok(&["login", "end", "--all"]).contains("1 browser"));
    assert!(house.ok(&["login", "list"]).contains("no browser is signed in"));
    let ever = house.ok(&["login", "list", "--ended"]);
    assert_eq!(ever.matches("ended").count(), 2, "{ever}");
}
