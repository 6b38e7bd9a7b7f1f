//! Figures that agents export by OpenTelemetry, put onto the attempt they are of.
//!
//! Invariant: only names and numbers are kept. What is added up of an attempt lies beside its run,
//! so that an engine that starts again neither counts twice nor begins at nothing.

mod account;
mod names;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agents::runtime::prices::Prices;
use agents::runtime::sheet::Live;
use model::attempt::{Attempt, AttemptState};
use model::id::{AgentId, AttemptId};
use model::refusal::{Code, Refusal};
use model::usage::{Usage, UsageSource};
use orchestrator::Input;
use tokio::sync::Mutex;

use crate::Engine;
use crate::resolve::unreadable;
use crate::tools::Speaker;

use account::Account;
pub use names::Names;
use names::{AGENT, ATTEMPT};

/// The account's file in the directory of a run.
const FILE: &str = "otlp.json";
/// The largest such file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Accounts are kept apart by as many locks.
const LOCKS: usize = 16;

/// What an attribute says.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A number.
    Number(f64),
    /// Yes or no.
    Flag(bool),
}

/// Whether a metric tells what was added since the last time, or all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temporality {
    /// What was added.
    Delta,
    /// All of it.
    Cumulative,
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measurement {
    /// A point of a metric.
    Metric {
        /// What it tells.
        temporality: Temporality,
        /// Its value; the sum of a histogram.
        sum: f64,
        /// How many values are in it.
        count: f64,
        /// Tells its series from others of the same resource.
        series: u64,
    },
    /// A log record.
    Event,
    /// A span.
    Span {
        /// How long it took, in milliseconds.
        ms: f64,
        /// Whether it says that it failed.
        failed: bool,
    },
}

/// One thing an agent exported. Holds only attributes that are read.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its name.
    pub name: String,
    /// What was measured.
    pub what: Measurement,
    /// What it was measured of.
    pub attributes: Vec<(String, Value)>,
}

/// What one resource exported.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exported {
    /// What the resource says about itself, as far as it is read.
    pub resource: Vec<(String, Value)>,
    /// Tells the resource from others.
    pub series: u64,
    /// Tells the body it came in from every other one, so that one that is sent again is counted
    /// once; nothing where that is not known.
    pub batch: Option<u64>,
    /// What it exported that says anything.
    pub samples: Vec<Sample>,
}

/// What became of an export.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// Samples that were put onto an attempt.
    pub taken: u64,
    /// Samples of nobody this engine knows, or of an attempt that is over.
    pub strangers: u64,
    /// Samples of series or models beyond those that are kept apart for one attempt.
    pub over_cap: u64,
}

/// What receiving needs.
#[derive(Debug)]
pub(crate) struct Received {
    prices: Arc<Live<Prices>>,
    locks: [Mutex<()>; LOCKS],
}

impl Received {
    pub(crate) fn new(prices: Arc<Live<Prices>>) -> Self {
        Self { prices, locks: std::array::from_fn(|_| Mutex::default()) }
    }

    fn lock(&self, id: AttemptId) -> &Mutex<()> {
        let place = usize::from(id.as_uuid().as_bytes()[15]) % LOCKS;
        &self.locks[place]
    }
}

/// What a resource is about, as it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Meant {
    Attempt(AttemptId),
    Agent(AgentId),
}

impl Meant {
    fn by(export: &Exported) -> Option<Self> {
        let named = |key: &str| {
            export.resource.iter().find_map(|(name, value)| match value {
                Value::Text(text) if name == key => Some(text.as_str()),
                _ => None,
            })
        };
        let attempt = named(ATTEMPT).and_then(|text| text.parse().ok()).map(Self::Attempt);
        attempt.or_else(|| named(AGENT)?.parse().ok().map(Self::Agent))
    }
}

impl Engine {
    /// Puts what a body exported onto attempts. Who speaks with an attempt's token speaks of that
    /// attempt, whatever the resource says; the captain's programs have to name one.
    ///
    /// # Errors
    /// When it cannot be kept; what was put onto another attempt before stays, and is not counted
    /// again when the body is sent again.
    pub async fn take_telemetry(
        &self,
        who: Option<&Speaker>,
        exported: Vec<Exported>,
    ) -> Result<Taken, Refusal> {
        let mut became = Taken::default();
        let mut of_attempts: BTreeMap<AttemptId, Vec<Exported>> = BTreeMap::new();
        let mut known = HashMap::new();
        for export in exported {
            let id = match who {
                Some(speaker) => Some(speaker.attempt()),
                None => match Meant::by(&export) {
                    None => None,
                    Some(meant) => match known.get(&meant) {
                        Some(found) => *found,
                        None => {
                            let found = self.attempt_meant(meant).await?;
                            known.insert(meant, found);
                            found
                        }
                    },
                },
            };
            match id {
                Some(id) => of_attempts.entry(id).or_default().push(export),
                None => became.strangers += export.samples.len() as u64,
            }
        }
        for (id, exports) in of_attempts {
            let all = exports.iter().map(|export| export.samples.len() as u64).sum::<u64>();
            let over_cap = self.put(id, exports).await?;
            became.over_cap += over_cap;
            became.taken += all.saturating_sub(over_cap);
        }
        Ok(became)
    }

