//! `hivekeeper ci`.

use engine::view::{CiResult, CiStatus, MissionDetail};

use crate::args::{self, PostCi};
use crate::commands::mission;
use crate::failure::Failure;
use crate::input::Source;
use crate::out::Out;
use crate::remote::{Place, Remote};

/// The most of an output that is looked at, in bytes; the engine keeps its end.
const OUTPUT_BYTES_MAX: usize = 1024 * 1024;

/// Hands in what a build server found.
pub(crate) async fn post(args: PostCi, place: &Place, out: &mut Out) -> Result<(), Failure> {
    let operation = format!("hand in the result '{}' for {}", args.name, args.mission);
    let output = args.output.as_deref().map(|given| {
        let source = Source {
            what: "the output",
            given,
            bytes_max: OUTPUT_BYTES_MAX,
            too_large: "hand in its end, such as with 'tail -c 60000'",
        };
        source.read()
    });
    let body = CiResult {
        name: args.name,
        status: match args.status {
            args::CiStatus::Passed => CiStatus::Passed,
            args::CiStatus::Failed => CiStatus::Failed,
        },
        commit: args.commit,
        url: args.url,
        output: output.transpose()?,
    };
    let remote = Remote::find(place, &operation)?;
    let to = format!("{}/ci", mission::path(&args.mission));
    let detail: MissionDetail = remote.post(&operation, &to, &body).await?;
    mission::tell(&detail.view, out)
}
