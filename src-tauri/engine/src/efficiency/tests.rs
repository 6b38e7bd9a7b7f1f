//! The figures equal a recount from the log: of random histories, by the definitions alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::attempt::Attempt;
use model::clock::SystemClock;
use model::event::{Actor, Event, Fact, NewEvent, Subject};
use model::id::{AttemptId, EventId, MissionId, SHORT_ID_LEN_MAX, ShortId, SystemDraw};
use model::mission::{Mission, MissionState};
use model::process::{Exit, ExitRecord};
use model::usage::{Tokens, Usage, UsageSource};
use store::{Change, DataDir};

use super::*;

/// How much history there is, in seconds: three days.
const HISTORY_S: i64 = 3 * 86_400;
/// The time that is asked for: one of them.
const LAST_S: u32 = 86_400;

/// A generator whose whole state is its seed (splitmix64, Steele et al. 2014).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        i64::try_from((z ^ (z >> 31)) % end.unsigned_abs()).unwrap()
    }

    fn one_in(&mut self, n: i64) -> bool {
        self.below(n) == 0
    }
}

/// A moment of the history, in seconds from its beginning.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds).unwrap()
}

fn event(seconds: i64, fact: Fact) -> NewEvent {
    NewEvent {
        id: EventId::draw(at(seconds), &mut SystemDraw),
        at: at(seconds),
        actor: Actor::Engine,
        correlation_id: None,
        subject: Subject::default(),
        fact,
    }
}

fn about(seconds: i64, mission: MissionId, fact: Fact) -> NewEvent {
    let subject = Subject { mission_id: Some(mission), ..Subject::default() };
    NewEvent { subject, ..event(seconds, fact) }
}

fn agent(name: &str, created_s: i64, demo: bool) -> Agent {
    Agent {
        id: AgentId::draw(at(created_s), &mut SystemDraw),
        name: name.to_owned(),
        role: String::new(),
        skills: Vec::new(),
        runtime: model::agent::Runtime::Command {
            program: "true".to_owned(),
            args: Vec::new(),
            env: BTreeMap::new(),
            terminal: false,
        },
        directory: None,
        grace_s: 1,
        conduct: model::agent::Conduct::default(),
        paused: false,
        demo,
        created_at: at(created_s),
    }
}

/// Agents with when each is free again.
type Crew = Vec<(Agent, i64)>;

/// The life of one mission from its making on, whose attempts are those of a few agents.
fn mission_of(dice: &mut Dice, crew: &mut Crew, mut free: i64) -> Vec<NewEvent> {
    let id = MissionId::draw(at(free), &mut SystemDraw);
    let mission = Mission {
        short_id: ShortId::derive(id, SHORT_ID_LEN_MAX),
        ..Mission::draft(id, "one", at(free))
    };
    let mut events =
        vec![about(free, id, Fact::MissionCreated { mission, brief: "do it".to_owned() })];
    for n in 1..=5 {
        let who = usize::try_from(dice.below(i64::try_from(crew.len()).unwrap())).unwrap();
        let (agent, busy_until) = &mut crew[who];
        let leased = free.max(*busy_until) + dice.below(600);
        if leased >= HISTORY_S {
            break;
        }
        let attempt = Attempt::leased(
            AttemptId::draw(at(leased), &mut SystemDraw),
            id,
            agent.id,
            n,
            at(leased),
        );
        let attempt_id = attempt.id;
        events.push(about(leased, id, Fact::AttemptLeased { attempt }));
        let exited = leased + 1 + dice.below(8_000);
        events.extend(usages(dice, leased, id, attempt_id));
        *busy_until = exited;
        if exited >= HISTORY_S || dice.one_in(60) {
            // It is still under way, and its agent with it.
            *busy_until = HISTORY_S;
            break;
        }
        // Some are stopped before any program ran, and end at once.
        let ran = !dice.one_in(8);
        if ran {
            let record = ExitRecord::bare(Exit::Code { code: 0 }, at(exited));
            events.push(about(exited, id, Fact::AttemptExited { attempt_id, record }));
        }
        let over = if ran { exited + dice.below(12_000) } else { exited };
        if over > HISTORY_S {
            break;
        }
        let states = [AttemptState::Accepted, AttemptState::Rejected, AttemptState::Lost];
        let state = match dice.below(if ran { 8 } else { 1 }) {
            0 => AttemptState::Stopped,
            drawn => states[usize::try_from(drawn % 3).unwrap()],
        };
        let ended = Fact::AttemptEnded { attempt_id, state, note: None };
        events.push(about(over, id, ended));
        free = over;
        if state == AttemptState::Accepted {
            let grade = Grade::ALL[usize::try_from(dice.below(5)).unwrap()];
            events.push(about(over, id, done(id, grade)));
            break;
        }
    }
    events
}

