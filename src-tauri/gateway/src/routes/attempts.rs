//! Attempts: what an agent prints while it works, and what its gates printed.

use axum::Json;
use axum::extract::State;
use engine::TranscriptQuery;
use engine::view::{GateOutput, OutputStream, TranscriptChunk};
use model::id::AttemptId;

use crate::Gate;
use crate::params::{Name, Names, Params};
use crate::problem::Problem;

/// Bytes read at once unless the request says how many.
const CHUNK_BYTES_DEFAULT: u32 = 64 * 1024;
/// The most bytes read at once.
const CHUNK_BYTES_MAX: u32 = 1024 * 1024;
/// The longest wait for more output, in milliseconds.
const WAIT_MS_MAX: u32 = 10_000;

/// Reads an attempt's output.
///
/// A piece from a byte offset; a negative one counts from the end. With `wait_ms` the answer waits
/// until there is more, the attempt has ended, or the time is over.
#[utoipa::path(
    get, path = "/api/v1/attempts/{id}/transcript", tag = "attempts",
    params(
        ("id" = AttemptId, Path, description = "The attempt's id."),
        ("stream" = Option<OutputStream>, Query, description = "Which output; stdout unless given."),
        ("offset" = Option<i64>, Query, description = "Where to start, in bytes; negative: that many before the end."),
        ("max_bytes" = Option<u32>, Query, description = "The most bytes, 1 to 1048576; 65536 unless given."),
        ("wait_ms" = Option<u32>, Query, description = "How long to wait for more, 0 to 10000."),
    ),
    responses((status = 200, description = "A piece of the output.", body = TranscriptChunk)),
)]
pub(crate) async fn read_transcript(
    State(gate): State<Gate>,
    name: Name,
    mut params: Params,
) -> Result<Json<TranscriptChunk>, Problem> {
    let attempt: AttemptId = name.parse("an attempt")?;
    let query = TranscriptQuery {
        stream: stream(params.text("stream")?.as_deref())?,
        offset: params.parsed("offset")?.unwrap_or(0),
        max_bytes: params.number("max_bytes", 1..=CHUNK_BYTES_MAX)?.unwrap_or(CHUNK_BYTES_DEFAULT),
        wait_ms: params.number("wait_ms", 0..=WAIT_MS_MAX)?.unwrap_or(0),
    };
    params.done()?;
    Ok(Json(gate.engine.transcript(attempt, query).await?))
}

/// Reads what a gate of an attempt printed.
///
/// All of it, a piece of at most a mebibyte at a time.
#[utoipa::path(
    get, path = "/api/v1/attempts/{id}/gates/{index}/output", tag = "attempts",
    params(
        ("id" = AttemptId, Path, description = "The attempt's id."),
        ("index" = u32, Path, description = "The gate's place among those of the mission, from 0."),
        ("offset" = Option<u64>, Query, description = "Where to start, in bytes; 0 unless given."),
    ),
    responses((status = 200, description = "A piece of the output.", body = GateOutput)),
)]
pub(crate) async fn read_gate_output(
    State(gate): State<Gate>,
    Names(id, index): Names,
    mut params: Params,
) -> Result<Json<GateOutput>, Problem> {
    let attempt: AttemptId = Name(id).parse("an attempt")?;
    let index: u32 = Name(index).parse("a gate")?;
    let offset = params.parsed("offset")?.unwrap_or(0);
    params.done()?;
    Ok(Json(gate.engine.gate_output(attempt, index, offset).await?))
}

fn stream(name: Option<&str>) -> Result<OutputStream, Problem> {
    match name {
        None | Some("stdout") => Ok(OutputStream::Stdout),
        Some("stderr") => Ok(OutputStream::Stderr),
        Some(other) => {
            Err(Problem::invalid(format!("'stream={other}' is neither stdout nor stderr")))
        }
    }
}
