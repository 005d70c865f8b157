//! A JSON Schema of rule files, by which editors complete and check while one writes.
//!
//! It says what a key is and may be. What keys mean together (whether a metric exists, whether a unit fits) is for
//! [`super::parse`]: whatever passes there passes here.

use super::listing::SUPERVISORS;
use super::maintenance;
use super::notifier::GroupKeys;
use super::status;
use crate::model::controls::ControlSpec;
use crate::model::{
    Budget, Dashboard, EmailSpec, ExecSpec, HistoryLimits, Kind, Listed, Log, Mail, MessageKind, Preset, Severity,
    Span, Times, WebhookSpec,
};
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// A duration, as [`crate::model::parse_duration`] reads it.
const SPAN: &str = crate::model::SPAN_PATTERN;
/// What a rule line is like; the rest of its grammar is not for a regular expression.
const RULE_LINE: &str = "->";
/// What a name may be made of.
const NAME: &str = "^[A-Za-z0-9._-]{1,64}$";
const CHECK_NAME: &str = "^[A-Za-z0-9_-]{1,64}$";

/// The schema, as it is printed.
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let service = service(&mut generator);
    let mut top = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rules of minder",
        "type": "object",
        "properties": {
            "version": { "const": 1, "description": "The version of the rule language" },
            "include": {
                "description": "More files: patterns such as `conf.d/*.yaml`, relative to this file",
                "type": "array", "items": { "type": "string" },
            },
            "defaults": defaults(&mut generator),
            "mail": of::<Mail>(&mut generator, "How mail leaves"),
            "notifiers": named("Places for messages, by name", notifier(&mut generator)),
            "presets": named("How messages are put to receivers by HTTP, by name", of::<Preset>(&mut generator, "A way to put messages to a receiver")),
            "templates": template(&service),
            "services": named("What is watched, by name", json!({ "$ref": "#/$defs/Service" })),
            "services_from": services_from(),
            "dashboard": of::<Dashboard>(&mut generator, "The page"),
            "history": of::<HistoryLimits>(&mut generator, "How much history is kept"),
            "boot_grace": of::<Span>(&mut generator, "After the machine's boot, a service not yet seen up is unknown for so long, not down (60s)"),
            "maintenance": named("Times at which nobody is told, by name", of::<maintenance::Keys>(&mut generator, "When it is, and of what")),
            "brake": of::<Times>(&mut generator, "More automatic restarts than this, over all services, are held (10 in 1m)"),
        },
        "required": ["version"],
        "additionalProperties": false,
    });
    let mut definitions = generator.take_definitions(true);
    definitions.insert("Service".to_owned(), service);
    definitions.values_mut().for_each(loosen);
    loosen(&mut top);
    top["$defs"] = Value::Object(definitions);
    top
}

fn services_from() -> Value {
    let directory = |name: &&str| {
        let about = format!("The directory of the services of {name}: `/etc/service`");
        ((*name).to_owned(), json!({ "description": about, "type": "string", "pattern": "^/" }))
    };
    json!({
        "description": "Every service of these directories is watched, also those added later; what `services` says of one goes on top",
        "type": "object",
        "properties": SUPERVISORS.iter().map(directory).collect::<serde_json::Map<_, _>>(),
        "additionalProperties": false,
    })
}

/// The schema of a type, with a description of what it is here.
fn of<T: schemars::JsonSchema>(generator: &mut SchemaGenerator, about: &str) -> Value {
    described(generator.subschema_for::<T>(), about)
}

fn described(schema: Schema, about: &str) -> Value {
    let mut schema = schema.to_value();
    schema["description"] = about.into();
    schema
}

fn named(about: &str, inner: Value) -> Value {
    json!({
        "description": about,
        "type": "object",
        "propertyNames": { "pattern": NAME },
        "additionalProperties": inner,
    })
}

fn names(about: &str) -> Value {
    json!({ "description": about, "type": "array", "items": { "type": "string", "pattern": NAME } })
}

fn strings(about: &str) -> Value {
    json!({ "description": about, "type": "array", "items": { "type": "string" } })
}

