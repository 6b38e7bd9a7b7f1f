//! `hivekeeper report`.

use jiff::tz::TimeZone;
use model::clock::{Clock as _, SystemClock};

use crate::args::{Report, ReportFormat, ReportTo};
use crate::commands::deliver;
use crate::failure::Failure;
use crate::out::Out;
use crate::remote::{Place, Remote};
use crate::selector::encode;

/// Carries it out.
pub(crate) async fn run(command: Report, place: &Place, out: &mut Out) -> Result<(), Failure> {
    match command {
        Report::Mission { which, to } => {
            let of = format!("mission/{}", encode(&which.mission));
            write(&of, &to, place, out).await
        }
        Report::Day { day, to } => {
            let day = match day {
                Some(day) => day,
                None => today(&to)?,
            };
            write(&format!("day/{day}"), &to, place, out).await
        }
    }
}

fn today(to: &ReportTo) -> Result<jiff::civil::Date, Failure> {
    let zone = match &to.zone {
        None => TimeZone::system(),
        Some(name) => TimeZone::get(name)
            .map_err(|error| Failure::new(format!("use the time zone '{name}'")).because(&error))?,
    };
    Ok(SystemClock.now().to_zoned(zone).date())
}

async fn write(of: &str, to: &ReportTo, place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "write the report";
    let remote = Remote::find(place, OPERATION)?;
    let format = match to.format {
        ReportFormat::Md => "md",
        ReportFormat::Html => "html",
        ReportFormat::Json => "json",
    };
    let zone = match &to.zone {
        Some(zone) => zone.clone(),
        None => TimeZone::system().iana_name().unwrap_or("UTC").to_owned(),
    };
    let path = format!("/api/v1/reports/{of}?format={format}&zone={}", encode(&zone));
    let answer = remote.get_raw(OPERATION, &path).await?;
    deliver(&answer.body, to.output.as_deref(), out)
}
