//! Charts as SVG that take their ink from the page, so that they are readable in light and dark.

use std::fmt;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use model::signal::Bucket;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

/// What could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("draw a chart: {0}")]
pub struct ChartError(String);

impl ChartError {
    fn new(source: impl fmt::Display) -> Self {
        Self(source.to_string())
    }
}

/// Drawn black and then replaced by the page's text colour.
const INK: RGBColor = RGBColor(0, 0, 0);
/// Colours with a contrast of 3:1 or more on white and on near-black.
pub(crate) const BLUE: RGBColor = RGBColor(0x2f, 0x7f, 0xd6);
const ORANGE: RGBColor = RGBColor(0xb4, 0x69, 0x0e);
pub(crate) const GREEN: RGBColor = RGBColor(0x2e, 0x8b, 0x57);
pub(crate) const RED: RGBColor = RGBColor(0xd0, 0x45, 0x3a);
pub(crate) const GREY: RGBColor = RGBColor(0x80, 0x86, 0x90);

const WIDTH: u32 = 860;
const FONT: &str = "system-ui, sans-serif";
/// Plotters' size of 16 is 13 px on the page.
const FONT_PX: u32 = 16;
/// Samples come once a second: columns further apart than this many steps have a gap in between.
const GAP_STEPS: f64 = 2.5;

/// A line of a chart over time.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) buckets: &'a [Bucket],
    pub(crate) step_ms: u64,
}

/// The runs of points without a gap between them, in seconds from `from`.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of one mission")]
fn segments(line: &Line<'_>, from: Timestamp) -> Vec<Vec<(f64, f64)>> {
    let gap_s = GAP_STEPS * (line.step_ms as f64 / 1_000.0).max(1.0);
    let mut segments: Vec<Vec<(f64, f64)>> = Vec::new();
    for bucket in line.buckets {
        let x = bucket.at.duration_since(from).as_secs_f64();
        let joined =
            segments.last_mut().filter(|run| run.last().is_some_and(|(last, _)| x - last <= gap_s));
        match joined {
            Some(run) => run.push((x, bucket.mean)),
            None => segments.push(vec![(x, bucket.mean)]),
        }
    }
    segments
}

/// What the numbers of a chart are and how its lines look.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scale {
    /// Percent of one core.
    Percent,
    /// Bytes, shown in the unit that fits the largest.
    Bytes,
}

impl Scale {
    const fn color(self) -> RGBColor {
        match self {
            Self::Percent => BLUE,
            Self::Bytes => ORANGE,
        }
    }

    /// The unit for numbers up to `top`, and how many make one of it.
    fn unit(self, top: f64) -> (&'static str, f64) {
        const MIB: f64 = 1024.0 * 1024.0;
        match self {
            Self::Percent => ("%", 1.0),
            Self::Bytes if top >= 1024.0 * MIB => ("GiB", 1024.0 * MIB),
            Self::Bytes => ("MiB", MIB),
        }
    }
}

/// Draws lines over a range of time; nothing when there is not a single sample.
pub(crate) fn over_time(
    lines: &[Line<'_>],
    (from, to): (Timestamp, Timestamp),
    zone: &TimeZone,
    scale: Scale,
) -> Result<Option<String>, ChartError> {
    let mut runs: Vec<_> = lines.iter().flat_map(|line| segments(line, from)).collect();
    let largest = runs.iter().flatten().map(|(_, y)| *y).reduce(f64::max);
    let Some(largest) = largest else {
        return Ok(None);
    };
    let (unit, one) = scale.unit(largest);
    runs.iter_mut().flatten().for_each(|(_, y)| *y /= one);
    let top = if largest > 0.0 { largest / one * 1.1 } else { 1.0 };
    let span = to.duration_since(from).as_secs_f64().max(1.0);
    let clock = |x: &f64| clock(from, *x, span, zone);
    let figure = |y: &f64| format!("{y} {unit}");
    let color = scale.color();
    draw(240, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .margin_right(24)
            .x_label_area_size(28)
            .y_label_area_size(80)
            .build_cartesian_2d(0.0..span, 0.0..top)
            .map_err(ChartError::new)?;
        mesh(&mut chart, &clock, &figure)?;
        for run in runs {
            if run.len() == 1 {
                let dot = Circle::new(run[0], 2, color.filled());
                chart.draw_series([dot]).map_err(ChartError::new)?;
            } else {
                let line = LineSeries::new(run, color.stroke_width(2));
                chart.draw_series(line).map_err(ChartError::new)?;
            }
        }
        Ok(())
    })
    .map(Some)
}