fn words(about: &str) -> Value {
    json!({ "description": about, "type": "string" })
}

fn keyed<const N: usize>(entries: [(&str, Value); N]) -> Map<String, Value> {
    entries.into_iter().map(|(key, schema)| (key.to_owned(), schema)).collect()
}

/// A map of exactly one of these.
fn one_of(about: &str, each: Map<String, Value>) -> Value {
    json!({
        "description": about,
        "type": "object",
        "properties": each,
        "additionalProperties": false,
        "minProperties": 1,
        "maxProperties": 1,
    })
}

/// Keys that stand in `defaults` as well as in each service.
fn shared(generator: &mut SchemaGenerator) -> Map<String, Value> {
    keyed([
        ("notify", names("Who hears of its incidents")),
        ("escalate", escalate(generator)),
        ("flapping", flapping(generator)),
        ("grace", of::<Span>(generator, "After a start, only rules of liveness judge for so long (10s)")),
        (
            "settle",
            of::<Span>(
                generator,
                "How long a death may take to turn into a new process by itself (2s; 5s with a supervisor)",
            ),
        ),
        ("restart", of::<Budget>(generator, "How often it may be restarted")),
    ])
}

fn escalate(generator: &mut SchemaGenerator) -> Value {
    let step = json!({
        "type": "object",
        "properties": {
            "after": of::<Span>(generator, "So long after the incident's begin, if nobody has acknowledged it"),
            "notify": names("Who hears of it then"),
        },
        "required": ["after", "notify"],
        "additionalProperties": false,
    });
    json!({
        "description": "Who hears of its incidents as well, if nobody acknowledges them: one step, or several in the order of their times",
        "anyOf": [step.clone(), { "type": "array", "items": step }],
    })
}

fn flapping(generator: &mut SchemaGenerator) -> Value {
    let changes = |about: &str| json!({ "description": about, "type": "number", "minimum": 0, "maximum": 50 });
    json!({
        "description": "When incidents that begin and end again and again are told of as one",
        "anyOf": [
            { "type": "boolean" },
            {
                "type": "object",
                "properties": {
                    "start": changes("It flaps from this sum of changes on, of which old ones weigh less (4)"),
                    "stop": changes("And no longer at this one (1.5)"),
                    "within": of::<Span>(generator, "How long a change counts (30m)"),
                },
                "additionalProperties": false,
            },
        ],
    })
}

fn rhythm(generator: &mut SchemaGenerator) -> Map<String, Value> {
    keyed([
        ("every", of::<Span>(generator, "How often a check is asked (10s)")),
        ("timeout", of::<Span>(generator, "How long an answer may take (5s)")),
    ])
}

