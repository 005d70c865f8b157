//! `/api/v1/openapi.json`: the API described as OpenAPI 3.1, from what stands beside each route and from the types themselves.

use super::beat::WORDS_OF_BEATS;
use crate::dashboard::problem::{PROBLEM, ProblemBody};
use crate::dashboard::routes::Described;
use crate::dashboard::{Routes, described};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// How a type looks in JSON.
type Shape = fn(&mut SchemaGenerator) -> Schema;

/// What a route is for, what it takes and what it answers.
#[derive(Debug, Clone)]
pub(in crate::dashboard) struct Operation {
    summary: &'static str,
    more: Option<&'static str>,
    query: Option<Shape>,
    /// The media type of the body, and how that looks.
    body: Option<(&'static str, Shape)>,
    /// The statuses of success.
    statuses: Vec<u16>,
    /// What they answer: media types, and how these look.
    answers: Vec<(&'static str, Shape)>,
    /// There may be a `Link` to the next page.
    is_linked: bool,
    /// Only this machine itself may ask, by the socket.
    is_of_socket: bool,
}

const JSON: &str = "application/json";

impl Operation {
    /// For this, in a few words.
    pub fn new(summary: &'static str) -> Operation {
        Operation {
            summary,
            more: None,
            query: None,
            body: None,
            statuses: vec![200],
            answers: Vec::new(),
            is_linked: false,
            is_of_socket: false,
        }
    }
    /// In more words.
    pub fn more(self, words: &'static str) -> Operation {
        Operation { more: Some(words), ..self }
    }
    /// The keys of the query are those of this type.
    pub fn asks<T: JsonSchema>(self) -> Operation {
        Operation { query: Some(|generator| generator.subschema_for::<T>()), ..self }
    }
    /// The body is JSON of this type.
    pub fn takes<T: JsonSchema>(self) -> Operation {
        Operation { body: Some((JSON, |generator| generator.subschema_for::<T>())), ..self }
    }
    /// The body may be any text.
    pub fn takes_text(self) -> Operation {
        Operation { body: Some(("text/plain", |generator| generator.subschema_for::<String>())), ..self }
    }
    /// The answer is JSON of this type.
    pub fn answers<T: JsonSchema>(self) -> Operation {
        self.answers_in(JSON, |generator| generator.subschema_for::<T>())
    }
    /// The answer is a page of a list of this type.
    pub fn pages<T: JsonSchema>(self) -> Operation {
        self.answers::<Vec<T>>().linked()
    }
    /// The answer may have a `Link` to the next page.
    pub fn linked(self) -> Operation {
        Operation { is_linked: true, ..self }
    }
    /// The answer is a text.
    pub fn answers_text(self) -> Operation {
        self.answers_text_in("text/plain; charset=utf-8")
    }
    /// The answer is a text of this media type.
    pub fn answers_text_in(self, media: &'static str) -> Operation {
        self.answers_in(media, |generator| generator.subschema_for::<String>())
    }
    /// It is a stream as well.
    pub fn streams(self) -> Operation {
        self.answers_text_in("text/event-stream")
    }
    fn answers_in(mut self, media: &'static str, shape: Shape) -> Operation {
        self.answers.push((media, shape));
        self
    }
    /// Another status of success with the same answer.
    pub fn also(mut self, status: u16) -> Operation {
        self.statuses.push(status);
        self
    }
    /// The answer is this status alone.
    pub fn empty(self, status: u16) -> Operation {
        Operation { statuses: vec![status], ..self }
    }
    /// Only this machine itself may ask, by the socket.
    pub fn of_socket(self) -> Operation {
        Operation { is_of_socket: true, ..self }
    }
}

pub(super) fn routes() -> Routes {
    Routes::default()
        .get(None, "/api/v1/openapi.json", serve)
        .about(Operation::new("This description").answers::<Map<String, Value>>())
}

async fn serve() -> Response {
    /// Made when it is first asked for: it is the same for all.
    static TEXT: LazyLock<String> = LazyLock::new(|| describe(&described()).to_string());
    ([(CONTENT_TYPE, JSON)], TEXT.as_str()).into_response()
}

const ABOUT: &str = "\
What minder's page shows and does, for programs.

- Times are milliseconds since 1970-01-01 UTC, durations are milliseconds; what is otherwise says so. A number of an event, an \
incident or a message grows with each and is never used again.
- A list comes in pages of at most `limit`. Where there is more, the header `Link` has the address of the next page with \
`rel=\"next\"`.
- An error is a problem after RFC 9457. Keys that do not exist are errors, in a query and in a body.
- Fields may be added to answers; a program should pass over those that it does not know.
- `x-role` is the least role that is needed. Where nobody can sign in, everybody on the machine may look; minder's unix socket may do \
everything, and only there is what has `x-socket`.";

/// The description of these routes.
pub(super) fn describe(routes: &[Described]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.meta_schema = None;
        settings.definitions_path = "/components/schemas".into();
    });
    let mut answers = settings.clone().for_serialize().into_generator();
    // What is asked and what is answered may look different for the same type; so the former is written out where it stands.
    let mut asked = settings.with(|settings| settings.inline_subschemas = true).for_deserialize().into_generator();

