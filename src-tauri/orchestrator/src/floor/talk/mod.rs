//! Talking with an agent: from its first line to the end of its program.
//!
//! Lines of the program go into a [`Driver`]; what comes out is put into the conversation, recorded,
//! or written to the program. What the driver knows is kept beside the run before anything is
//! written, and every line to the program has a number that the shim takes once: an engine that
//! starts again goes on in the middle of a turn, without a line lost or said twice.

mod board;
mod hear;
mod line;
mod memory;
mod say;
mod turn;
mod used;

use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use agents::LaunchError;
use agents::channel::INPUT_BYTES_MAX;
use agents::runtime::{Act, Driver, Opening, Stop};
use agents::step::{self, Step};
use model::activity::Phase;
use model::agent::{Agent, Runtime};
use model::attempt::Attempt;
use model::conversation::{Body, Entry};
use model::id::AttemptId;
use model::mission::Mission;
use model::process::{Exit, ExitRecord, ProcessIdentity};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

pub use board::NotReached;
pub(super) use board::Silence;
pub(crate) use board::{Board, Poke};
use line::Wire;
pub(crate) use memory::Memory;
use memory::Verdict;
pub(super) use turn::Asked;
use used::Used;

use super::FloorSetup;
use super::starts::StartRight;
use crate::input::Input;

/// How often a conversation is looked at without anything having come in.
const TICK: Duration = Duration::from_secs(1);
/// How long entries are gathered before they are written.
const GATHER: Duration = Duration::from_millis(80);
/// How many entries are gathered at most.
const GATHERED_MAX: usize = 256;
/// How many entries wait at most where they cannot be written.
const UNWRITTEN_MAX: usize = 4 * GATHERED_MAX;
/// How many lines are read before anything else is looked at.
const LINES_AT_ONCE: usize = 500;
/// How many times as many are read before it is judged how long nothing came.
const CATCH_UP: usize = 20;
/// When what could not be read is tried again.
const AGAIN: Duration = Duration::from_millis(200);
/// How long an agent that was asked to stop may take to say so.
const POLITE: Duration = Duration::from_secs(3);
/// How long a program may take to end once its conversation is over.
const END: Duration = Duration::from_secs(5);
/// How long the farewell of a program may take that does not end by itself.
const FAREWELL: Duration = Duration::from_secs(1);

/// One conversation that is under way.
pub(super) struct Talk<'a> {
    floor: &'a FloorSetup,
    id: AttemptId,
    run: PathBuf,
    mission: Mission,
    agent: Agent,
    attempt: Attempt,
    driver: Box<dyn Driver>,
    memory: Memory,
    wire: Wire,
    pokes: mpsc::Receiver<Poke>,
    /// Entries that are not yet written, in their order, each id once.
    gathered: Vec<Entry>,
    gathered_since: Option<Instant>,
    /// Held until the agent has answered.
    right: Option<StartRight>,
    /// What is used.
    used: Used,
    /// Whether the attempt was asked to stop: nothing new is begun any more.
    stopping: bool,
    /// Whether its program is being ended: nothing that happens changes how it ended.
    ending: bool,
    /// Whether there may be more lines than were read at once.
    more: bool,
    /// Whether something waits to be said to the agent.
    news: bool,
    /// Whether what is remembered differs from what is kept.
    changed: bool,
}

/// What a conversation begins with.
pub(super) struct Beginning {
    pub(super) mission: Mission,
    pub(super) agent: Agent,
    pub(super) attempt: Attempt,
    pub(super) driver: Box<dyn Driver>,
    /// What the agent is told first; nothing where the conversation is taken up again.
    pub(super) opening: Option<Opening>,
    pub(super) memory: Memory,
    pub(super) silence: Silence,
    /// The agent's token, where it is still to be told.
    pub(super) token: Option<String>,
    /// Held until the agent has answered, so that not too many start together.
    pub(super) right: Option<StartRight>,
}

/// How watching a program ended.
pub(super) enum Watched {
    /// It is over.
    Over(ExitRecord),
    /// It was asked to stop; its processes may still be there.
    Asked,
}