fn defaults(generator: &mut SchemaGenerator) -> Value {
    let mut properties = shared(generator);
    properties.extend(rhythm(generator));
    json!({
        "description": "What holds for every service that does not say otherwise",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

fn notifier(generator: &mut SchemaGenerator) -> Value {
    let each = [
        ("email", of::<EmailSpec>(generator, "By mail")),
        ("webhook", of::<WebhookSpec>(generator, "By HTTP")),
        ("exec", of::<ExecSpec>(generator, "To the standard input of a command")),
    ];
    let exactly_one: Vec<Value> = each.iter().map(|(place, _)| json!({ "required": [place] })).collect();
    let texts = json!({ "type": "string", "examples": ["mon-fri 08:00-18:00"] });
    let kinds = MessageKind::ALL.map(MessageKind::word);
    let least = |about: &str, generator: &mut SchemaGenerator| of::<Span>(generator, about);
    let mut group = of::<GroupKeys>(generator, "");
    if let Some(map) = group.as_object_mut() {
        map.remove("description");
    }
    let own = [
        (
            "hours",
            json!({ "description": "When it is told: on which days, from when until when (always)", "anyOf": [texts, { "type": "array", "items": texts }] }),
        ),
        ("zone", words("Where these hours are: `Europe/Berlin` (the machine's own zone)")),
        ("severity", of::<Severity>(generator, "It is told of this and worse (info)")),
        (
            "kinds",
            json!({ "description": "Which kinds of messages it gets (all)", "type": "array", "items": { "enum": kinds } }),
        ),
        (
            "group",
            json!({ "description": "How messages are put together, or false: each by itself and at once", "anyOf": [{ "const": false }, group] }),
        ),
        ("remind", least("How often it hears that something is still wrong (never)", generator)),
        ("expire", least("How long a message is worth sending (1d)", generator)),
    ];
    let mut properties = keyed(each);
    properties.extend(keyed(own));
    json!({
        "description": "One place for messages, and what it wants to hear",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "oneOf": exactly_one,
    })
}

fn service(generator: &mut SchemaGenerator) -> Value {
    let mut properties = shared(generator);
    let own = [
        ("checks", json!({ "description": "What is asked", "type": "array", "items": check(generator) })),
        ("rules", json!({ "description": "How it is judged", "type": "array", "items": rule(generator) })),
        ("control", control(generator)),
        ("group", words("The group that it is shown in")),
        ("tags", json!({ "description": "Words to filter by", "type": "array", "items": { "type": "string" } })),
        ("description", words("What it is, for people")),
        (
            "public",
            json!({
                "description": "Whether the status page shows it to the public, and as what",
                "anyOf": [{ "type": "boolean" }, generator.subschema_for::<status::Keys>()],
            }),
        ),
        (
            "depends_on",
            names(
                "The services that it needs: while one of them is not well, nobody is told of this one, and it is not restarted",
            ),
        ),
        ("log", of::<Log>(generator, "A log whose last lines go into snapshots and messages")),
        ("use", words("The template whose keys are put under its own")),
        (
            "with",
            json!({
                "description": "The parameters of the template",
                "type": "object",
                "additionalProperties": { "type": "string" },
            }),
        ),
    ];
    properties.extend(keyed(own));
    json!({
        "description": "A thing that is watched",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

/// A service's body with its parameters.
fn template(service: &Value) -> Value {
    let name = json!({ "type": "string", "pattern": NAME });
    let param = json!({
        "type": ["object", "null"],
        "properties": {
            "default": { "description": "What it is where a service does not say", "type": "string" },
            "about": words("What it is for"),
        },
        "additionalProperties": false,
    });
    let mut body = service.clone();
    if let Some(properties) = body.get_mut("properties").and_then(Value::as_object_mut) {
        properties.retain(|key, _| !matches!(key.as_str(), "use" | "with"));
        let params = json!({
            "description": "What a service that uses it gives, by name: in texts, `${NAME}` stands for it",
            "anyOf": [
                { "type": "array", "items": name },
                { "type": "object", "propertyNames": name, "additionalProperties": param },
            ],
        });
        properties.insert("params".to_owned(), params);
    }
    named("Bodies of services, with parameters, by name", body)
}

fn control(generator: &mut SchemaGenerator) -> Value {
    let each = ControlSpec::schemas(generator).into_iter().map(|(name, short, keys)| {
        let about = if name == "command" { "By commands of its own".to_owned() } else { format!("By {name}") };
        (name.to_owned(), short_or(described(keys, &about), short))
    });
    one_of("How it is started and stopped", each.collect())
}

/// A map of keys, or the text that stands for one of them.
fn short_or(keys: Value, short: Option<&str>) -> Value {
    match short {
        Some(key) => json!({ "anyOf": [{ "type": "string", "description": format!("Its `{key}`") }, keys] }),
        None => keys,
    }
}

fn check(generator: &mut SchemaGenerator) -> Value {
    let kinds = Kind::schemas(generator);
    let exactly_one: Vec<Value> = kinds.iter().map(|(kind, ..)| json!({ "required": [kind] })).collect();
    let mut properties = rhythm(generator);
    for (kind, short, schema) in kinds {
        let mut schema = short_or(schema.to_value(), short);
        // All of its keys may be left away, and so may the map.
        if Kind::read(kind, json!({})).is_some_and(|keys| keys.is_ok_and(|kind| kind.mistakes().is_empty())) {
            schema = json!({ "anyOf": [schema, { "type": "null", "description": "With no keys" }] });
        }
        properties.insert(kind.to_owned(), schema);
    }
    let name = json!({ "description": "Its name in metrics; its kind where this is missing", "type": "string", "pattern": CHECK_NAME });
    properties.insert("name".to_owned(), name);
    let keep = json!({ "description": "Metrics to record even if no rule names them", "type": "array", "items": { "type": "string" } });
    properties.insert("keep".to_owned(), keep);
    json!({
        "description": "A question asked on a schedule: exactly one kind",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "oneOf": exactly_one,
    })
}

fn rule(generator: &mut SchemaGenerator) -> Value {
    let hold = |about: &str| json!({ "description": about, "type": "string", "examples": ["5m", "3 of 5", "3 times"] });
    let action = json!({ "anyOf": [
        { "type": "string", "pattern": r"^(restart|stop|start|snapshot|notify|signal\s+[A-Z0-9]+|notify\s+[A-Za-z0-9._-]+)$" },
        one_of("An action with keys", keyed([
            ("exec", of::<ExecSpec>(generator, "Run a command")),
            ("email", of::<EmailSpec>(generator, "Tell by mail")),
            ("webhook", of::<WebhookSpec>(generator, "Tell by HTTP")),
        ])),
    ] });
    let long = json!({
        "type": "object",
        "properties": {
            "when": { "description": "What is bad", "type": "string", "examples": ["process.memory > 1GB"] },
            "for": hold("How long, or how often, it must be bad"),
            "until": { "description": "What must hold for the rule to resolve; otherwise that `when` is false", "type": "string" },
            "until_for": hold("How long, or how often, `until` must hold"),
            "name": { "description": "Its name in history and messages", "type": "string", "pattern": NAME },
            "severity": of::<Severity>(generator, "How bad it is: critical for liveness, else warning"),
            "then": { "description": "What to do", "type": "array", "items": action },
        },
        "required": ["when"],
        "additionalProperties": false,
    });
    json!({ "anyOf": [
        { "type": "string", "pattern": RULE_LINE, "description": "CONDITION [for HOLD] -> ACTION, ..", "examples": ["process.down -> restart"] },
        long,
    ] })
}

/// The schema of files of scenarios, as it is printed.
pub fn scenario_schema() -> Value {
    let service = words("The service that is meant where none is named; need not be said where there is only one");
    let step = json!({ "description": "How long each value under `samples` lasts (the check's `every`)", "type": "string", "pattern": format!("^{SPAN}$") });
    let lists = Listed::ALL.map(|(word, _)| (word, strings("In this order, and no others")));
    let mut expectation = keyed(lists);
    expectation.extend(keyed([
        ("at", words("When, since the begin: `5m10s`")),
        (
            "status",
            json!({ "description": "The status of the service, or of several by name", "type": ["string", "object"] }),
        ),
    ]));
    let list = json!({ "description": "What is to be so at which times", "type": "array", "items": {
        "type": "object", "properties": expectation, "required": ["at"], "additionalProperties": false,
    } });
    let happens = json!({
        "description": "What happens at which time: `2m: killed by SEGV`",
        "type": "object",
        "additionalProperties": { "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] },
    });
    let samples = json!({
        "description": "What checks answer, one value after the other: `process.memory: 300MB x30 600MB`",
        "type": "object",
        "additionalProperties": { "type": "string" },
    });
    let scenario = json!({
        "type": "object",
        "properties": keyed([
            ("service", service.clone()), ("step", step.clone()), ("samples", samples), ("happens", happens), ("expect", list),
        ]),
        "required": ["expect"],
        "additionalProperties": false,
    });
    let mut top = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Scenarios of minder",
        "type": "object",
        "properties": keyed([
            ("version", json!({ "const": 1, "description": "The version of the rule language" })),
            ("rules", words("The rules that the scenarios are about: a file, relative to this one")),
            ("plan", json!({ "description": "Or the rules themselves", "type": "object" })),
            ("service", service),
            ("step", step),
            ("scenarios", json!({ "description": "By a sentence that says what each shows", "type": "object", "additionalProperties": scenario })),
        ]),
        "required": ["version", "scenarios"],
        "additionalProperties": false,
    });
    loosen(&mut top);
    top
}

/// Makes a schema as lenient as the reader is: a key that may be missing is left away, never null; a bare number or flag is a
/// text where a text is meant; and a template's parameter may stand for any value.
fn loosen(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    map.insert("type".to_owned(), only);
                }
            }
            if map.get("default") == Some(&Value::Null) {
                map.remove("default");
            }
            for alternatives in ["anyOf", "oneOf"] {
                if let Some(Value::Array(list)) = map.get_mut(alternatives) {
                    list.retain(|one| one.get("type") != Some(&json!("null")) || one.get("description").is_some());
                }
            }
            let parameter = map.get("pattern").and_then(Value::as_str).map(|pattern| format!(r"{pattern}|\$\{{"));
            match (map.get("type").and_then(Value::as_str), parameter) {
                (_, Some(pattern)) => drop(map.insert("pattern".to_owned(), pattern.into())),
                (Some("string"), None) if !map.contains_key("enum") => {
                    map.insert("type".to_owned(), json!(["string", "number", "boolean"]));
                }
                (Some(kind @ ("integer" | "boolean")), None) => {
                    map.insert("type".to_owned(), json!([kind, "string"]));
                    map.insert("pattern".to_owned(), r"\$\{".into());
                }
                _ => {}
            }
            map.values_mut().for_each(loosen);
        }
        Value::Array(list) => list.iter_mut().for_each(loosen),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{check, plan, rule, scenario, service};
    use std::collections::BTreeSet;

    fn keys(schema: &Value) -> BTreeSet<&str> {
        schema["properties"].as_object().unwrap().keys().map(String::as_str).collect()
    }

    #[test]
    fn it_has_every_key_that_the_reader_knows_and_no_other() {
        let schema = schema();
        let set = |keys: &[&'static str]| keys.iter().copied().collect::<BTreeSet<_>>();
        assert_eq!(keys(&schema), set(plan::KEYS));
        assert_eq!(keys(&schema["properties"]["defaults"]), set(plan::DEFAULTS));
        let service = &schema["$defs"]["Service"];
        assert_eq!(keys(service), set(service::KEYS));
        let mut check = set(check::KEYS);
        check.extend(Kind::NAMES.iter().map(|(name, _)| name));
        assert_eq!(keys(&service["properties"]["checks"]["items"]), check);
        let scenarios = scenario_schema();
        assert_eq!(keys(&scenarios), set(scenario::TOP));
        assert_eq!(keys(&scenarios["properties"]["scenarios"]["additionalProperties"]), set(scenario::KEYS));
        let rule = &service["properties"]["rules"]["items"]["anyOf"][1];
        assert_eq!(keys(rule), set(rule::KEYS));
        let control = crate::model::controls::ControlSpec::NAMES.iter().map(|(name, _)| *name).collect::<BTreeSet<_>>();
        assert_eq!(keys(&service["properties"]["control"]), control);
        let notifier = &schema["properties"]["notifiers"]["additionalProperties"];
        let mut places = set(crate::model::NotifierPlace::NAMES);
        places.extend(crate::config::notifier::KEYS);
        assert_eq!(keys(notifier), places);
    }

    #[test]
    fn every_key_is_described() {
        fn walk(schema: &Value, path: &str, found: &mut Vec<String>) {
            if let Some(Value::Object(properties)) = schema.get("properties") {
                for (key, inner) in properties {
                    let path = format!("{path}.{key}");
                    let refers = inner.get("$ref").is_some() || inner.get("anyOf").is_some();
                    if inner.get("description").is_none() && !refers {
                        found.push(path.clone());
                    }
                    walk(inner, &path, found);
                }
            }
            for key in ["items", "additionalProperties"] {
                schema.get(key).into_iter().for_each(|inner| walk(inner, path, found));
            }
        }
        let schema = schema();
        let mut found = Vec::new();
        walk(&schema, "", &mut found);
        schema["$defs"].as_object().unwrap().iter().for_each(|(name, inner)| walk(inner, name, &mut found));
        assert_eq!(found, [] as [String; 0]);
    }
}
