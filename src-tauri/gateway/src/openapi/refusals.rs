//! How each operation refuses: its statuses, and with each of them the exact codes.
//!
//! Most of it follows from an operation's shape: the door, its path, its query, its body. What only
//! the engine can say is in [`OWN`], by the name of the operation. Responses with the same codes are
//! one component of the description.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use model::refusal::Code;
use utoipa::ToSchema;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{
    AllOfBuilder, ContentBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Schema,
    Type, example::ExampleBuilder,
};

use crate::problem::{self, Problem};
use crate::rights::{Rule, Verdict, look_up};

/// The codes an operation can answer with, by status.
pub(super) type Refusals = BTreeMap<u16, BTreeSet<&'static str>>;

const AMBIGUOUS: Code = Code::Ambiguous;
const BUSY: Code = Code::Busy;
const CONFLICT: Code = Code::Conflict;
const FORBIDDEN: Code = Code::Forbidden;
const NEAR: Code = Code::NearDuplicate;
const NOT_FOUND: Code = Code::NotFound;
const STALE: Code = Code::StaleLease;
const TRANSITION: Code = Code::TransitionRefused;
const UNAUTHORIZED: Code = Code::Unauthorized;

/// What operations refuse besides what their shape says.
const OWN: &[(&str, &[Code])] = &[
    ("accept_mission", &[TRANSITION, CONFLICT]),
    ("add_agent", &[CONFLICT]),
    ("add_check", &[NOT_FOUND, CONFLICT]),
    ("add_hook", &[CONFLICT]),
    ("add_maintenance", &[NOT_FOUND, CONFLICT]),
    ("add_mission", &[NOT_FOUND, AMBIGUOUS, CONFLICT, NEAR]),
    ("add_permission_rule", &[NOT_FOUND, AMBIGUOUS, CONFLICT]),
    ("add_token", &[CONFLICT]),
    ("answer_request", &[CONFLICT]),
    ("assign_mission", &[TRANSITION]),
    ("attach_evidence", &[NOT_FOUND, CONFLICT, STALE]),
    ("beat_attached", &[CONFLICT]),
    ("cancel_mission", &[TRANSITION]),
    ("cancel_turn", &[CONFLICT]),
    ("check_mission", &[NOT_FOUND]),
    ("clean_worktrees", &[NOT_FOUND]),
    ("close_topic", &[CONFLICT]),
    ("diff_attempt", &[CONFLICT]),
    ("discard_message", &[CONFLICT]),
    ("edit_agent", &[CONFLICT]),
    ("edit_check", &[CONFLICT]),
    ("edit_hook", &[CONFLICT]),
    ("edit_mission", &[TRANSITION, CONFLICT]),
    ("export_config", &[CONFLICT]),
    ("finish_attached", &[NOT_FOUND, CONFLICT, STALE]),
    ("focus_window", &[CONFLICT]),
    ("get_log_level", &[CONFLICT]),
    ("import_config", &[NOT_FOUND, CONFLICT]),
    ("import_missions", &[NOT_FOUND]),
    ("keep_secret", &[CONFLICT]),
    ("lease_attached", &[CONFLICT]),
    ("log_in", &[UNAUTHORIZED, BUSY, CONFLICT]),
    ("log_out", &[CONFLICT]),
    ("make_backup", &[CONFLICT]),
    ("make_checkpoint", &[CONFLICT]),
    ("make_login_link", &[CONFLICT]),
    ("pair", &[CONFLICT]),
    ("pause_mission", &[TRANSITION]),
    ("progress_attached", &[NOT_FOUND, CONFLICT, STALE]),
    ("purge_from_trash", &[CONFLICT]),
    ("put_log_level", &[CONFLICT]),
    ("put_policy", &[CONFLICT]),
    ("put_template", &[CONFLICT]),
    ("query_signal", &[NOT_FOUND]),
    ("query_moment", &[NOT_FOUND, BUSY, CONFLICT]),
    ("query_range", &[NOT_FOUND, BUSY, CONFLICT]),
    ("queue_mission", &[TRANSITION]),
    ("read_attached", &[NOT_FOUND, CONFLICT, STALE]),
    ("register_attached", &[NOT_FOUND, CONFLICT]),
    ("reject_mission", &[TRANSITION, CONFLICT]),
    ("remove_agent", &[CONFLICT]),
    ("remove_check", &[CONFLICT]),
    ("remove_demo", &[CONFLICT]),
    ("remove_mission", &[CONFLICT]),
    ("remove_policy", &[CONFLICT]),
    ("report_progress", &[CONFLICT]),
    ("report_to_check", &[CONFLICT]),
    ("resize_terminal", &[CONFLICT]),
    ("restore_checkpoint", &[CONFLICT]),
    ("restore_from_trash", &[CONFLICT]),
    ("resume_mission", &[TRANSITION, CONFLICT]),
    ("resume_swarm", &[CONFLICT]),
    ("retry_message", &[CONFLICT]),
    ("retry_mission", &[TRANSITION, CONFLICT]),
    ("review_mission", &[CONFLICT]),
    ("revoke_token", &[CONFLICT]),
    ("roll_back_settings", &[NOT_FOUND]),
    ("run_check", &[BUSY, CONFLICT]),
    ("scan", &[NOT_FOUND]),
    ("send_back_mission", &[TRANSITION, CONFLICT]),
    ("send_message", &[NOT_FOUND, AMBIGUOUS]),
    ("start_demo", &[CONFLICT]),
    ("take_ci_result", &[CONFLICT]),
    ("try_hook", &[BUSY]),
    ("type_into_terminal", &[CONFLICT]),
    ("use_attached", &[NOT_FOUND, CONFLICT, STALE]),
    ("vote_on_topic", &[NOT_FOUND, CONFLICT]),
];

