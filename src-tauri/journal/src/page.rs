//! A document as blocks, and its forms: Markdown, and one HTML file that needs nothing else.
//!
//! Raw HTML, links and images in Markdown become text, so that nothing an agent or a mission says
//! can act in the reader's browser; a content policy in the page forbids scripts and requests.

use std::fmt::Write as _;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// A part of a document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Block {
    /// Markdown, its foreign text escaped.
    Markdown(String),
    /// A chart; Markdown, which cannot hold one, leaves it out.
    Chart {
        caption: String,
        /// Nothing where there is no data.
        svg: Option<String>,
    },
}

/// The document as Markdown.
pub(crate) fn markdown(blocks: &[Block]) -> String {
    let mut out = String::new();
    for block in blocks {
        if let Block::Markdown(text) = block {
            out.push_str(text.trim_end());
            out.push_str("\n\n");
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// The document as one HTML file.
pub(crate) fn html(title: &str, blocks: &[Block]) -> String {
    let mut body = String::new();
    for block in blocks {
        match block {
            Block::Markdown(text) => body.push_str(&markdown_to_html(text)),
            Block::Chart { caption, svg } => {
                let caption = escape(caption);
                let _ = match svg {
                    Some(svg) => {
                        writeln!(body, "<figure><figcaption>{caption}</figcaption>{svg}</figure>")
                    }
                    None => writeln!(body, "<p class=\"none\">{caption}: no data.</p>"),
                };
            }
        }
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n\
         </body>\n</html>\n",
        escape(title)
    )
}

/// Markdown as HTML without raw HTML, links or images.
pub(crate) fn markdown_to_html(text: &str) -> String {
    let events = Parser::new_ext(text, Options::ENABLE_TABLES).filter_map(|event| match event {
        Event::Html(html) | Event::InlineHtml(html) => Some(Event::Text(html)),
        Event::Start(Tag::Link { .. } | Tag::Image { .. } | Tag::HtmlBlock)
        | Event::End(TagEnd::Link | TagEnd::Image | TagEnd::HtmlBlock) => None,
        other => Some(other),
    });
    let mut out = String::new();
    pulldown_cmark::html::push_html(&mut out, events);
    out
}

/// Text between tags, or in an attribute in double quotes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for ch in text.chars() {
        match ch {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            ch => out.push(ch),
        }
    }
    out
}

const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

const STYLE: &str = "\
:root { color-scheme: light dark; --bg: #ffffff; --text: #1b1f26; --dim: #5b6472; --line: #d9dee5; --raised: #f5f7f9; }
@media (prefers-color-scheme: dark) {
  :root { --bg: #14171c; --text: #e6e9ee; --dim: #9aa4b2; --line: #2e343d; --raised: #1c2027; }
}
body { margin: 0; background: var(--bg); color: var(--text); font: 15px/1.55 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1.5rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; padding-top: .8rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
table { border-collapse: collapse; width: 100%; margin: .8rem 0; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .35rem .7rem; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { color: var(--dim); font-weight: 600; }
th:empty { padding: 0; }
table:has(th:empty) td:first-child { width: 11rem; color: var(--dim); }
code { font: 13px/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
pre { background: var(--raised); border: 1px solid var(--line); border-radius: 6px; padding: .8rem 1rem; overflow-x: auto; }
pre code { overflow-wrap: normal; }
figure { margin: 1.2rem 0; }
figure svg { display: block; width: 100%; height: auto; color: var(--text); }
figcaption, .none { color: var(--dim); font-size: .9rem; }
@media print { main { max-width: none; padding: 0; } pre { white-space: pre-wrap; } }
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_html_links_and_images_become_text() {
        let check = |text: &str, expect: &str| assert_eq!(markdown_to_html(text), expect);
        check("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;");
        check("a <b onclick=x>b</b>", "<p>a &lt;b onclick=x&gt;b&lt;/b&gt;</p>\n");
        check("[a](javascript:alert(1))", "<p>a</p>\n");
        check("![a](http://x/y.png)", "<p>a</p>\n");
        check("<http://x.example>", "<p>http://x.example</p>\n");
        check("`<i>`", "<p><code>&lt;i&gt;</code></p>\n");
    }

    #[test]
    fn a_page_asks_for_nothing_and_runs_nothing() {
        let page = html(
            "a <b>",
            &[Block::Markdown("# a".into()), Block::Chart { caption: "Memory".into(), svg: None }],
        );
        assert!(page.contains("<title>a &lt;b&gt;</title>"));
        assert!(page.contains("<p class=\"none\">Memory: no data.</p>"));
        for word in ["<script", "<link", "http://", "https://", "url(", "@import", "src="] {
            assert!(!page.contains(word), "{word}");
        }
        assert!(page.contains("prefers-color-scheme: dark"));
    }
}
