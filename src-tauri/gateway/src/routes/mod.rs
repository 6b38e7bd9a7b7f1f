//! The routes, one file per noun; each handler reads what was asked and passes it on.

mod about;
mod agents;
mod attached;
mod attempts;
mod backups;
mod config;
mod conversations;
mod demo;
mod devlogs;
mod efficiency;
mod events;
mod health;
mod hooks;
mod inbox;
mod log;
mod login;
mod logins;
mod messages;
mod metrics;
mod missions;
mod overview;
mod places;
mod presets;
mod reports;
mod rules;
mod secrets;
mod signals;
mod swarm;
mod tables;
mod tokens;
mod topics;
mod window;
mod work;

pub use overview::VerificationView;

use axum::response::{IntoResponse, Response};
use engine::{Format, Rendered};
use http::{HeaderValue, StatusCode, header};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gate;
use crate::problem::Problem;

/// Every route with its description.
pub(crate) fn all() -> OpenApiRouter<Gate> {
    OpenApiRouter::new()
        .merge(of_the_swarm())
        .merge(of_attached())
        .merge(of_conversations())
        .merge(of_missions())
        .merge(of_the_work())
        .merge(of_the_rules())
        .merge(of_the_house())
        .merge(of_health())
}

fn of_the_swarm() -> OpenApiRouter<Gate> {
    OpenApiRouter::new()
        .routes(routes!(overview::overview))
        .routes(routes!(agents::list_agents, agents::add_agent))
        .routes(routes!(agents::get_agent, agents::edit_agent, agents::remove_agent))
        .routes(routes!(agents::pause_agent))
        .routes(routes!(agents::resume_agent))
        .routes(routes!(agents::list_attempts_of_agent))
        .routes(routes!(efficiency::list_efficiency))
        .routes(routes!(efficiency::get_efficiency))
        .routes(routes!(agents::check_command))
        .routes(routes!(agents::list_runtimes))
        .routes(routes!(presets::list_presets))
        .routes(routes!(presets::try_preset))
        .routes(routes!(presets::get_supervision))
        .routes(routes!(attempts::read_transcript))
        .routes(routes!(attempts::read_gate_output))
        .routes(routes!(tables::get_attempt_table))
        .routes(routes!(swarm::plan))
        .routes(routes!(swarm::halt_swarm))
        .routes(routes!(swarm::resume_swarm))
        .routes(routes!(swarm::restart_failed))
        .routes(routes!(swarm::clear_failed))
        .routes(routes!(swarm::reconcile))
        .routes(routes!(events::list_events))
        .routes(routes!(crate::live::listen))
        .routes(routes!(crate::live::get_live_schema))
}

fn of_attached() -> OpenApiRouter<Gate> {
    OpenApiRouter::new()
        .routes(routes!(attached::register_attached))
        .routes(routes!(attached::beat_attached))
        .routes(routes!(attached::lease_attached))
        .routes(routes!(attached::progress_attached))
        .routes(routes!(attached::attach_evidence))
        .routes(routes!(attached::use_attached))
        .routes(routes!(attached::read_attached))
        .routes(routes!(attached::finish_attached))
}

fn of_conversations() -> OpenApiRouter<Gate> {
    OpenApiRouter::new()
        .routes(routes!(conversations::read_conversation))
        .routes(routes!(conversations::follow_conversation))
        .routes(routes!(conversations::search_conversations))
        .routes(routes!(conversations::get_usage))
        .routes(routes!(conversations::type_into_terminal))
        .routes(routes!(conversations::resize_terminal))
        .routes(routes!(conversations::cancel_turn))
        .routes(routes!(messages::send_message))
        .routes(routes!(messages::broadcast))
        .routes(routes!(messages::get_broadcast))
        .routes(routes!(messages::list_messages))
        .routes(routes!(messages::retry_message))
        .routes(routes!(messages::discard_message))
        .routes(routes!(inbox::get_inbox))
        .routes(routes!(inbox::list_requests))
        .routes(routes!(inbox::answer_request))
        .routes(routes!(inbox::list_permission_rules, inbox::add_permission_rule))
        .routes(routes!(inbox::remove_permission_rule))
}

fn of_missions() -> OpenApiRouter<Gate> {
    OpenApiRouter::new()
        .routes(routes!(missions::list_missions, missions::add_mission))
        .routes(routes!(missions::check_mission))
        .routes(routes!(missions::import_missions))
        .routes(routes!(missions::get_mission, missions::edit_mission, missions::remove_mission))
        .routes(routes!(missions::queue_mission))
        .routes(routes!(missions::accept_mission))
        .routes(routes!(missions::reject_mission))
        .routes(routes!(missions::pause_mission))
        .routes(routes!(missions::resume_mission))
        .routes(routes!(missions::cancel_mission))
        .routes(routes!(missions::retry_mission))
        .routes(routes!(missions::send_back_mission))
        .routes(routes!(missions::assign_mission))
        .routes(routes!(missions::explain_mission))
        .routes(routes!(missions::report_progress))
        .routes(routes!(missions::take_ci_result))
        .routes(routes!(tables::get_mission_table))
        .routes(routes!(missions::inspect_repository))
}

fn of_the_work() -> OpenApiRouter<Gate> {
    OpenApiRouter::new()
        .routes(routes!(work::review_mission))
        .routes(routes!(work::diff_attempt))
        .routes(routes!(work::radar))
        .routes(routes!(work::list_checkpoints, work::make_checkpoint))
        .routes(routes!(work::restore_checkpoint))
        .routes(routes!(work::scan))
        .routes(routes!(places::list_worktrees))
        .routes(routes!(places::clean_worktrees))
        .routes(routes!(places::list_trash))
        .routes(routes!(places::restore_from_trash))
        .routes(routes!(places::purge_from_trash))
}