/// Operations for which a key that was used for another request is nothing to refuse: they are done or
/// told anew each time, and the ledger keeps nothing of them.
const FORGETFUL: &[&str] =
    &["beat_attached", "halt_swarm", "keep_secret", "lease_attached", "log_in"];

/// Operations that cannot fail within: they ask nothing of the disk.
const CALM: &[&str] = &[
    "check_command",
    "count_health",
    "focus_window",
    "get_attempt_table",
    "get_live_schema",
    "get_mission_table",
    "get_openapi",
    "health",
    "list_questions",
    "list_runtimes",
    "list_series",
    "list_signals",
    "ready",
    "who_am_i",
    "list_event_kinds",
    "get_log_level",
    "put_log_level",
];

/// Operations with a name in their path that need not be there.
const MAKERS: &[&str] = &["keep_secret", "put_policy", "put_template", "report_day"];

/// Every refusal an operation can answer with.
pub(super) fn of(method: &Method, path: &str, operation: &Operation) -> Refusals {
    let id = operation.operation_id.as_deref().unwrap_or_default();
    let mut all = Shape { id, method, path, operation }.refusals();
    let own = OWN.iter().find(|(name, _)| *name == id).map_or(&[][..], |(_, codes)| *codes);
    for code in own {
        add(&mut all, problem::status(*code).as_u16(), *code);
    }
    // What a route describes by itself has every code of its status.
    for status in operation.responses.responses.keys().filter_map(|it| it.parse::<u16>().ok()) {
        if status >= 400 && !all.contains_key(&status) {
            for code in Code::ALL.into_iter().filter(|it| problem::status(*it) == status) {
                add(&mut all, status, code);
            }
        }
    }
    all
}

fn add(all: &mut Refusals, status: u16, code: Code) {
    all.entry(status).or_default().insert(code.as_str());
}

/// What follows from what an operation looks like.
struct Shape<'a> {
    id: &'a str,
    method: &'a Method,
    path: &'a str,
    operation: &'a Operation,
}