    let problem = answers.subschema_for::<ProblemBody<'_>>();
    let problem = json!({ "description": "What went wrong", "content": { PROBLEM: { "schema": problem } } });
    let mut paths: Map<String, Value> = Map::new();
    for (route, operation) in routes {
        let mut entry = json!({ "summary": operation.summary, "operationId": name(route.method.as_str(), route.path) });
        let mut parameters = path_parameters(route.path);
        if let Some(query) = operation.query {
            parameters.extend(query_parameters(query(&mut asked).to_value()));
        }
        if let Some(more) = operation.more {
            entry["description"] = more.into();
        }
        if !parameters.is_empty() {
            entry["parameters"] = parameters.into();
        }
        if let Some((media, shape)) = operation.body {
            // Of what is any text, nothing is needed either.
            let content = json!({ media: { "schema": shape(&mut asked) } });
            entry["requestBody"] = json!({ "required": media == JSON, "content": content });
        }
        let content: Map<String, Value> = operation
            .answers
            .iter()
            .map(|(media, shape)| ((*media).to_owned(), json!({ "schema": shape(&mut answers) })))
            .collect();
        let mut answer = json!({ "description": "Done" });
        if !content.is_empty() {
            answer["content"] = content.into();
        }
        if operation.is_linked {
            answer["headers"] =
                json!({ "Link": { "description": "Where the next page is", "schema": { "type": "string" } } });
        }
        let mut responses: Map<String, Value> =
            operation.statuses.iter().map(|status| (status.to_string(), answer.clone())).collect();
        responses.insert("default".to_owned(), json!({ "$ref": "#/components/responses/Problem" }));
        entry["responses"] = responses.into();
        entry["security"] = match route.needs {
            Some(role) => {
                entry["x-role"] = role.word().into();
                json!([{ "token": [] }])
            }
            None => json!([]),
        };
        if operation.is_of_socket {
            entry["x-socket"] = true.into();
        }
        let method = route.method.as_str().to_lowercase();
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[method.as_str()] = entry;
    }
    let mut description = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "minder",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": answers.take_definitions(true),
            "responses": { "Problem": problem },
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    });
    bound(&mut description);
    description
}

/// Says of every number how large it can be: its `format` does so for those who know it.
fn bound(part: &mut Value) {
    let (least, most) = match part.get("format").and_then(Value::as_str) {
        Some("uint64" | "uint") => (json!(0), json!(u64::MAX)),
        Some("int64") => (json!(i64::MIN), json!(i64::MAX)),
        Some("uint32") => (json!(0), json!(u32::MAX)),
        Some("int32") => (json!(i32::MIN), json!(i32::MAX)),
        _ => (Value::Null, Value::Null),
    };
    match part {
        Value::Object(map) => {
            for (key, limit) in [("minimum", least), ("maximum", most)] {
                if !limit.is_null() {
                    map.entry(key).or_insert(limit);
                }
            }
            map.values_mut().for_each(bound);
        }
        Value::Array(parts) => parts.iter_mut().for_each(bound),
        _ => {}
    }
}

/// `get_services_name`
fn name(method: &str, path: &str) -> String {
    let words = path.trim_start_matches("/api/v1").split(['/', '{', '}', '.', '-']).filter(|word| !word.is_empty());
    words.fold(method.to_lowercase(), |name, word| name + "_" + word)
}

fn path_parameters(path: &str) -> Vec<Value> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameter = |name: &str| {
        let (schema, about) = match name {
            "id" => (json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX }), "A number"),
            "name" => (json!({ "type": "string", "minLength": 1 }), "A service, by its name"),
            "check" => (json!({ "type": "string", "minLength": 1 }), "A check of the service, by its name"),
            "secret" => (json!({ "type": "string", "minLength": 1 }), "The secret of a heartbeat"),
            _ => (json!({ "type": "string", "pattern": WORDS_OF_BEATS }), "`start`, `success`, `fail` or an exit code"),
        };
        json!({ "name": name, "in": "path", "required": true, "description": about, "schema": schema })
    };
    names.map(parameter).collect()
}

/// A parameter for each property of a query.
fn query_parameters(mut query: Value) -> Vec<Value> {
    let Some(Value::Object(properties)) = query.get_mut("properties").map(Value::take) else { return Vec::new() };
    let parameter = |(name, mut schema): (String, Value)| {
        let about = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        json!({ "name": name, "in": "query", "description": about, "schema": never_null(schema) })
    };
    properties.into_iter().map(parameter).collect()
}

/// What is not in a query is missing, and not null.
fn never_null(mut schema: Value) -> Value {
    let is_null = |schema: &Value| *schema == json!({ "type": "null" });
    match schema.get_mut("anyOf").map(Value::take) {
        Some(Value::Array(kinds)) => kinds.into_iter().find(|kind| !is_null(kind)).unwrap_or_default(),
        _ => {
            if let Some(Value::Array(kinds)) = schema.get("type") {
                schema["type"] = kinds.iter().find(|kind| **kind != "null").cloned().unwrap_or_default();
            }
            if let Some(Value::Array(values)) = schema.get_mut("enum") {
                values.retain(|value| !value.is_null());
            }
            schema
        }
    }
}