    /// The attempt a resource means, where that is at work.
    async fn attempt_meant(&self, meant: Meant) -> Result<Option<AttemptId>, Refusal> {
        let ledger = &self.0.ledger;
        match meant {
            Meant::Attempt(id) => {
                let attempt = ledger.attempt(id).await.map_err(unreadable)?;
                Ok(attempt.filter(|attempt| self.is_heard(attempt)).map(|attempt| attempt.id))
            }
            Meant::Agent(id) => {
                let unfinished = ledger.unfinished_attempts_of(id).await.map_err(unreadable)?;
                let runs = |attempt: &Attempt| attempt.state == AttemptState::Running;
                Ok(unfinished.into_iter().find(runs).map(|attempt| attempt.id))
            }
        }
    }

    /// All that a body says of one attempt is one change of its account, and told once. Gives how
    /// many of its samples are beyond what is kept apart.
    async fn put(&self, id: AttemptId, exports: Vec<Exported>) -> Result<u64, Refusal> {
        let received = &self.0.received;
        let _alone = received.lock(id).lock().await;
        let run = self.0.dir.attempt(id);
        // The file first: what is told is always all of it, so it is made good with the next export.
        let added = tokio::task::spawn_blocking(move || add_to_file(&run, &exports));
        let (mut usage, over_cap) = match added.await {
            Ok(Ok(added)) => added,
            Ok(Err(err)) => return Err(unkept(&err)),
            Err(err) => return Err(unkept(&std::io::Error::other(err))),
        };
        let single = usage.model.as_deref().filter(|model| !model.contains(','));
        let prices = received.prices.now();
        if let Some(cost) = single.and_then(|model| prices.cost(model, &usage.tokens)) {
            usage.own_cost_micros = Some(cost.micros);
            usage.prices_of = Some(cost.prices_of);
        }
        let known = self.0.ledger.usage_of(id).await.map_err(unreadable)?;
        if known.iter().any(|known| known.source == UsageSource::Otlp && *known == usage) {
            return Ok(over_cap);
        }
        let input = Input::Measured { id, usage: Box::new(usage) };
        self.0.orchestrator.tell(orchestrator::Command::own(input)).await.map(|_| over_cap)
    }
}

fn unkept(err: &std::io::Error) -> Refusal {
    tracing::warn!(error = err as &dyn std::error::Error, "exported figures could not be kept");
    Refusal::new(Code::Internal, format!("failed to keep the figures: {err}"))
}

/// Adds what a body exported to the account beside a run and gives what that comes to, and how many
/// samples were beyond what is kept apart.
fn add_to_file(run: &Path, exports: &[Exported]) -> std::io::Result<(Usage, u64)> {
    let path = run.join(FILE);
    let mut account = read(&path)?;
    let before = account.clone();
    let names = Names::built_in();
    // Kept with the figures: who is not answered sends the same again.
    let again: BTreeSet<u64> = exports
        .iter()
        .filter_map(|export| export.batch)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .filter(|batch| !account.is_new(*batch))
        .collect();
    let mut over_cap = 0;
    for export in exports {
        if export.batch.is_none_or(|batch| !again.contains(&batch)) {
            over_cap += account.add(names, export.series, &export.samples);
        }
    }
    if account != before {
        let text = serde_json::to_vec(&account)?;
        write(run, &path, &text)?;
    }
    Ok((account.usage(names), over_cap))
}

fn read(path: &Path) -> std::io::Result<Account> {
    match std::fs::metadata(path) {
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(Account::default()),
        Err(err) => return Err(err),
        Ok(there) if there.len() > FILE_BYTES_MAX => {
            return Err(std::io::Error::other(format!("'{}' is too large", path.display())));
        }
        Ok(_) => {}
    }
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

/// Puts a private file in place as a whole.
fn write(run: &Path, path: &Path, text: &[u8]) -> std::io::Result<()> {
    let new: PathBuf = run.join(format!("{FILE}.new"));
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text)?;
    file.sync_data()?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(sum: f64) -> Exported {
        Exported {
            samples: vec![Sample {
                name: "codex.turn.token_usage".to_owned(),
                what: Measurement::Metric {
                    temporality: Temporality::Delta,
                    sum,
                    count: 1.0,
                    series: 1,
                },
                attributes: vec![("token_type".to_owned(), Value::Text("output".to_owned()))],
            }],
            ..Exported::default()
        }
    }

    #[test]
    fn an_export_that_is_sent_again_is_counted_once_also_by_the_next_engine() {
        let run = tempfile::tempdir().unwrap();
        let of = |batch, sum| Exported { batch: Some(batch), ..export(sum) };
        let told = |exports: &[Exported]| add_to_file(run.path(), exports).unwrap().0.tokens.output;
        // A body with as many resources as are not remembered one by one.
        let many: Vec<Exported> = (0..500).map(|_| of(1, 3.0)).collect();
        assert_eq!(told(&many), Some(1_500));
        assert_eq!(told(&many), Some(1_500), "sent again");
        assert_eq!(told(&[of(2, 3.0)]), Some(1_503), "as much again, and another body");
        for batch in 3..2_000 {
            told(&[of(batch, 0.0)]);
        }
        assert_eq!(told(&[of(1_999, 0.0)]), Some(1_503));
        assert!(std::fs::metadata(run.path().join(FILE)).unwrap().len() < 32 * 1024);
    }

    #[test]
    fn an_account_goes_on_where_the_run_before_left_it_and_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let run = tempfile::tempdir().unwrap();
        assert_eq!(add_to_file(run.path(), &[export(3.0)]).unwrap().0.tokens.output, Some(3));
        assert_eq!(add_to_file(run.path(), &[export(4.0)]).unwrap().0.tokens.output, Some(7));
        let file = run.path().join(FILE);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&file, "{").unwrap();
        assert!(
            add_to_file(run.path(), &[export(1.0)]).is_err(),
            "what is damaged is not begun anew"
        );
    }
}