/// The time of day `x` seconds after `from`, as exact as a chart of `span` seconds needs it.
fn clock(from: Timestamp, x: f64, span: f64, zone: &TimeZone) -> String {
    let format = match () {
        () if span <= 180.0 => "%H:%M:%S",
        () if span <= 86_400.0 => "%H:%M",
        () => "%m-%d %H:%M",
    };
    let after = SignedDuration::try_from_secs_f64(x).unwrap_or_default();
    let at = from.saturating_add(after).unwrap_or(from);
    at.to_zoned(zone.clone()).strftime(format).to_string()
}

/// Draws one column per label; nothing when every value is zero.
#[expect(clippy::cast_precision_loss, reason = "counts and positions are small")]
pub(crate) fn columns(values: &[(String, u64)]) -> Result<Option<String>, ChartError> {
    let Some(top) = values.iter().map(|(_, value)| *value).max().filter(|top| *top > 0) else {
        return Ok(None);
    };
    let label = |x: &f64| {
        let at = x.round();
        let found = values.iter().enumerate().find(|(i, _)| *i as f64 == at);
        found.map_or_else(String::new, |(_, (label, _))| label.clone())
    };
    draw(220, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .x_label_area_size(28)
            .y_label_area_size(48)
            .build_cartesian_2d(0.0..values.len() as f64, 0.0..(top as f64 * 1.1))
            .map_err(ChartError::new)?;
        // Marks between whole numbers would count parts of an attempt.
        let whole = |y: &f64| {
            if (y - y.round()).abs() < 1e-9 { format!("{y:.0}") } else { String::new() }
        };
        mesh(&mut chart, &label, &whole)?;
        let bars = values.iter().enumerate().filter(|(_, (_, value))| *value > 0);
        let bars = bars.map(|(i, (_, value))| {
            let corners = [(i as f64 + 0.12, 0.0), (i as f64 + 0.88, *value as f64)];
            Rectangle::new(corners, BLUE.filled())
        });
        chart.draw_series(bars).map_err(ChartError::new)?;
        Ok(())
    })
    .map(Some)
}

/// A bar with its name on the left and its figure on the right.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) figure: String,
    pub(crate) color: RGBColor,
}

const BAR_PX: i32 = 26;
const BAR_NAME_PX: i32 = 170;
const BAR_FIGURE_PX: i32 = 110;
const BAR_NAME_CHARS: usize = 22;

/// Draws bars below each other; nothing when every value is zero.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "pixels of a chart with a bounded number of bars"
)]
pub(crate) fn bars(bars: &[Bar]) -> Result<Option<String>, ChartError> {
    let top = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    if top <= 0.0 {
        return Ok(None);
    }
    let room = f64::from(WIDTH as i32 - BAR_NAME_PX - BAR_FIGURE_PX);
    let text = |area: &Area<'_>, words: String, x: i32, y: i32| {
        let style = (FONT, FONT_PX).into_font().color(&INK);
        let drawn = area.draw(&Text::new(words, (x, y), style));
        drawn.map_err(ChartError::new)
    };
    draw(bars.len() as u32 * BAR_PX as u32 + 12, |area| {
        for (i, bar) in bars.iter().enumerate() {
            let y = 6 + i as i32 * BAR_PX;
            let end = BAR_NAME_PX + (room * bar.value / top).round().max(1.0) as i32;
            text(area, shortened(&bar.name), 4, y + 6)?;
            let corners = [(BAR_NAME_PX, y + 3), (end, y + BAR_PX - 3)];
            area.draw(&Rectangle::new(corners, bar.color.filled())).map_err(ChartError::new)?;
            text(area, bar.figure.clone(), end + 8, y + 6)?;
        }
        Ok(())
    })
    .map(Some)
}

