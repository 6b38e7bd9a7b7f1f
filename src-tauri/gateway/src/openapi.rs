//! The description of the API (OpenAPI 3.1), made from the routes themselves.

use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, LicenseBuilder, ObjectBuilder, OpenApi,
    PathItem, Ref, RefOr, Required, ResponseBuilder, Type,
};
use utoipa::{PartialSchema, ToSchema};

use crate::problem::{self, Problem};
use crate::routes;

/// Every refusal an operation can answer with, by the name of its description.
const REFUSALS: &[(&str, &str, &str)] = &[
    ("400", "BadRequest", "The body is no JSON."),
    ("401", "Unauthorized", "No valid token or login."),
    ("403", "Forbidden", "Not from here, or not with these rights."),
    ("404", "NotFound", "There is nothing by that name."),
    ("409", "Conflict", "Refused as things stand; `code` says why and `allowed` what would work."),
    ("413", "TooLarge", "The body is too large."),
    ("415", "NotJson", "The body is not sent as application/json."),
    ("422", "Invalid", "What was sent does not fit; `detail` says where."),
    ("429", "Busy", "Too much at once; `Retry-After` says when to try again."),
    ("500", "Internal", "The engine could not do it; nothing was changed."),
];

/// The description of the API.
#[must_use]
pub fn description() -> OpenApi {
    let (_, mut openapi) = routes::all().split_for_parts();
    openapi.info = InfoBuilder::new()
        .title("Hivekeeper")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "The API of a Hivekeeper engine: the same for the window, a browser, the command \
             line, agents and scripts. Errors are problem details (RFC 9457), lists are paged by \
             cursor, times are RFC 3339 UTC.",
        ))
        .license(Some(
            LicenseBuilder::new()
                .name("MIT OR Apache-2.0")
                .identifier(Some("MIT OR Apache-2.0"))
                .build(),
        ))
        .build();
    openapi.servers = None;
    add_components(&mut openapi);
    for (path, item) in &mut openapi.paths.paths {
        complete_item(path, item);
    }
    openapi.security = Some(vec![
        SecurityRequirement::new("token", Vec::<String>::new()),
        SecurityRequirement::new("login", Vec::<String>::new()),
    ]);
    openapi
}

/// The description as text, with a line end at the end.
///
/// # Errors
/// When the description cannot be written as JSON.
pub fn text() -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(&description())?;
    text.push('\n');
    Ok(text)
}

fn add_components(openapi: &mut OpenApi) {
    let mut components = openapi.components.take().unwrap_or_default();
    let mut schemas = vec![(Problem::name().into_owned(), Problem::schema())];
    Problem::schemas(&mut schemas);
    components.schemas.extend(schemas);
    let mut builder = ComponentsBuilder::from(components);
    for (_, name, text) in REFUSALS {
        let content =
            ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).build();
        let response =
            ResponseBuilder::new().description(*text).content(problem::MEDIA_TYPE, content).build();
        builder = builder.response(*name, response);
    }
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("The token of DATA_DIR/endpoint.json."))
        .build();
    let cookie = ApiKeyValue::with_description(
        "hivekeeper_login_PORT",
        "Set by POST /api/v1/login; needs X-Hivekeeper-CSRF for everything that changes something.",
    );
    openapi.components = Some(
        builder
            .security_scheme("token", SecurityScheme::Http(token))
            .security_scheme("login", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)))
            .build(),
    );
}

/// Adds to every operation of a path the refusals it can answer with, and the idempotency key.
fn complete_item(path: &str, item: &mut PathItem) {
    if !path.starts_with("/api/") {
        return;
    }
    let named = path.contains('{');
    for (operation, changes) in [
        (&mut item.get, false),
        (&mut item.post, true),
        (&mut item.put, true),
        (&mut item.patch, true),
        (&mut item.delete, true),
    ] {
        if let Some(operation) = operation {
            complete(operation, named, changes);
        }
    }
}

fn complete(operation: &mut Operation, named: bool, changes: bool) {
    let body = operation.request_body.is_some();
    let has_input = body || operation.parameters.as_ref().is_some_and(|all| !all.is_empty());
    for (status, name, _) in REFUSALS {
        let possible = match *status {
            "400" | "413" | "415" => body,
            "404" => named,
            "409" | "429" => changes,
            "422" => has_input,
            _ => true,
        };
        if possible && !operation.responses.responses.contains_key(*status) {
            operation
                .responses
                .responses
                .insert((*status).to_owned(), RefOr::Ref(Ref::from_response_name(*name)));
        }
    }
    if changes {
        operation.parameters.get_or_insert_default().push(RefOr::T(idempotency_key()));
    }
}

fn idempotency_key() -> Parameter {
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "A value of the caller's making: the same request under the same key is carried out \
             once and answered alike, for 24 hours.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operations() -> Vec<(String, Operation)> {
        description()
            .paths
            .paths
            .into_iter()
            .flat_map(|(path, item)| {
                [item.get, item.post, item.put, item.patch, item.delete]
                    .into_iter()
                    .flatten()
                    .map(move |operation| (path.clone(), operation))
            })
            .collect()
    }

    #[test]
    fn every_operation_says_what_it_does_what_it_answers_and_how_it_refuses() {
        for (path, operation) in operations() {
            let id = operation.operation_id.unwrap();
            let text = |text: Option<String>| !text.unwrap_or_default().trim().is_empty();
            assert!(text(operation.summary), "{path} {id} has no summary");
            assert!(text(operation.description), "{path} {id} has no description");
            assert!(operation.tags.is_some(), "{path} {id} has no tag");
            let statuses: Vec<_> = operation.responses.responses.keys().collect();
            assert!(statuses.iter().any(|status| status.starts_with('2')), "{id}");
            if path.starts_with("/api/") {
                for refusal in ["401", "403", "500"] {
                    assert!(statuses.iter().any(|status| *status == refusal), "{id}");
                }
            }
        }
    }

    #[test]
    fn operations_have_names_of_their_own() {
        let mut names: Vec<_> = operations()
            .into_iter()
            .map(|(_, operation)| operation.operation_id.unwrap())
            .collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn the_committed_description_is_that_of_this_program() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
        if std::env::var_os("HIVEKEEPER_UPDATE_DOCS").is_some() {
            std::fs::write(path, text().unwrap()).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == text().unwrap(),
            "docs/openapi.json is stale: run 'hivekeeper openapi > docs/openapi.json'"
        );
    }
}