fn done(mission_id: MissionId, grade: Grade) -> Fact {
    Fact::MissionMoved {
        mission_id,
        from: MissionState::Draft,
        to: MissionState::Done,
        note: None,
        grade,
        tries: 0,
        recoveries: 0,
        not_before: None,
    }
}

/// What up to two sources say was used, each perhaps twice.
fn usages(dice: &mut Dice, at_s: i64, mission: MissionId, attempt_id: AttemptId) -> Vec<NewEvent> {
    let said = dice.below(4);
    (0..said)
        .map(|_| {
            let source = UsageSource::ALL[usize::try_from(dice.below(5)).unwrap()];
            let mut some = |most: i64| (!dice.one_in(3)).then(|| dice.below(most).unsigned_abs());
            let usage = Usage {
                tokens: Tokens {
                    uncached_input: some(9_000),
                    output: some(900),
                    ..Tokens::default()
                },
                own_cost_micros: some(500_000),
                reported_cost_micros: some(500_000),
                ..Usage::none(source)
            };
            about(at_s, mission, Fact::UsageMeasured { attempt_id, usage })
        })
        .collect()
}

/// Everything the log says of one attempt.
struct Seen {
    agent: AgentId,
    mission: MissionId,
    n: u32,
    leased: Timestamp,
    exited: Option<Timestamp>,
    ended: Option<(Timestamp, AttemptState)>,
    used: BTreeMap<UsageSource, Usage>,
}

/// What the log says, read from its beginning.
#[derive(Default)]
struct Recount {
    attempts: BTreeMap<AttemptId, Seen>,
    grades: BTreeMap<MissionId, Grade>,
}

impl Recount {
    async fn of(ledger: &Ledger) -> Self {
        let mut this = Self::default();
        let mut seq = 0;
        loop {
            let events = ledger.events_after(seq, 500).await.unwrap();
            let Some(last) = events.last() else { return this };
            seq = last.seq;
            events.iter().for_each(|event| this.take(event));
        }
    }

    fn take(&mut self, event: &Event) {
        match &event.fact {
            Fact::AttemptLeased { attempt } => {
                let seen = Seen {
                    agent: attempt.agent_id,
                    mission: attempt.mission_id,
                    n: attempt.n,
                    leased: attempt.leased_at,
                    exited: None,
                    ended: None,
                    used: BTreeMap::new(),
                };
                self.attempts.insert(attempt.id, seen);
            }
            Fact::AttemptExited { attempt_id, record } => {
                self.attempts.get_mut(attempt_id).unwrap().exited = Some(record.ended_at);
            }
            Fact::AttemptEnded { attempt_id, state, .. } => {
                self.attempts.get_mut(attempt_id).unwrap().ended = Some((event.at, *state));
            }
            Fact::UsageMeasured { attempt_id, usage } => {
                let used = &mut self.attempts.get_mut(attempt_id).unwrap().used;
                used.insert(usage.source, usage.clone());
            }
            Fact::MissionMoved { mission_id, grade, .. } => {
                self.grades.insert(*mission_id, *grade);
            }
            _ => {}
        }
    }