fn shortened(name: &str) -> String {
    let name = crate::text::one_line(name);
    if name.chars().count() <= BAR_NAME_CHARS {
        return name;
    }
    name.chars().take(BAR_NAME_CHARS - 1).chain(['…']).collect()
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Plane<'a, 'b, X, Y> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<X, Y>>;

fn mesh<X, Y>(
    chart: &mut Plane<'_, '_, X, Y>,
    x_label: &dyn Fn(&f64) -> String,
    y_label: &dyn Fn(&f64) -> String,
) -> Result<(), ChartError>
where
    X: Ranged<ValueType = f64> + AsRangedCoord<Value = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + AsRangedCoord<Value = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(8)
        .y_labels(5)
        .max_light_lines(0)
        .bold_line_style(INK.mix(0.15))
        .axis_style(INK.mix(0.4))
        .label_style((FONT, FONT_PX).into_font().color(&INK))
        .x_label_formatter(x_label)
        .y_label_formatter(y_label)
        .draw()
        .map_err(ChartError::new)
}

fn draw(
    height: u32,
    paint: impl FnOnce(&Area<'_>) -> Result<(), ChartError>,
) -> Result<String, ChartError> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        paint(&area)?;
        area.present().map_err(ChartError::new)?;
    }
    Ok(svg.replace("\"#000000\"", "\"currentColor\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(second: i64, mean: f64) -> Bucket {
        Bucket {
            at: Timestamp::from_second(second).unwrap(),
            min: mean,
            max: mean,
            mean,
            last: mean,
            count: 1,
        }
    }

    #[test]
    fn a_gap_in_the_samples_is_a_gap_in_the_line() {
        let check = |step_ms: u64, seconds: &[i64], runs: &[usize]| {
            let buckets: Vec<_> = seconds.iter().map(|second| bucket(*second, 1.0)).collect();
            let line = Line { buckets: &buckets, step_ms };
            let found = segments(&line, Timestamp::UNIX_EPOCH);
            assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), runs);
        };
        check(1_000, &[], &[]);
        check(1_000, &[0, 1, 2], &[3]);
        check(1_000, &[0, 1, 2, 6, 7], &[3, 2]);
        check(1_000, &[0, 2, 3], &[3]);
        check(10_000, &[0, 10, 20, 60], &[3, 1]);
        check(100, &[0, 1, 2], &[3]);
    }

    #[test]
    fn a_chart_takes_its_ink_from_the_page_and_needs_data() {
        let buckets = [bucket(0, 10.0), bucket(1, 20.0), bucket(9, 5.0)];
        let line = Line { buckets: &buckets, step_ms: 1_000 };
        let span = (Timestamp::UNIX_EPOCH, Timestamp::from_second(10).unwrap());
        let svg = over_time(&[line], span, &TimeZone::UTC, Scale::Percent).unwrap();
        let svg = svg.unwrap();
        assert!(svg.contains("currentColor") && !svg.contains("#000000"));
        assert!(svg.contains("00:00:0") && svg.contains("\n0 %"), "{svg}");
        let lines = svg.split("<polyline").skip(1);
        let drawn = lines.filter(|line| line.contains("stroke=\"#2F7FD6\"")).count();
        assert_eq!(drawn, 1, "{svg}");
        assert_eq!(svg.matches("<circle").count(), 1, "{svg}");

        let empty = over_time(&[], span, &TimeZone::UTC, Scale::Bytes).unwrap();
        assert_eq!(empty, None);
        assert_eq!(columns(&[("00".into(), 0)]).unwrap(), None);
        assert_eq!(bars(&[]).unwrap(), None);
    }

    #[test]
    fn the_axes_say_what_fits_the_figures() {
        let from: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        let check = |x, span, expect: &str| {
            assert_eq!(clock(from, x, span, &TimeZone::UTC), expect);
        };
        check(5.0, 60.0, "10:00:05");
        check(600.0, 3_600.0, "10:10");
        check(86_400.0, 200_000.0, "11-21 10:00");
        assert_eq!(Scale::Bytes.unit(3e9).0, "GiB");
        assert_eq!(Scale::Bytes.unit(0.0).0, "MiB");
    }

    #[test]
    fn names_in_charts_are_text() {
        let bar =
            Bar { name: "<script>alert(1)".into(), value: 1.0, figure: "1 s".into(), color: GREEN };
        let svg = bars(&[bar]).unwrap().unwrap();
        assert!(svg.contains("&lt;script&gt;") && !svg.contains("<script"), "{svg}");
        assert_eq!(shortened("a very long name of an agent"), "a very long name of a…");
    }
}
