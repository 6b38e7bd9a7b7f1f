//! Tables that people read: which operation refuses with which codes, and who may use which route.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use model::refusal::Code;

use super::{operations, refusals};
use crate::problem;
use crate::rights::{PROTOCOLS, RULES, Role, Rule};

/// The refusals of every operation as Markdown.
#[must_use]
pub fn table() -> String {
    let mut text = String::from(
        "# How the API refuses\n\n\
         A refusal is a problem (RFC 9457, `application/problem+json`). Programs act on its `code`; `detail` says what happened and `hint` what to\n\
         do. Made from the description of the API (openapi.json), which has the same for each operation.\n\n\
         | code | status | says |\n|---|---|---|\n",
    );
    for code in Code::ALL {
        let status = problem::status(code).as_u16();
        let also = if code == Code::InvalidInput { ", 400, 408, 413, 415" } else { "" };
        let also = if code == Code::Busy { ", 503" } else { also };
        // Writing to a string does not fail.
        let _ =
            writeln!(text, "| `{}` | {status}{also} | {} |", code.as_str(), problem::title(code));
    }
    text.push_str("\n## Statuses\n\n| status | means |\n|---|---|\n");
    let all: Vec<_> = operations()
        .into_iter()
        .map(|(method, path, operation)| {
            let refused = refusals::of(&method, &path, &operation);
            (operation.operation_id.unwrap_or_default(), method, path, refused)
        })
        .collect();
    let statuses: BTreeMap<u16, &str> = all
        .iter()
        .flat_map(|(.., refused)| refused.keys())
        .map(|status| (*status, refusals::about(*status)))
        .collect();
    for (status, about) in statuses {
        let _ = writeln!(text, "| {status} | {about} |");
    }
    text.push_str(
        "\n## Operations\n\n\
         Left out is what every request can meet: 401 `unauthorized`, 403 `forbidden`, 429 and 503 `busy`, 500 `internal`.\n\n\
         | operation | request | refuses with |\n|---|---|---|\n",
    );
    for (id, method, path, refused) in all {
        let codes: Vec<String> = refused
            .iter()
            .filter(|(status, _)| !matches!(status, 401 | 403 | 429 | 500 | 503))
            .map(|(status, codes)| {
                let codes: Vec<_> = codes.iter().map(|code| format!("`{code}`")).collect();
                format!("{status} {}", codes.join(" "))
            })
            .collect();
        let codes = if codes.is_empty() { "-".to_owned() } else { codes.join(", ") };
        let _ = writeln!(text, "| `{id}` | {method} {path} | {codes} |");
    }
    text
}

/// Which role may use which route, as Markdown. What is not marked is refused.
#[must_use]
pub fn matrix() -> String {
    let mut text = String::from(
        "# Who may do what\n\n\
         Every route and the roles that may use it. What is not marked here is refused, and so is every path and method that is not listed; tests\n\
         ask each of these over the wire. `everybody` needs no token. Made from the table of rights.\n\n\
         | route | everybody |",
    );
    for role in Role::ALL {
        let _ = write!(text, " {} |", role.as_str());
    }
    text.push_str("\n|---|---|");
    text.push_str(&"---|".repeat(Role::ALL.len()));
    text.push('\n');
    for (method, path, rule) in RULES.iter().chain(PROTOCOLS) {
        let mark = |may: bool| if may { " yes |" } else { "  |" };
        let _ = write!(text, "| {method} {path} |{}", mark(*rule == Rule::Anybody));
        for role in Role::ALL {
            let may = match rule {
                Rule::Anybody => true,
                Rule::Needs(right) => role.may(*right),
            };
            text.push_str(mark(may));
        }
        text.push('\n');
    }
    text
}