    /// Every figure of an agent by its definition, in the order of [`KINDS`], with its cases.
    fn figures(&self, agent: &Agent, from: Timestamp, to: Timestamp) -> [(Option<f64>, usize); 8] {
        let own: Vec<&Seen> = self.attempts.values().filter(|it| it.agent == agent.id).collect();
        let ended: Vec<&Seen> = own
            .iter()
            .copied()
            .filter(|it| it.ended.is_some_and(|(at, _)| at > from && at <= to))
            .collect();
        let count = |state| ended.iter().filter(|it| it.ended.unwrap().1 == state).count();
        let accepted: Vec<&Seen> = ended
            .iter()
            .copied()
            .filter(|it| it.ended.unwrap().1 == AttemptState::Accepted)
            .collect();
        let decided = ended.len() - count(AttemptState::Stopped);
        let earlier = |it: &Seen| {
            let (mission, n) = (it.mission, it.n);
            own.iter().filter(move |other| other.mission == mission && other.n < n)
        };
        let proved = |it: &&&Seen| self.grades[&it.mission] >= Grade::Observed;
        let redone =
            |it: &&&Seen| earlier(it).any(|other| other.ended.unwrap().1 == AttemptState::Rejected);
        let mut cycles: Vec<f64> = accepted
            .iter()
            .map(|it| {
                let first = earlier(it).map(|other| other.leased).chain([it.leased]).min();
                it.ended.unwrap().0.duration_since(first.unwrap()).as_secs_f64()
            })
            .collect();
        cycles.sort_by(f64::total_cmp);
        let there = to.duration_since(from.max(agent.created_at)).as_secs_f64();
        let stretches: Vec<f64> = own
            .iter()
            .filter_map(|it| {
                let over = it.exited.or(it.ended.map(|(at, _)| at)).unwrap_or(to).min(to);
                let begun = it.leased.max(from);
                (over > begun).then(|| over.duration_since(begun).as_secs_f64())
            })
            .collect();
        let per = |used: fn(&Usage) -> Option<u64>| {
            let known: Vec<u64> = ended.iter().filter_map(|it| used(best(it)?)).collect();
            let total = known.iter().sum::<u64>() as f64;
            let value = total / accepted.len() as f64;
            (!known.is_empty() && !accepted.is_empty()).then_some(value)
        };
        let share = |part: usize, of: usize| (of > 0).then(|| part as f64 / of as f64);
        let n = accepted.len();
        let there = (there > 0.0).then_some(there);
        let rate = there.filter(|_| !ended.is_empty()).map(|it| n as f64 * 3_600.0 / it);
        [
            (rate, n),
            (share(n, decided), decided),
            (share(accepted.iter().filter(proved).count(), n), n),
            (share(accepted.iter().filter(redone).count(), n), n),
            (middle(&cycles), n),
            (per(|usage| usage.tokens.total()), n),
            (
                per(|usage| usage.own_cost_micros.or(usage.reported_cost_micros))
                    .map(|it| it / 1e6),
                n,
            ),
            (there.map(|it| 1.0 - stretches.iter().sum::<f64>() / it), stretches.len()),
        ]
    }
}

/// The best of what was said of an attempt: the first source that names tokens, or else the first.
fn best(seen: &Seen) -> Option<&Usage> {
    let names =
        |usage: &&Usage| usage.tokens.uncached_input.is_some() || usage.tokens.output.is_some();
    seen.used.values().find(names).or_else(|| seen.used.values().next())
}

fn middle(sorted: &[f64]) -> Option<f64> {
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[half]),
        _ => Some(f64::midpoint(sorted[half - 1], sorted[half])),
    }
}

const KINDS: [Kind; 8] = [
    Kind::MissionsPerHour,
    Kind::Success,
    Kind::Evidence,
    Kind::Rework,
    Kind::CycleTime,
    Kind::Tokens,
    Kind::Cost,
    Kind::Idle,
];

/// Those of a view, in the same order.
fn shown(view: &EfficiencyView) -> [(Option<f64>, usize); 8] {
    let it = &view.figures;
    [
        (it.missions_per_hour.value, it.missions_per_hour.n),
        (it.success.value, it.success.n),
        (it.evidence.value, it.evidence.n),
        (it.rework.value, it.rework.n),
        (it.cycle_time.p50, it.cycle_time.n),
        (it.tokens_per_accepted.value, it.tokens_per_accepted.n),
        (it.cost_per_accepted.value, it.cost_per_accepted.n),
        (it.idle_share.value, it.idle_share.n),
    ]
    .map(|(value, n)| (value, usize::try_from(n).unwrap()))
}

fn changes(view: &EfficiencyView) -> [EfficiencyChange; 8] {
    let it = &view.trend;
    [
        it.missions_per_hour,
        it.success,
        it.evidence,
        it.rework,
        it.cycle_time,
        it.tokens_per_accepted,
        it.cost_per_accepted,
        it.idle_share,
    ]
}

fn standings(view: &EfficiencyView) -> [EfficiencyStanding; 8] {
    let it = &view.peers;
    [
        it.missions_per_hour,
        it.success,
        it.evidence,
        it.rework,
        it.cycle_time,
        it.tokens_per_accepted,
        it.cost_per_accepted,
        it.idle_share,
    ]
}

fn same(one: Option<f64>, other: Option<f64>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => (one - other).abs() <= 1e-6 * one.abs().max(1.0),
        (one, other) => one == other,
    }
}

async fn empty() -> (tempfile::TempDir, DataDir, Ledger) {
    let place = tempfile::tempdir().unwrap();
    let dir = DataDir::open(&place.path().join("data")).unwrap();
    let ledger = Ledger::open(&dir, Arc::new(SystemClock)).await.unwrap();
    (place, dir, ledger)
}

