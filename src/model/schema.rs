//! What a JSON Schema says of the values that are written as one text. The rest derives it from its keys.

use super::controls::{Argv, ControlRun, StopBy};
use super::kinds::{StatusClass, TlsOrNot};
use super::{AbsPath, ByteSize, Cron, DelayRange, Given, Pattern, Secret, Signal, Span, Times, Zone};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

/// A value and its schema; its name there is the Rust type's.
macro_rules! schemas {
    ($($type:ident: |$generator:ident| $schema:expr;)*) => { $(
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    )* };
}

/// `500ms`, `5m`: as [`super::parse_duration`] reads them, as a regular expression.
pub const SPAN_PATTERN: &str = r"[0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d|w)";

schemas! {
    Span: |_generator| text("A duration: a number with `ms`, `s`, `m`, `h`, `d` or `w`", &format!("^{SPAN_PATTERN}$"), &["10s", "5m", "1h"]);
    ByteSize: |_generator| text("A size, such as `500MB` or `2GiB`", r"^[0-9]+(\.[0-9]+)?\s*([kMGT]?B|[KMGT]iB)$", &["500MB", "1GB"]);
    Times: |_generator| text("So many times in so long", &format!(r"^[0-9]+\s+in\s+{SPAN_PATTERN}$"), &["5 in 15m"]);
    DelayRange: |_generator| text("The first delay and the longest", &format!(r"^{SPAN_PATTERN}\.\.{SPAN_PATTERN}$"), &["1s..5m"]);
    AbsPath: |_generator| text("A path that begins with a slash", "^/", &["/run/nginx.pid"]);
    Cron: |_generator| text("A cron expression of five fields, or one such as `@daily`", r"^(@[a-zA-Z]+|\s*\S+(\s+\S+){4}\s*)$", &["0 3 * * *", "*/15 9-17 * * mon-fri", "@daily"]);
    Zone: |_generator| text("A time zone", "^[A-Za-z]", &["Europe/Berlin", "UTC"]);
    Pattern: |_generator| json_schema!({ "type": "string", "format": "regex", "description": "A regular expression" });
    Signal: |_generator| json_schema!({ "enum": Signal::names().collect::<Vec<_>>(), "description": "A signal" });
    Given: |_generator| json_schema!({
        "description": "A text, or where it comes from; then it is a secret, and never shown",
        "anyOf": [{ "type": "string" }, elsewhere()],
    });
    Secret: |_generator| elsewhere();
    Argv: |_generator| json_schema!({
        "description": "A program by its absolute path, and its arguments",
        "type": "array", "items": { "type": "string" }, "minItems": 1,
        "prefixItems": [{ "type": "string", "pattern": "^/" }],
    });
    ControlRun: |generator| json_schema!({
        "description": "A program with its arguments, or a map of these and how long it may take",
        "anyOf": [generator.subschema_for::<Argv>(), {
            "type": "object",
            "properties": { "command": generator.subschema_for::<Argv>(), "timeout": generator.subschema_for::<Span>() },
            "required": ["command"],
            "additionalProperties": false,
        }],
    });
    StopBy: |generator| json_schema!({
        "description": "Signals, each with the time that the process then has, or a program with its arguments",
        "anyOf": [
            { "type": "array", "minItems": 1, "items": { "type": "string", "pattern": format!(r"^[A-Z0-9]+(\s+{SPAN_PATTERN})?$") },
              "examples": [["TERM 10s", "KILL"]] },
            generator.subschema_for::<ControlRun>(),
        ],
    });
    StatusClass: |_generator| json_schema!({
        "description": "A status of HTTP, or a class of them",
        "anyOf": [{ "type": "integer", "minimum": 100, "maximum": 599 }, { "type": "string", "pattern": "^[1-5](xx|[0-9]{2})$" }],
        "examples": [200, "2xx"],
    });
    TlsOrNot: |generator| json_schema!({
        "description": "Whether TLS is spoken, or how the server is trusted",
        "anyOf": [{ "type": "boolean" }, generator.subschema_for::<super::kinds::Tls>()],
    });
}

fn text(about: &str, pattern: &str, examples: &[&str]) -> Schema {
    json_schema!({ "type": "string", "description": about, "pattern": pattern, "examples": examples })
}

/// `{ env: NAME }` or `{ file: /path }`
fn elsewhere() -> Schema {
    json_schema!({
        "type": "object",
        "description": "Where a secret comes from: a variable of the environment, or a file",
        "properties": { "env": { "type": "string", "description": "The name of the variable" },
            "file": { "type": "string", "pattern": "^/", "description": "The path of the file" },
        },
        "additionalProperties": false,
        "minProperties": 1,
        "maxProperties": 1,
    })
}

/// One of something, or a list of them.
#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}
