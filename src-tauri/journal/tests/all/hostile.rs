//! Text of missions and agents stays text in every format.

use jiff::civil::date;
use jiff::tz::TimeZone;
use journal::{Format, ReportOf, export, report};
use model::devlog::Devlog;

use crate::world::{Ending, Words, World, mission_id};

const PAYLOADS: [&str; 26] = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "</svg><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "\"><script>alert(1)</script>",
    "'><iframe src=javascript:alert(1)>",
    "<a href=\"javascript:alert(1)\">x</a>",
    "[x](javascript:alert(1))",
    "![x](javascript:alert(1))",
    "<javascript:alert(1)>",
    "[x]: javascript:alert(1)\n[x]",
    "```\n</code></pre><script>alert(1)</script>\n```",
    "````\n~~~\n<script>alert(1)</script>",
    "`</code><script>alert(1)</script>`",
    "| a | b |\n|---|---|\n| <script>alert(1)</script> |",
    "# heading\n<script>alert(1)</script>",
    "<!-- --><script>alert(1)</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?php ?><script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "<scr\u{0}ipt>alert(1)</scr\u{0}ipt>",
    "\u{1b}]8;;javascript:alert(1)\u{7}x\u{1b}]8;;\u{7}<script>alert(1)</script>\\",
];

/// Elements that our own pages are made of.
const TAGS: [&str; 36] = [
    "!doctype",
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "main",
    "h1",
    "h2",
    "h3",
    "h4",
    "p",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "code",
    "pre",
    "ul",
    "li",
    "figure",
    "figcaption",
    "svg",
    "g",
    "rect",
    "line",
    "polyline",
    "polygon",
    "circle",
    "text",
    "strong",
    "em",
    "br",
];

/// Every tag of a page: its name and what follows it up to the `>`.
fn tags(page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for part in page.split('<').skip(1) {
        let inside = part.split('>').next().unwrap_or_default();
        let inside = inside.trim_start_matches('/');
        let (name, rest) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
        let name = name.trim_end_matches('/').to_ascii_lowercase();
        found.push((name, rest.to_owned()));
    }
    found
}

fn assert_harmless(page: &str, payload: &str) {
    for (name, rest) in tags(page) {
        assert!(TAGS.contains(&name.as_str()), "<{name} {rest}> by {payload}");
        let rest = rest.to_ascii_lowercase();
        for word in ["href", "src=", "javascript:", " on"] {
            let found = rest.contains(word) || rest.starts_with(word.trim_start());
            assert!(!found || name == "meta", "<{name} {rest}> by {payload}");
        }
    }
    // What opened was closed: no payload ended one of our elements early.
    for tag in ["table", "pre", "code", "svg", "style", "main", "figure", "td"] {
        let open =
            page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(open, page.matches(&format!("</{tag}>")).count(), "{tag} by {payload}");
    }
}

async fn hostile_world(payload: &str) -> World {
    let words = Words {
        title: payload.into(),
        brief: payload.into(),
        command: payload.into(),
        reason: payload.into(),
        output: payload.into(),
        subject: payload.into(),
        branch: payload.into(),
        note: payload.into(),
    };
    let world = World::open().await;
    world.add_agent(1, payload).await;
    world.add_mission(1, &words).await;
    world.attempt((1, 1, 1, 1), &words, Ending::GateFails, true).await;
    world
}

#[tokio::test]
async fn no_text_of_a_mission_or_an_agent_becomes_markup() {
    let utc = TimeZone::UTC;
    for payload in PAYLOADS {
        let world = hostile_world(payload).await;
        for of in [ReportOf::Mission(mission_id(1)), ReportOf::Day(date(2026, 11, 20))] {
            let now = world.now();
            let of_zone = |format| report(&world.ledger, &world.telemetry, of, format, &utc, now);
            let page = of_zone(Format::Html).await.unwrap();
            assert_harmless(&page.body, payload);
            let safe = |ch: char| ch.is_ascii_alphanumeric() || "-.".contains(ch);
            assert!(page.file_name.chars().all(safe), "{}", page.file_name);
            // The Markdown form is as harmless to whoever renders it.
            let text = of_zone(Format::Markdown).await.unwrap().body;
            let devlog = Devlog {
                id: journal::devlog_id(crate::world::attempt_id(1)),
                mission_id: mission_id(1),
                short_id: "M-7K2P".parse().unwrap(),
                attempt_id: None,
                agent_id: None,
                title: payload.into(),
                markdown: text.clone(),
                demo: false,
                at: now,
            };
            let page = export(&devlog, Format::Html).unwrap();
            assert_harmless(&page.body, payload);
            assert_structure(&text, payload);
        }
    }
}

/// Headings and table rows are those of the report, and raw HTML stands in code only.
fn assert_structure(text: &str, payload: &str) {
    let mut fence: Option<&str> = None;
    for line in text.lines() {
        let ticks = line.bytes().take_while(|byte| *byte == b'`').count();
        match fence {
            Some(open) if ticks >= open.len() && line.trim_end() == &line[..ticks] => fence = None,
            Some(_) => continue,
            None if ticks >= 3 => fence = Some(&line[..ticks]),
            None => {
                let bare = line.replace(r"\<", "").replace(r"\\", "");
                assert!(!bare.contains('<'), "{line} by {payload}");
                assert!(!line.contains('\u{1b}'), "{line} by {payload}");
                if line.starts_with('|') {
                    let cells = line.replace(r"\\", "").replace(r"\|", "").matches('|').count();
                    assert!((3..=5).contains(&cells), "{line} by {payload}");
                }
            }
        }
    }
    assert_eq!(fence, None, "a block of code stays open by {payload}");
}