impl Shape<'_> {
    fn refusals(&self) -> Refusals {
        let mut all = Refusals::new();
        // Whatever is asked: a request to another name, and an answer that takes too long.
        add(&mut all, 403, Code::Forbidden);
        add(&mut all, 503, Code::Busy);
        if look_up(self.method, self.path) != Verdict::Rule(Rule::Anybody) {
            add(&mut all, 401, Code::Unauthorized);
            add(&mut all, 429, Code::Busy);
        }
        if !CALM.contains(&self.id) {
            add(&mut all, 500, Code::Internal);
        }
        self.of_the_path(&mut all);
        self.of_the_query(&mut all);
        if self.method != Method::GET {
            self.of_the_body(&mut all);
        } else if self.id == "listen" {
            add(&mut all, 400, Code::InvalidInput);
        }
        all
    }

    fn of_the_path(&self, all: &mut Refusals) {
        if !self.path.contains('{') {
            return;
        }
        add(all, 422, Code::InvalidInput);
        if !MAKERS.contains(&self.id) {
            add(all, 404, Code::NotFound);
        }
        // Missions go by the beginning of their id.
        if self.path.contains("/missions/{id}") || self.path.contains("/mission/{id}") {
            add(all, 409, Code::Ambiguous);
        }
    }

    fn of_the_query(&self, all: &mut Refusals) {
        let parameters = self.operation.parameters.iter().flatten();
        for parameter in parameters {
            let RefOr::T(parameter) = parameter else { continue };
            if parameter.name == "If-Match" {
                add(all, 412, Code::ChangedMeanwhile);
                add(all, 422, Code::InvalidInput);
            }
            if parameter.parameter_in != ParameterIn::Query {
                continue;
            }
            add(all, 422, Code::InvalidInput);
            if matches!(parameter.name.as_str(), "agent" | "mission") {
                add(all, 404, Code::NotFound);
            }
            if parameter.name == "mission" {
                add(all, 409, Code::Ambiguous);
            }
        }
    }

    /// A body is looked at where none is expected, too, and so is the idempotency key.
    fn of_the_body(&self, all: &mut Refusals) {
        for status in [400, 408, 413, 415, 422] {
            add(all, status, Code::InvalidInput);
        }
        if !FORGETFUL.contains(&self.id) {
            add(all, 409, Code::IdempotencyMismatch);
        }
    }
}

/// The name of the component that describes a refusal with these codes.
pub(super) fn name_of(status: u16, codes: &BTreeSet<&str>) -> String {
    let word = match status {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        408 => "TooSlow",
        409 => "Conflict",
        412 => "ChangedMeanwhile",
        413 => "TooLarge",
        415 => "NotJson",
        422 => "Invalid",
        429 => "Busy",
        500 => "Internal",
        503 => "Unavailable",
        _ => "Refused",
    };
    if codes.len() == 1 && status != 409 {
        return word.to_owned();
    }
    let codes: Vec<_> = codes.iter().copied().collect();
    format!("{word}.{}", codes.join("."))
}

/// Describes a refusal: a problem with one of these codes, and one of each as an example.
pub(super) fn response(status: u16, codes: &BTreeSet<&'static str>) -> Response {
    let code = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(codes.iter().copied()))
        .build();
    let only = ObjectBuilder::new().property("code", code).build();
    let schema = AllOfBuilder::new()
        .item(Ref::from_schema_name(Problem::name()))
        .item(Schema::Object(only))
        .build();
    let examples = Code::ALL.into_iter().filter(|code| codes.contains(code.as_str())).map(|code| {
        let problem = example(status, code);
        let value = serde_json::to_value(&problem).ok();
        let example = ExampleBuilder::new().summary(&*problem.title).value(value).build();
        (code.as_str(), RefOr::T(example))
    });
    let content = ContentBuilder::new()
        .schema(Some(Schema::AllOf(schema)))
        .examples_from_iter(examples)
        .build();
    ResponseBuilder::new().description(about(status)).content(problem::MEDIA_TYPE, content).build()
}

