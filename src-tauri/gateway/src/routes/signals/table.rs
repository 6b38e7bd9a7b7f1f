//! Answers as a table that spreadsheets read.

use std::fmt::Write as _;

use engine::{AnsweredSeries, SignalAnswer};

/// One line per series and bucket, with a head, as RFC 4180 says.
pub(super) fn csv(answer: &SignalAnswer) -> String {
    let mut text = String::from("at,series,unit,min,max,mean,last,count\r\n");
    for series in &answer.series {
        let (name, unit) = (cell(&shown(series)), cell(&series.unit));
        for bucket in &series.buckets {
            // Writing into a string cannot fail.
            let _ = write!(
                text,
                "{},{name},{unit},{},{},{},{},{}\r\n",
                bucket.at, bucket.min, bucket.max, bucket.mean, bucket.last, bucket.count
            );
        }
    }
    text
}

/// A series as a selector writes it.
fn shown(series: &AnsweredSeries) -> String {
    let name = series.labels.get("__name__").map_or("", String::as_str);
    let others = series.labels.iter().filter(|(label, _)| *label != "__name__");
    let pairs: Vec<String> = others.map(|(label, value)| format!("{label}={value:?}")).collect();
    if pairs.is_empty() && !name.is_empty() {
        return name.to_owned();
    }
    format!("{name}{{{}}}", pairs.join(","))
}

/// A cell of text: in quotes where it must be, and never a formula to a spreadsheet.
fn cell(text: &str) -> String {
    let formula =
        text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '|', '%']) && text.len() > 1;
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if !text.contains([',', '"', '\n', '\r', '\'']) {
        return text;
    }
    format!("\"{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_never_a_formula_and_keeps_its_text() {
        for (text, expected) in [
            ("=cmd|' /C calc'!A0", "\"'=cmd|' /C calc'!A0\""),
            ("@SUM(1)", "\"'@SUM(1)\""),
            ("-2+3", "\"'-2+3\""),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("%", "%"),
            ("B/s", "B/s"),
            ("", ""),
        ] {
            assert_eq!(cell(text), expected, "{text}");
        }
    }

    #[test]
    fn a_series_is_written_as_a_selector() {
        let series = |pairs: &[(&str, &str)]| AnsweredSeries {
            labels: pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(),
            unit: String::new(),
            buckets: Vec::new(),
        };
        assert_eq!(shown(&series(&[("__name__", "x")])), "x");
        assert_eq!(shown(&series(&[("__name__", "x"), ("a", "=1\"")])), "x{a=\"=1\\\"\"}");
        assert_eq!(shown(&series(&[])), "{}");
    }
}
