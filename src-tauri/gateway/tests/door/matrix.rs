//! Who may do what, asked over the wire cell by cell: nothing is allowed that was not declared.

use std::collections::BTreeMap;

use engine::view::NewToken;
use http::Method;
use model::token::TokenRole;

use crate::{House, caller};

/// The declared cells: what docs/rights.md marks, by method and path.
fn declared() -> BTreeMap<(Method, String), Vec<String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/rights.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with('|'));
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let roles = cells(lines.next().unwrap())[1..].to_vec();
    let rows = lines.skip(1).map(|line| {
        let cells = cells(line);
        let (method, path) = cells[0].split_once(' ').unwrap();
        let may = roles.iter().zip(&cells[1..]).filter(|(_, cell)| *cell == "yes");
        ((method.parse().unwrap(), path.to_owned()), may.map(|(role, _)| role.clone()).collect())
    });
    rows.collect()
}

fn filled(template: &str) -> String {
    let mut path = template.replace("{day}", "2026-01-02").replace("{index}", "0");
    while let (Some(from), Some(to)) = (path.find('{'), path.find('}')) {
        path.replace_range(from..=to, "0198c0de-0000-7000-8000-000000000001");
    }
    path
}

/// Asks over a socket as somebody; nobody in particular where there is no secret.
async fn status(house: &House, secret: &str, method: &Method, path: &str) -> (u16, String) {
    let authorization = format!("Bearer {secret}");
    let headers: &[(&str, &str)] = &[("authorization", &authorization)];
    let headers = if secret.is_empty() { &[] } else { headers };
    let (status, body) = house.send(method.as_str(), path, headers, b"").await;
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn an_action_not_granted_is_denied_by_default_and_no_cell_is_allowed_that_was_not_declared() {
    let house = House::open().await;
    let declared = declared();
    assert!(declared.len() > 100, "{}", declared.len());
    let work = house.at_work("mallory").await;
    let mut secrets = vec![("everybody", String::new(), None), ("agent", work.token.clone(), None)];
    secrets.extend(TokenRole::ALL.map(|role| (role.as_str(), String::new(), Some(role))));
    for (role, mut secret, kind) in secrets {
        for (n, ((method, template), may)) in declared.iter().enumerate() {
            // It never ends for whoever may listen; the test of the stream asks it.
            if template == "/api/v1/live" {
                continue;
            }
            // A token takes 200 requests at once; one of its own for each part of the table.
            if let Some(kind) = kind
                && n % 50 == 0
            {
                let name = format!("{role} {n}");
                let new = NewToken { name, role: kind, scopes: Vec::new(), days: None };
                secret =
                    house.engine.make_token(&caller(), None, new).await.unwrap().secret.unwrap();
            }
            let (status, body) = status(&house, &secret, method, &filled(template)).await;
            let may = may.iter().any(|it| it == role);
            let what = format!("{role} {method} {template}: {status} {body}");
            // A stranger is told to sign in, or that it has asked too often: then for anything.
            let denied = matches!(status, 401 | 403) || (status == 429 && kind.is_none() && !may);
            // What the captain alone may, or who shows a code, is refused by its handler.
            // And what an agent that runs elsewhere says, which it does by a token of its own.
            let captains = template.starts_with("/api/v1/login")
                || template.starts_with("/api/v1/attached/")
                || ["/api/v1/tokens", "/api/v1/pairings"].contains(&template.as_str());
            assert!(denied || may, "not declared: {what}");
            assert!(!denied || !may || captains, "declared: {what}");
        }
        for (method, path) in [(Method::GET, "/api/v1/nope"), (Method::PUT, "/api/v1/overview")] {
            let (status, body) = status(&house, &secret, &method, path).await;
            assert!((400..500).contains(&status), "{role} {method} {path}: {status} {body}");
        }
    }
    house.close().await;
}