/// What a status means here.
pub(super) const fn about(status: u16) -> &'static str {
    match status {
        400 => "The body is no JSON, is nested too deep, or ended early.",
        401 => "No valid token or login.",
        403 => "Not from here, or not with these rights.",
        404 => "There is nothing by that name.",
        408 => "The body came too slowly.",
        409 => "Refused as things stand; `code` says why and `allowed` what would work.",
        412 => "It was changed since it was read; nothing was changed.",
        413 => "The body is too large.",
        415 => "The body is not sent as application/json.",
        422 => "What was sent does not fit; `detail` says where.",
        429 => "Too much at once; `Retry-After` says when to try again.",
        500 => "The engine could not do it; nothing was changed.",
        503 => "Not now; `Retry-After` says when to try again.",
        _ => "Refused; `detail` says why.",
    }
}

/// What refusals of a kind say, as they were given: the code, what happened, what to do about it.
const SAID: &[(Code, &str, &str)] = &[
    (Code::InvalidInput, "'limit=0' is not between 1 and 500", ""),
    (NOT_FOUND, "there is no mission 'M-7K2P'", "list the missions to see their ids"),
    (AMBIGUOUS, "'M-7' is the beginning of several missions' ids", "type more of the id"),
    (TRANSITION, "a mission that is queued does not take 'accept'", ""),
    (
        CONFLICT,
        "the work of M-7K2P is being merged",
        "wait until that is done, then look at it again; nothing was changed",
    ),
    (
        STALE,
        "the lease 1 of this attempt has ended: it is over",
        "stop working on it, and ask for a mission again",
    ),
    (
        NEAR,
        "M-7K2P 'Port the parser' says nearly the same (93 % of the words)",
        "look at it first; 'if_similar: create' (--if-similar create) makes this one all the same",
    ),
    (
        Code::IdempotencyMismatch,
        "this idempotency key was used before for another request; nothing was changed",
        "use a new key for a new request",
    ),
    (BUSY, "this token asks too often", "ask again in 1 s; Retry-After says the same"),
    (
        UNAUTHORIZED,
        "the token is not this engine's",
        "the token of this run is in endpoint.json of the data directory",
    ),
    (
        FORBIDDEN,
        "the role 'viewer' does not have this right",
        "GET /api/v1/whoami says what you may do",
    ),
    (
        Code::Internal,
        "the ledger could not be read: input/output error",
        "nothing was changed; see the log in the data directory",
    ),
];

/// A refusal as it was given.
fn example(status: u16, code: Code) -> Problem {
    let said = SAID.iter().find(|(said, ..)| *said == code);
    let (detail, hint) = match status {
        400 => ("the body cannot be used: EOF while parsing an object at line 1 column 1", ""),
        408 => ("the body paused for more than 10 s, or took too long", ""),
        413 => ("the body is larger than 1048576 bytes", ""),
        415 => ("the body must be sent as Content-Type: application/json", ""),
        503 => ("no answer within 30 s", ""),
        _ => said.map_or((problem::title(code), ""), |(_, detail, hint)| (*detail, *hint)),
    };
    let status = http::StatusCode::from_u16(status).unwrap_or(problem::status(code));
    let mut problem = Problem::new(status, code, detail);
    problem.allowed = match code {
        Code::Ambiguous => vec!["M-7K2P Port the parser".into(), "M-7QX4 Port the lexer".into()],
        Code::TransitionRefused => vec!["pause".into(), "cancel".into()],
        Code::NearDuplicate => vec!["M-7K2P".into()],
        _ => Vec::new(),
    };
    if hint.is_empty() { problem } else { problem.hint(hint) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_name_operations_that_are_there() {
        let known: BTreeSet<String> = super::super::operations()
            .into_iter()
            .filter_map(|(_, _, operation)| operation.operation_id)
            .collect();
        let named = OWN.iter().map(|(name, _)| *name);
        for name in named
            .chain(FORGETFUL.iter().copied())
            .chain(CALM.iter().copied())
            .chain(MAKERS.iter().copied())
        {
            assert!(known.contains(name), "there is no operation '{name}'");
        }
    }

    #[test]
    fn every_code_has_an_example_that_says_it() {
        for code in Code::ALL {
            let status = problem::status(code).as_u16();
            let problem = example(status, code);
            assert_eq!((problem.status, problem.code), (status, code));
            assert!(!problem.detail.is_empty());
        }
    }
}
