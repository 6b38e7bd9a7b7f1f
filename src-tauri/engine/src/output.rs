//! Reading what attempts print, and waiting for more of it.

use std::path::PathBuf;
use std::time::Duration;

use agents::transcript;
use model::attempt::Attempt;
use model::id::AttemptId;
use model::process::file;
use model::refusal::{Code, Refusal};
use tokio::time::{Instant, sleep};

use crate::view::{OutputStream, TranscriptChunk};
use crate::{Engine, resolve};

/// The largest piece, in bytes.
const BYTES_MAX: u32 = 1024 * 1024;
/// The longest wait, in milliseconds.
const WAIT_MS_MAX: u32 = 10_000;
/// How often a waiting reader looks at the file.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Which piece of an attempt's output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TranscriptQuery {
    /// Which output.
    pub stream: OutputStream,
    /// Where to start, in bytes; a negative number counts back from the end.
    pub offset: i64,
    /// How much at most.
    pub max_bytes: u32,
    /// How long to wait for more when there is none, in milliseconds.
    pub wait_ms: u32,
}

impl Engine {
    /// A piece of what an attempt printed. With `wait_ms` it answers as soon as there is more, when
    /// the attempt is over, or when the time is up.
    ///
    /// # Errors
    /// When there is no such attempt, or its output cannot be read.
    pub async fn transcript(
        &self,
        id: AttemptId,
        query: TranscriptQuery,
    ) -> Result<TranscriptChunk, Refusal> {
        let mut attempt = resolve::attempt(&self.0.ledger, id).await?;
        let path = self.output_path(id, query.stream);
        let max_bytes = query.max_bytes.clamp(1, BYTES_MAX) as usize;
        let until = Instant::now() + Duration::from_millis(query.wait_ms.min(WAIT_MS_MAX).into());
        let size = size_of(&path);
        let offset = match u64::try_from(query.offset) {
            Ok(offset) => offset.min(size),
            Err(_) => transcript::tail_offset(&path, query.offset.unsigned_abs()),
        };
        let mut looks = 0_u32;
        while size_of(&path) <= offset && !has_ended(&attempt) && Instant::now() < until {
            tokio::select! {
                () = sleep(LOOK_EVERY) => {}
                () = self.0.cancel.cancelled() => break,
            }
            looks += 1;
            if looks.is_multiple_of(10) {
                attempt = resolve::attempt(&self.0.ledger, id).await?;
            }
        }
        if !has_ended(&attempt) {
            attempt = resolve::attempt(&self.0.ledger, id).await?;
        }
        let ended = has_ended(&attempt);
        let chunk = read(path, offset, max_bytes, ended).await?;
        Ok(TranscriptChunk {
            attempt_id: id,
            stream: query.stream,
            offset: chunk.offset,
            next_offset: chunk.next_offset,
            size: chunk.size,
            text: chunk.text,
            ended,
        })
    }

    /// How much an attempt has printed so far, on standard output and standard error.
    pub(crate) fn output_bytes(&self, id: AttemptId) -> (u64, u64) {
        let size = |stream| size_of(&self.output_path(id, stream));
        (size(OutputStream::Stdout), size(OutputStream::Stderr))
    }

    fn output_path(&self, id: AttemptId, stream: OutputStream) -> PathBuf {
        self.0.dir.attempt(id).join(match stream {
            OutputStream::Stdout => file::STDOUT,
            OutputStream::Stderr => file::STDERR,
        })
    }
}

/// Whether nothing more comes: its program has ended, even if its gates still run.
pub(crate) fn has_ended(attempt: &Attempt) -> bool {
    attempt.exit.is_some() || attempt.state.is_final()
}

fn size_of(path: &std::path::Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}

pub(crate) async fn read(
    path: PathBuf,
    offset: u64,
    max: usize,
    ended: bool,
) -> Result<transcript::Chunk, Refusal> {
    if !path.exists() {
        return Ok(transcript::Chunk {
            offset: 0,
            kept_from: 0,
            next_offset: 0,
            size: 0,
            text: String::new(),
        });
    }
    let read = tokio::task::spawn_blocking(move || {
        let read = if ended { transcript::read_ended } else { transcript::read };
        read(&path, offset, max)
    })
    .await;
    let problem = |err: String| {
        Refusal::new(Code::Internal, format!("failed to read the output: {err}"))
            .hint("the file is kept; see the data directory")
    };
    read.map_err(|err| problem(err.to_string()))?.map_err(|err| problem(err.to_string()))
}