fn of_the_rules() -> OpenApiRouter<Gate> {
    OpenApiRouter::new()
        .routes(routes!(rules::get_settings, rules::put_settings))
        .routes(routes!(config::list_settings_changes))
        .routes(routes!(config::roll_back_settings))
        .routes(routes!(config::export_config))
        .routes(routes!(config::import_config))
        .routes(routes!(hooks::list_hooks, hooks::add_hook))
        .routes(routes!(hooks::get_hook, hooks::edit_hook, hooks::remove_hook))
        .routes(routes!(hooks::try_hook))
        .routes(routes!(hooks::list_hook_runs))
        .routes(routes!(hooks::list_event_kinds))
        .routes(routes!(secrets::list_secrets))
        .routes(routes!(secrets::keep_secret, secrets::remove_secret))
        .routes(routes!(backups::list_backups, backups::make_backup))
        .routes(routes!(log::read_log))
        .routes(routes!(log::get_log_level, log::put_log_level))
        .routes(routes!(rules::list_policies))
        .routes(routes!(rules::get_policy, rules::put_policy, rules::remove_policy))
        .routes(routes!(rules::list_templates))
        .routes(routes!(rules::get_template, rules::put_template, rules::remove_template))
        .routes(routes!(topics::list_topics, topics::open_topic))
        .routes(routes!(topics::get_topic))
        .routes(routes!(topics::vote_on_topic))
        .routes(routes!(topics::close_topic))
}

fn of_health() -> OpenApiRouter<Gate> {
    OpenApiRouter::new()
        .routes(routes!(health::count_health))
        .routes(routes!(health::list_checks, health::add_check))
        .routes(routes!(health::get_check, health::edit_check, health::remove_check))
        .routes(routes!(health::get_check_history))
        .routes(routes!(health::run_check))
        .routes(routes!(health::report_to_check))
        .routes(routes!(health::list_maintenance, health::add_maintenance))
        .routes(routes!(health::remove_maintenance))
}

fn of_the_house() -> OpenApiRouter<Gate> {
    OpenApiRouter::new()
        .routes(routes!(devlogs::list_devlogs))
        .routes(routes!(devlogs::get_devlog))
        .routes(routes!(devlogs::export_devlog))
        .routes(routes!(reports::report_mission))
        .routes(routes!(reports::report_day))
        .routes(routes!(signals::list_signals))
        .routes(routes!(signals::query_signal))
        .routes(routes!(signals::list_series))
        .routes(routes!(signals::query_moment))
        .routes(routes!(signals::query_range))
        .routes(routes!(signals::list_questions))
        .routes(routes!(signals::cancel_question))
        .routes(routes!(metrics::get_metrics))
        .routes(routes!(demo::start_demo, demo::remove_demo))
        .routes(routes!(about::about))
        .routes(routes!(overview::doctor))
        .routes(routes!(swarm::get_diagnostics))
        .routes(routes!(overview::verify))
        .routes(routes!(overview::health))
        .routes(routes!(overview::ready))
        .routes(routes!(overview::get_openapi))
        .routes(routes!(login::log_in))
        .routes(routes!(login::make_login_link))
        .routes(routes!(login::log_out))
        .routes(routes!(logins::list_logins))
        .routes(routes!(logins::end_login))
        .routes(routes!(tokens::list_tokens, tokens::add_token))
        .routes(routes!(tokens::revoke_token))
        .routes(routes!(tokens::who_am_i))
        .routes(routes!(tokens::pair))
        .routes(routes!(window::focus_window))
}

/// The formats a document can be asked for in.
fn format(name: Option<&str>, among: &[Format]) -> Result<Format, Problem> {
    let format = match name.unwrap_or("md") {
        "md" => Some(Format::Markdown),
        "html" => Some(Format::Html),
        "json" => Some(Format::Json),
        _ => None,
    };
    format.filter(|format| among.contains(format)).ok_or_else(|| {
        let names: Vec<_> = among.iter().map(|format| word(*format)).collect();
        Problem::invalid(format!("'{}' is not a format of this document", name.unwrap_or_default()))
            .hint(format!("use one of: {}", names.join(", ")))
    })
}

const fn word(format: Format) -> &'static str {
    match format {
        Format::Markdown => "md",
        Format::Html => "html",
        Format::Json => "json",
    }
}

/// A document as a file to keep, never as a page to show.
fn file(rendered: Rendered) -> Response {
    let name: String = rendered
        .file_name
        .chars()
        .map(|ch| match ch {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' => ch,
            _ => '_',
        })
        .collect();
    let mut response = (StatusCode::OK, rendered.body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(rendered.media_type));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_offered_as_a_file_under_a_harmless_name() {
        let response = file(Rendered {
            media_type: "text/html; charset=utf-8",
            file_name: "a\"b\r\n/../ö.html".into(),
            body: String::new(),
        });
        assert_eq!(
            response.headers()[header::CONTENT_DISPOSITION],
            "attachment; filename=\"a_b___..__.html\""
        );
    }

    #[test]
    fn only_the_formats_a_document_has_are_taken() {
        let among = [Format::Markdown, Format::Html];
        assert!(format(None, &among).is_ok());
        assert!(format(Some("html"), &among).is_ok());
        assert!(format(Some("json"), &among).is_err());
        assert!(format(Some("pdf"), &among).is_err());
    }
}