/// Random missions of four agents and one of the demo, of whom one comes in the middle of the time that
/// is looked at, and one after everything.
async fn history(seed: u64, ledger: &Ledger) -> Vec<Agent> {
    let mut dice = Dice(seed);
    let mut crew: Crew = [("ann", 0), ("bob", 0), ("cid", HISTORY_S - 40_000), ("dan", 0)]
        .into_iter()
        .map(|(name, created)| (agent(name, created, name == "dan"), created))
        .collect();
    let mut agents: Vec<Agent> = crew.iter().map(|(agent, _)| agent.clone()).collect();
    agents.push(agent("eve", HISTORY_S, false));
    let added = agents.iter().map(|agent| event(0, Fact::AgentAdded { agent: agent.clone() }));
    ledger.commit(Change::events(added.collect())).await.unwrap();
    let missions = 20 + dice.below(60);
    // In their order: an agent that is busy later would have been free before.
    let mut made: Vec<i64> = (0..missions).map(|_| dice.below(HISTORY_S)).collect();
    made.sort_unstable();
    for made in made {
        let events = mission_of(&mut dice, &mut crew, made);
        ledger.commit(Change::events(events)).await.unwrap();
    }
    agents
}

#[tokio::test]
async fn missions_per_hour_success_cycle_time_tokens_and_cost_per_agent_equal_a_recount_from_the_event_log()
 {
    let mut cases = 0;
    for seed in 0..12 {
        let (_place, _dir, ledger) = empty().await;
        let agents = history(seed, &ledger).await;
        let recount = Recount::of(&ledger).await;
        let found = counted(&ledger, at(HISTORY_S), LAST_S).await.unwrap();
        assert_eq!(found.len(), agents.len());
        let last = i64::from(LAST_S);
        let (from, before) = (at(HISTORY_S - last), at(HISTORY_S - 2 * last));
        let own = |agent: &Agent| recount.figures(agent, from, at(HISTORY_S));
        for view in &found {
            let agent = agents.iter().find(|agent| agent.id == view.agent_id).unwrap();
            let said = format!("seed {seed}: {view:#?}");
            let (now, then) = (own(agent), recount.figures(agent, before, from));
            assert_eq!((view.from, view.trend.from, view.cut), (from, before, false), "{said}");
            let peers: Vec<_> = agents
                .iter()
                .filter(|it| it.id != agent.id && it.demo == agent.demo)
                .map(own)
                .collect();
            for (i, kind) in KINDS.into_iter().enumerate() {
                let ((value, n), change) = (shown(view)[i], changes(view)[i]);
                assert!(same(value, now[i].0) && n == now[i].1, "{kind:?} {:?} {said}", now[i]);
                assert!(same(change.before, then[i].0), "{kind:?} {:?} {said}", then[i]);
                assert_eq!(usize::try_from(change.n).unwrap(), then[i].1, "{kind:?} {said}");
                let grew = now[i].0.zip(then[i].0).map(|(now, then)| now - then);
                assert!(same(change.change, grew), "{kind:?} {said}");
                let standing = standings(view)[i];
                let mut others: Vec<f64> =
                    peers.iter().filter(|it| it[i].1 > 0).filter_map(|it| it[i].0).collect();
                others.sort_by(f64::total_cmp);
                assert!(same(standing.median, middle(&others)), "{kind:?} {others:?} {said}");
                assert_eq!(usize::try_from(standing.n).unwrap(), others.len(), "{kind:?} {said}");
                cases += n;
            }
        }
        ledger.close().await;
    }
    assert!(cases > 200, "the histories are not empty: {cases}");
}

#[tokio::test]
async fn where_more_ended_than_is_read_at_once_the_figures_say_of_what_time_they_are() {
    let (_place, _dir, ledger) = empty().await;
    let agents = history(3, &ledger).await;
    let whole = ledger.work_between(at(0), at(HISTORY_S)).await.unwrap();
    // As if no more than these had been read.
    let some = whole.ended.len() / 4;
    let cut = WorkDone { ended: whole.ended[..some].to_vec(), more: true, ..whole };
    let oldest = cut.ended.last().unwrap().ended_at;
    let span = span_of(&cut, at(0), at(HISTORY_S / 2), at(HISTORY_S));
    assert!(span.cut && span.from == oldest && span.before == oldest);
    let recount = Recount::of(&ledger).await;
    for view in views(&agents, &cut, span) {
        let agent = agents.iter().find(|agent| agent.id == view.agent_id).unwrap();
        let own = recount.figures(agent, oldest, at(HISTORY_S));
        for (i, kind) in KINDS.into_iter().enumerate() {
            let (value, n) = shown(&view)[i];
            assert!(same(value, own[i].0) && n == own[i].1, "{kind:?} {:?} {view:#?}", own[i]);
            assert_eq!(changes(&view)[i].n, 0, "{kind:?} {view:#?}");
        }
    }
    ledger.close().await;
}
