//! The description of the API (OpenAPI 3.1), made from the routes themselves.
//!
//! A route says what it does, takes and answers; what follows for all of them is added here: how
//! they refuse ([`refusals`]), the idempotency key, and an example of each ([`examples`]).

mod codes;
mod examples;
mod refusals;

use http::Method;
use serde::Serialize as _;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, ObjectBuilder, OpenApi, PathItem, Ref, RefOr,
    Required, Type,
};
use utoipa::{PartialSchema, ToSchema};

pub use codes::{matrix, table};

use crate::again::ALWAYS_ANEW;
use crate::problem::Problem;
use crate::rights::{Rule, Verdict, look_up};
use crate::routes;
use examples::Example;

/// The description as it is committed, which is that of this program: a test says so. Making it anew
/// takes more stack and time than a request has.
pub(crate) const COMMITTED: &str = include_str!("../../../docs/openapi.json");

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
    let mut refused = ComponentsBuilder::from(openapi.components.take().unwrap_or_default());
    for (path, item) in &mut openapi.paths.paths {
        for (method, operation) in of_item(item) {
            refused = complete(&method, path, operation, refused);
        }
    }
    openapi.components = Some(refused.build());
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
    let mut description = serde_json::to_value(description())?;
    whole_numbers(&mut description);
    // One space a level: the file is read by programs, and is a third larger with two.
    let mut text = Vec::new();
    let narrow = serde_json::ser::PrettyFormatter::with_indent(b" ");
    description.serialize(&mut serde_json::Serializer::with_formatter(&mut text, narrow))?;
    let mut text = String::from_utf8(text).map_err(serde::ser::Error::custom)?;
    text.push('\n');
    Ok(text)
}

/// Says of numbers without a sign how large they may be; the formats of OpenAPI all have one.
fn whole_numbers(part: &mut serde_json::Value) {
    let integer = part["type"] == "integer"
        || part["type"].as_array().is_some_and(|all| all.iter().any(|it| it == "integer"));
    let unsigned = integer && part["minimum"].as_u64().is_some();
    let most = match part["format"].as_str().filter(|_| unsigned) {
        Some("int32") => Some(("uint32", u64::from(u32::MAX))),
        Some("int64") => Some(("uint64", u64::MAX)),
        _ => None,
    };
    match part {
        serde_json::Value::Object(fields) => {
            if let Some((format, most)) = most {
                fields.insert("format".to_owned(), format.into());
                fields.entry("maximum").or_insert_with(|| most.into());
            }
            fields.values_mut().for_each(whole_numbers);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        _ => {}
    }
}

fn add_components(openapi: &mut OpenApi) {
    let mut components = openapi.components.take().unwrap_or_default();
    let mut schemas = vec![(Problem::name().into_owned(), Problem::schema())];
    Problem::schemas(&mut schemas);
    components.schemas.extend(schemas);
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "The token of DATA_DIR/endpoint.json, or an access token ('hivekeeper token add').",
        ))
        .build();
    let cookie = ApiKeyValue::with_description(
        "hivekeeper_login_PORT",
        "Set by POST /api/v1/login, and worth nothing without the secret of the page that came with \
         it, as X-Hivekeeper-Page.",
    );
    openapi.components = Some(
        ComponentsBuilder::from(components)
            .security_scheme("token", SecurityScheme::Http(token))
            .security_scheme("login", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)))
            .build(),
    );
}

/// The operations of a path, with their methods.
fn of_item(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    [
        (Method::GET, &mut item.get),
        (Method::POST, &mut item.post),
        (Method::PUT, &mut item.put),
        (Method::PATCH, &mut item.patch),
        (Method::DELETE, &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Adds to an operation how it refuses, the idempotency key and its example.
fn complete(
    method: &Method,
    path: &str,
    operation: &mut Operation,
    mut components: ComponentsBuilder,
) -> ComponentsBuilder {
    for (status, codes) in refusals::of(method, path, operation) {
        let name = refusals::name_of(status, &codes);
        components = components.response(&name, refusals::response(status, &codes));
        let described = RefOr::Ref(Ref::from_response_name(&name));
        operation.responses.responses.insert(status.to_string(), described);
    }
    if *method != Method::GET {
        let key = idempotency_key(method, path);
        operation.parameters.get_or_insert_default().push(RefOr::T(key));
    }
    if look_up(method, path) == Verdict::Rule(Rule::Anybody) {
        operation.security = Some(vec![SecurityRequirement::default()]);
    }
    if let Some(example) = operation.operation_id.as_deref().and_then(Example::of) {
        example.show_in(operation);
    }
    components
}

fn idempotency_key(method: &Method, path: &str) -> Parameter {
    let anew = ALWAYS_ANEW.iter().find(|(anew, it, _)| anew == method && *it == path);
    let description = match anew {
        None => {
            "A value of the caller's making: the same request under the same key is carried out \
             once and answered alike, for 24 hours."
                .to_owned()
        }
        Some((.., why)) => {
            format!("A value of the caller's making. This is answered anew under any: {why}.")
        }
    };
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(
            ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[!-~]{1,200}$")).build(),
        ))
        .build()
}

/// Every operation with its method and path.
fn operations() -> Vec<(Method, String, Operation)> {
    let mut all = Vec::new();
    for (path, mut item) in description().paths.paths {
        for (method, operation) in of_item(&mut item) {
            all.push((method, path.clone(), operation.clone()));
        }
    }
    all
}

#[cfg(test)]
mod tests;
