//! The same samples as text: for promtool, and for VictoriaMetrics.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use model::signal::SeriesKey;

use super::{END_MS, Size};

/// Writes `openmetrics.txt`, with moments in seconds, and `prometheus.txt`, in milliseconds.
pub(crate) fn write(size: &Size, folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut seconds = BufWriter::new(File::create(folder.join("openmetrics.txt"))?);
    let mut millis = BufWriter::new(File::create(folder.join("prometheus.txt"))?);
    let mut samples = 0_u64;
    for (shapes, span_s) in size.groups() {
        for mut shape in shapes {
            let name = written(&shape.key);
            for second in 0..span_s {
                let at = END_MS / 1000 - span_s + second;
                let value = shape.next();
                writeln!(seconds, "{name} {value} {at}")?;
                writeln!(millis, "{name} {value} {at}000")?;
                samples += 1;
            }
        }
    }
    writeln!(seconds, "# EOF")?;
    seconds.flush()?;
    millis.flush()?;
    super::tell("data", "samples", samples as f64, "");
    Ok(())
}

fn written(key: &SeriesKey) -> String {
    let labels = key.labels.iter().map(|(label, value)| format!("{label}={value:?}"));
    let labels: Vec<String> = labels.collect();
    if labels.is_empty() {
        key.name.clone()
    } else {
        format!("{}{{{}}}", key.name, labels.join(","))
    }
}
