//! Reports of a mission or a day, in the format that is asked for.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use model::devlog::Devlog;
use model::id::MissionId;
use serde::Serialize;
use store::Ledger;
use store::telemetry::Telemetry;

use crate::chart::ChartError;
use crate::page::{self, Block};
use crate::{GatherError, day, mission};

/// What a report tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportOf {
    /// A mission with all its attempts.
    Mission(MissionId),
    /// A calendar day in the reader's time zone.
    Day(jiff::civil::Date),
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Text for people and version control.
    Markdown,
    /// One file with charts that needs nothing else.
    Html,
    /// The facts, for programs.
    Json,
}

impl Format {
    /// Its media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
        }
    }

    /// The end of its files' names.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Markdown => "md",
            Self::Html => "html",
            Self::Json => "json",
        }
    }
}

/// A report, ready to be shown or saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// What it is.
    pub media_type: &'static str,
    /// A name for its file, made of ids and dates only.
    pub file_name: String,
    /// Its text.
    pub body: String,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// There is no such mission.
    #[error("report on mission {0}: there is none by that id")]
    NoMission(MissionId),
    /// The facts could not be read.
    #[error("gather the facts of a report")]
    Gather(#[from] GatherError),
    /// The day has no beginning or no end in this time zone.
    #[error("find the bounds of {date} in the time zone")]
    Day {
        /// The day.
        date: jiff::civil::Date,
        /// What is wrong with it.
        source: jiff::Error,
    },
    /// A chart could not be drawn.
    #[error("render a report")]
    Chart(#[from] ChartError),
    /// The facts could not be written as JSON.
    #[error("write a report as JSON")]
    Json(#[from] serde_json::Error),
}

/// Facts that can be told.
pub(crate) trait Story: Serialize {
    /// One line, plain text.
    fn title(&self) -> String;
    /// A name for its file without the extension.
    fn file_stem(&self) -> String;
    /// The document. Charts are drawn only where the format can hold them.
    fn blocks(&self, zone: &TimeZone, charts: bool) -> Result<Vec<Block>, ChartError>;
}

/// Writes a report of what the ledger and telemetry say at `now`; the same facts and the same
/// `now` give the same bytes.
///
/// # Errors
/// When there is no such mission, or its facts cannot be read or drawn.
pub async fn report(
    ledger: &Ledger,
    telemetry: &Telemetry,
    of: ReportOf,
    format: Format,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<Rendered, ReportError> {
    match of {
        ReportOf::Mission(id) => {
            let story = mission::MissionStory::read(ledger, telemetry, id, now).await?;
            render(&story.ok_or(ReportError::NoMission(id))?, format, zone)
        }
        ReportOf::Day(date) => {
            let story = day::DayStory::read(ledger, date, zone, now).await?;
            render(&story, format, zone)
        }
    }
}

/// Writes a devlog as a file.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn export(devlog: &Devlog, format: Format) -> Result<Rendered, ReportError> {
    let body = match format {
        Format::Markdown => devlog.markdown.clone(),
        Format::Html => page::html(&devlog.title, &[Block::Markdown(devlog.markdown.clone())]),
        Format::Json => serde_json::to_string_pretty(devlog)? + "\n",
    };
    let extension = format.extension();
    Ok(Rendered {
        media_type: format.media_type(),
        file_name: format!("hivekeeper-devlog-{}-{}.{extension}", devlog.short_id, devlog.id),
        body,
    })
}

fn render(story: &impl Story, format: Format, zone: &TimeZone) -> Result<Rendered, ReportError> {
    let body = match format {
        Format::Markdown => page::markdown(&story.blocks(zone, false)?),
        Format::Html => page::html(&story.title(), &story.blocks(zone, true)?),
        Format::Json => serde_json::to_string_pretty(story)? + "\n",
    };
    Ok(Rendered {
        media_type: format.media_type(),
        file_name: format!("{}.{}", story.file_stem(), format.extension()),
        body,
    })
}
