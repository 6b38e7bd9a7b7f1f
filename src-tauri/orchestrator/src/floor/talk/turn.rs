//! One turn with an agent that is asked about the work of another: it may read, and changes nothing.

use std::collections::BTreeMap;
use std::path::Path;

use agents::LaunchError;
use agents::permission::{self, Who};
use agents::runtime::{Act, Answer, Driver, Happening, Opening, Stop, Wanted};
use model::agent::Agent;
use model::conversation::Body;
use model::id::MissionId;
use model::inbox::PermissionPolicy;
use model::process::{Exit, ProcessIdentity};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::FloorSetup;
use super::LINES_AT_ONCE;
use super::line::Wire;
use super::memory::{Memory, Verdict};

/// The most kept of what an agent says in one turn, in bytes.
const SAID_BYTES_MAX: usize = 256 * 1024;

/// Who is asked, and what.
pub(in crate::floor) struct Asked<'a> {
    pub(in crate::floor) agent: &'a Agent,
    pub(in crate::floor) mission: MissionId,
    pub(in crate::floor) opening: Opening,
    pub(in crate::floor) run: &'a Path,
    pub(in crate::floor) process: &'a ProcessIdentity,
}

/// What came of it.
pub(in crate::floor) struct Said {
    /// How it ended.
    pub(in crate::floor) exit: Exit,
    /// Everything the agent said.
    pub(in crate::floor) text: String,
}

struct Turn<'a> {
    asked: &'a Asked<'a>,
    driver: Box<dyn Driver>,
    memory: Memory,
    wire: Wire,
    texts: BTreeMap<String, String>,
    /// The ids of the texts, in their order.
    order: Vec<String>,
    stop: Option<Stop>,
}

impl FloorSetup {
    /// Tells an agent something and gives what it answers; its program is ended then.
    pub(in crate::floor) async fn one_turn(
        &self,
        driver: Box<dyn Driver>,
        asked: &Asked<'_>,
        cancel: &CancellationToken,
    ) -> Result<Said, LaunchError> {
        let memory = Memory::default();
        let wire = Wire::new(asked.run, &memory, None).await;
        let (texts, order) = (BTreeMap::new(), Vec::new());
        let mut turn = Turn { asked, driver, memory, wire, texts, order, stop: None };
        turn.driver.open(asked.opening.clone(), self.clock.now());
        let over = self.launcher.wait(asked.run, asked.process, cancel);
        tokio::pin!(over);
        let mut more = false;
        let ended = loop {
            turn.act(self).await;
            if turn.stop.is_some() {
                turn.driver.finish(self.clock.now());
                turn.act(self).await;
                break None;
            }
            tokio::select! {
                biased;
                record = &mut over => {
                    let left = self.leave_nothing(asked.run, asked.process, record?).await;
                    break Some(left.ok_or(LaunchError::Cancelled)?);
                }
                () = turn.wire.wait(more.then(Instant::now)) => more = turn.read(self),
            }
            turn.wire.acknowledge().await;
            turn.driver.tick(self.clock.now());
        };
        let record = match ended {
            Some(record) => {
                turn.wire.read_to_the_end();
                while turn.read(self) {
                    turn.act(self).await;
                }
                turn.act(self).await;
                turn.stop = turn.driver.ended(&record.exit, self.clock.now());
                turn.act(self).await;
                record
            }
            None => {
                let ended = self.end(asked.run, asked.process).await;
                ended.ok_or(LaunchError::Cancelled)?
            }
        };
        let exit = match turn.stop {
            Some(ref stop) if record.exit.code().is_none_or(|code| code == 0) => {
                Verdict::of(stop).exit()
            }
            _ => record.exit,
        };
        Ok(Said { exit, text: turn.text() })
    }
}

impl Turn<'_> {
    /// Feeds the driver what the program has printed, a number of lines at a time; says whether there
    /// may be more.
    fn read(&mut self, floor: &FloorSetup) -> bool {
        for _ in 0..LINES_AT_ONCE {
            let Some(line) = self.wire.next_line() else { return false };
            line.give(self.driver.as_mut(), floor.clock.now());
        }
        true
    }

    async fn act(&mut self, floor: &FloorSetup) {
        loop {
            let acts = self.driver.take();
            if acts.is_empty() {
                break;
            }
            for act in acts {
                match act {
                    Act::Send(line) => self.memory.send(Some(format!("{line}\n"))),
                    Act::CloseInput => self.memory.send(None),
                    Act::Put(entry) => {
                        if let Body::Message { text } = entry.body {
                            self.keep(entry.id, text);
                        }
                    }
                    Act::Tell(happening) => self.hear(happening, floor),
                }
            }
        }
        self.wire.say(&self.memory).await;
        self.wire.took(&mut self.memory);
    }

    /// Keeps a text in place of what was there under its id, as far as there is room.
    fn keep(&mut self, id: String, text: String) {
        let before = self.texts.get(&id).map_or(0, String::len);
        let kept: usize = self.texts.values().map(String::len).sum();
        if kept - before + text.len() <= SAID_BYTES_MAX {
            if !self.texts.contains_key(&id) {
                self.order.push(id.clone());
            }
            self.texts.insert(id, text);
        }
    }

    fn hear(&mut self, happening: Happening, floor: &FloorSetup) {
        let now = floor.clock.now();
        match happening {
            Happening::AskedPermission { key, ask } => {
                let answer = self.judge(*ask);
                self.driver.answer(&key, None, &answer, now);
            }
            Happening::AskedQuestion { key, .. } => {
                let note = Some("nobody can be asked during a review".to_owned());
                self.driver.answer(&key, None, &Answer::Deny { note }, now);
            }
            Happening::TurnEnded { stop, .. } => self.stop = Some(stop),
            Happening::Broken { why, login } => self.stop = Some(Stop::Failed { why, login }),
            _ => {}
        }
    }

    /// Reading is allowed, and nothing else.
    fn judge(&self, ask: Wanted) -> Answer {
        let worktree = Path::new(&self.asked.opening.directory);
        let ask = permission::assess(ask, worktree);
        let (mission_id, agent_id) = (self.asked.mission, self.asked.agent.id);
        let who = Who { mission_id, agent_id, worktree };
        match permission::judge(PermissionPolicy::ReadOnly, &[], &ask, who) {
            permission::Verdict::Allow { .. } => Answer::Allow,
            permission::Verdict::Deny { because } => Answer::Deny { note: Some(because) },
            permission::Verdict::Ask => Answer::Deny { note: None },
        }
    }

    fn text(&self) -> String {
        let texts = self.order.iter().filter_map(|id| self.texts.get(id).map(String::as_str));
        texts.collect::<Vec<_>>().join("\n")
    }
}