impl FloorSetup {
    /// Talks with an agent until its program has ended.
    pub(super) async fn talk(
        &self,
        beginning: Beginning,
        process: &ProcessIdentity,
        cancel: &CancellationToken,
    ) -> Result<Watched, LaunchError> {
        let Beginning { mission, agent, attempt, driver, opening, memory, silence, token, right } =
            beginning;
        let id = attempt.id;
        let run = self.run(id);
        let pokes = self.board.join(id, Silence { opening: opening.is_some(), ..silence });
        let wire = Wire::new(&run, &memory, token).await;
        let mut talk = Talk {
            floor: self,
            id,
            run,
            mission,
            agent,
            attempt,
            driver,
            memory,
            wire,
            pokes,
            gathered: Vec::new(),
            gathered_since: None,
            used: Used::new(),
            right,
            stopping: false,
            ending: false,
            more: false,
            news: true,
            changed: true,
        };
        if let Some(opening) = opening {
            talk.memory.handing.clone_from(&opening.messages);
            talk.driver.open(opening, self.clock.now());
        }
        let watched = Box::pin(talk.go_on(process, cancel)).await;
        talk.keep().await;
        self.board.leave(id);
        watched
    }
}

impl Talk<'_> {
    async fn go_on(
        &mut self,
        process: &ProcessIdentity,
        cancel: &CancellationToken,
    ) -> Result<Watched, LaunchError> {
        let (launcher, run) = (self.floor.launcher.clone(), self.run.clone());
        let never = CancellationToken::new();
        let over = launcher.wait(&run, process, &never);
        tokio::pin!(over);
        // What was answered while nobody talked with the agent is told at once.
        self.recall_asked().await;
        self.say_answers().await;
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.act().await;
            if self.gathered_since.is_some_and(|since| since.elapsed() >= GATHER)
                || self.gathered.len() >= GATHERED_MAX
            {
                self.keep().await;
            }
            if self.memory.verdict.is_some() {
                return self.end_program(process, over).await.map(Watched::Over);
            }
            let again = self.read_again();
            tokio::select! {
                biased;
                () = cancel.cancelled() => {
                    self.say_stop().await;
                    return Ok(Watched::Asked);
                }
                record = &mut over => {
                    let record = self.leave_nothing(process, record?).await?;
                    return Ok(Watched::Over(self.program_ended(record).await));
                }
                Some(poke) = self.pokes.recv() => self.poked(poke).await,
                _ = tick.tick() => {
                    self.catch_up().await;
                    self.driver.tick(self.floor.clock.now());
                    if !self.memory.asked.is_empty() {
                        self.say_answers().await;
                    }
                    self.look_at_session().await;
                }
                () = self.wire.wait(again) => {
                    self.read();
                }
            }
        }
    }

    /// When to look for lines although nobody says that there are any.
    fn read_again(&self) -> Option<Instant> {
        let gathered = self.gathered_since.map(|since| since + GATHER);
        if self.more { Some(Instant::now()) } else { gathered }
    }

    /// Feeds the driver what the program has printed; says whether there was anything.
    fn read(&mut self) -> bool {
        let mut any = false;
        self.more = true;
        for _ in 0..LINES_AT_ONCE {
            let at = self.floor.clock.now();
            let Some(line) = self.wire.next_line() else {
                self.more = false;
                break;
            };
            any = true;
            self.changed = true;
            self.floor.board.heard(self.id, at);
            line.give(self.driver.as_mut(), at);
        }
        self.memory.read_to(&self.wire);
        if any {
            step::reached(Step::FirstWords);
        }
        any
    }

    /// Hears what has come in meanwhile, before it is judged how long nothing came: an engine that was
    /// held up finds the answer beside the time that has passed.
    async fn catch_up(&mut self) {
        for _ in 0..CATCH_UP {
            self.read();
            self.act().await;
            if !self.more || self.memory.verdict.is_some() {
                break;
            }
        }
    }

    /// Does what the driver wants done, until it wants nothing more. What happens in a conversation
    /// that is being ended counts no more.
    async fn act(&mut self) {
        loop {
            let mut acts = self.driver.take();
            // What has happened is heard first: it says whether the conversation goes on.
            if acts.is_empty()
                && self.news
                && self.memory.verdict.is_none()
                && !self.stopping
                && self.driver.takes_messages()
            {
                self.news = false;
                self.say_news().await;
                acts = self.driver.take();
            }
            if acts.is_empty() {
                break;
            }
            self.changed = true;
            let mut happenings = Vec::new();
            for act in acts {
                match act {
                    Act::Send(line) => self.send(line),
                    Act::CloseInput => self.memory.send(None),
                    Act::Put(entry) => self.gather(entry),
                    Act::Tell(happening) => happenings.push(happening),
                }
            }
            if self.gathered.len() >= GATHERED_MAX {
                self.flush().await;
            }
            // What was put comes before what is told of it.
            for happening in happenings {
                if !self.ending {
                    self.hear(happening).await;
                }
            }
        }
        // Only now is nothing on its way between the driver and what is kept of it.
        self.say_unsaid().await;
        if self.wire.took(&mut self.memory) {
            self.changed = true;
        }
        self.deliver().await;
        if self.changed && self.gathered.is_empty() {
            self.keep().await;
        }
    }

    /// Writes what the program is to be told, once it is kept: a number that was used must never
    /// stand for another line.
    async fn say_unsaid(&mut self) {
        if self.wire.is_behind(&self.memory) && self.keep().await {
            self.wire.say(&self.memory).await;
            step::reached(Step::OpeningSent);
        }
    }

    /// Notes a line for the program; one that no program can take is said to be left out.
    fn send(&mut self, line: String) {
        if line.len() >= INPUT_BYTES_MAX {
            error!(attempt = %self.id, bytes = line.len(), "a line is too long for its program");
            let now = self.floor.clock.now();
            let text = format!(
                "A line of {} bytes was not sent: a program takes at most {INPUT_BYTES_MAX} at once. \
                 The turn may wait for it; call it off, and give the long part as a file.",
                line.len()
            );
            let body = Body::State { text, problem: true };
            let id = format!("too-long:{}", self.memory.sent + 1);
            self.gather(Entry { id, at: now, updated_at: now, body });
            return;
        }
        let line = self.wire.kept(format!("{line}\n"));
        self.memory.send(Some(line));
    }

    fn gather(&mut self, entry: Entry) {
        if let Body::Message { text } = &entry.body {
            self.memory.write_down(&entry.id, text);
            self.floor.board.said(self.id, text);
        }
        self.gathered_since.get_or_insert_with(Instant::now);
        match self.gathered.iter_mut().find(|known| known.id == entry.id) {
            Some(known) => *known = entry,
            None => self.gathered.push(entry),
        }
    }

    /// Writes the gathered entries; what cannot be written is gathered further, up to a limit.
    async fn flush(&mut self) {
        self.gathered_since = None;
        if self.gathered.is_empty() {
            return;
        }
        let entries = std::mem::take(&mut self.gathered);
        let again = entries.clone();
        if let Err(err) = self.floor.transcripts.put(self.id, entries).await {
            warn!(attempt = %self.id, %err, "entries of a conversation could not be written; trying again");
            self.gathered = again;
            // The raw lines are still there; the conversation says less than it could.
            let too_many = self.gathered.len().saturating_sub(UNWRITTEN_MAX);
            self.gathered.drain(..too_many);
            self.gathered_since = Some(Instant::now());
        }
    }

    /// Keeps what is needed to go on from here, after the entries that were made on the way here.
    /// Says whether it is kept. To be called where everything the driver wants done was done: what is
    /// on its way then would be lost with this engine.
    async fn keep(&mut self) -> bool {
        self.flush().await;
        self.memory.driver = self.driver.snapshot();
        let kept = match self.memory.keep(&self.run) {
            Err(err) if agents::is_want(&err) => {
                self.wire.let_go();
                self.memory.keep(&self.run)
            }
            kept => kept,
        };
        match kept {
            Ok(()) => {
                self.changed = false;
                // Before that, an engine that starts again reads it once more.
                self.wire.acknowledge().await;
                true
            }
            Err(err) => {
                error!(attempt = %self.id, %err, "a conversation could not be kept");
                false
            }
        }
    }

    /// Calls the turn off, as the protocol has it, before the processes are ended.
    async fn say_stop(&mut self) {
        self.stopping = true;
        self.floor.board.phase(self.id, Phase::Cancelling);
        self.driver.cancel(self.floor.clock.now());
        self.act().await;
        let deadline = Instant::now() + POLITE;
        // Only a protocol has a word for it.
        let answers = matches!(self.agent.runtime, Runtime::Acp { .. });
        while answers && !self.driver.takes_messages() && Instant::now() < deadline {
            let rest = deadline.min(Instant::now() + Duration::from_millis(200));
            self.wire.wait(Some(rest)).await;
            self.read();
            self.act().await;
            if self.wire.is_lost() {
                break;
            }
        }
        self.driver.finish(self.floor.clock.now());
        self.act().await;
        // What was under way is given up here: after this nobody listens.
        self.driver.ended(&Exit::Stopped { killed: false }, self.floor.clock.now());
        self.act().await;
        self.measure_all().await;
    }

    /// Ends the program of a conversation that is over.
    async fn end_program(
        &mut self,
        process: &ProcessIdentity,
        mut over: Pin<&mut impl Future<Output = Result<ExitRecord, LaunchError>>>,
    ) -> Result<ExitRecord, LaunchError> {
        self.flush().await;
        step::reached(Step::Judged);
        self.floor.board.phase(self.id, Phase::Ending);
        self.ending = true;
        self.driver.finish(self.floor.clock.now());
        self.act().await;
        let patience = if self.driver.ends_on_eof() { END } else { FAREWELL };
        let deadline = Instant::now() + patience;
        let record = loop {
            // The protocol's farewell is read, so that it can be answered to.
            tokio::select! {
                record = timeout(deadline.saturating_duration_since(Instant::now()), over.as_mut()) => {
                    break match record {
                        Ok(record) => record?,
                        Err(_) => {
                            // Nothing more is said or read; to end it takes descriptors as well.
                            self.wire.let_go();
                            let ended = self.floor.end(&self.run, process).await;
                            ended.ok_or(LaunchError::Cancelled)?
                        }
                    };
                }
                () = self.wire.wait(None) => {
                    if !self.read() && self.wire.is_lost() {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    self.act().await;
                }
            }
        };
        let record = self.leave_nothing(process, record).await?;
        self.measure_all().await;
        let verdict = self.memory.verdict.clone();
        Ok(match verdict {
            Some(verdict) => ExitRecord { exit: verdict.exit(), ..record },
            None => record,
        })
    }

    /// Ends what a vanished shim left of a program, whatever its conversation came to.
    async fn leave_nothing(
        &self,
        process: &ProcessIdentity,
        record: ExitRecord,
    ) -> Result<ExitRecord, LaunchError> {
        let left = self.floor.leave_nothing(&self.run, process, record).await;
        left.ok_or(LaunchError::Cancelled)
    }

    /// Feeds the driver all that there is, also where a descriptor has to be waited for.
    async fn read_all(&mut self) {
        loop {
            while self.read() {
                self.act().await;
            }
            if !self.wire.wants() {
                return;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Reads what is left of a program that has ended by itself, and says how its work ended.
    async fn program_ended(&mut self, record: ExitRecord) -> ExitRecord {
        self.read_all().await;
        self.wire.read_to_the_end();
        self.read_all().await;
        let stop = self.driver.ended(&record.exit, self.floor.clock.now());
        self.act().await;
        self.measure_all().await;
        self.flush().await;
        if let Some(verdict) = self.memory.verdict.clone() {
            return ExitRecord { exit: verdict.exit(), ..record };
        }
        let exit = match (stop, &record.exit) {
            (None | Some(Stop::Done), _) => record.exit.clone(),
            (Some(stop), Exit::Code { code: 0 }) => Verdict::of(&stop).exit(),
            (Some(_), _) => record.exit.clone(),
        };
        ExitRecord { exit, ..record }
    }

    async fn tell(&self, input: Input) -> bool {
        self.floor.tell(input).await
    }
}
