//! The reference of the language, `rules/README.md`, names everything that there is: in the section where it belongs.

use crate::config::{check, maintenance, notifier, plan, rule, service, status, syntax};
use crate::model::controls::ControlSpec;
use crate::model::kinds::{Basic, Expect, Step, Tls};
use crate::model::{
    Budget, Dashboard, ExecSpec, HistoryLimits, Kind, Mail, MessageKind, NotifierPlace, Preset, StatusPage, UNITS,
    template,
};
use serde::de::value::Error;
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};

const REFERENCE: &str = include_str!("../../../rules/README.md");

/// Takes note of the keys that a type is read from, and reads nothing.
struct Keys<'k>(&'k mut Vec<&'static str>);

impl<'de> Deserializer<'de> for Keys<'_> {
    type Error = Error;
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("no value"))
    }
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.0.extend(fields);
        Err(Error::custom("no value"))
    }
    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn keys(read: impl FnOnce(Keys<'_>)) -> Vec<&'static str> {
    let mut keys = Vec::new();
    read(Keys(&mut keys));
    keys
}

fn keys_of<'de, T: Deserialize<'de>>() -> Vec<&'static str> {
    keys(|reader| drop(T::deserialize(reader)))
}

/// What stands below a heading, up to the next of its level or above.
#[track_caller]
fn section(heading: &str) -> &'static str {
    let (_, text) = REFERENCE.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no section {heading}"));
    let level = heading.split(' ').next().unwrap().len();
    let ends = (2..=level).filter_map(|level| text.find(&format!("\n{} ", "#".repeat(level))));
    &text[..ends.min().unwrap_or(text.len())]
}

/// Each of these words stands in the section as code, beside its examples.
#[track_caller]
fn names(heading: &str, words: impl IntoIterator<Item = &'static str>) {
    let text: String = section(heading).split("```").step_by(2).collect();
    let code: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
    let named = |word: &str| code.iter().any(|code| code.split([' ', ':', ',', '(']).any(|part| part == word));
    let missing: Vec<&str> = words.into_iter().filter(|word| !named(word)).collect();
    assert!(missing.is_empty(), "{heading} does not name {missing:?}");
}

#[test]
fn every_kind_has_its_section_with_all_its_keys_and_metrics() {
    for (kind, _) in Kind::NAMES {
        let heading = format!("### {kind}");
        names(&heading, Kind::metrics_of(kind).unwrap().iter().map(|metric| metric.name));
        names(&heading, keys(|reader| drop(Kind::read(kind, reader))));
    }
    names("### http", keys_of::<Expect>());
    names("### http", keys_of::<Basic>());
    names("### http", keys_of::<Tls>());
    names("### protocol", keys_of::<Step>());
}

#[test]
fn every_key_of_a_file_stands_where_it_belongs() {
    names("## Files", plan::KEYS.iter().copied());
    names("## Files", plan::DEFAULTS.iter().copied());
    names("## Services", service::KEYS.iter().copied());
    names("## Services", keys_of::<Budget>());
    names("## Checks", check::KEYS.iter().copied());
    names("## Rules", rule::KEYS.iter().copied());
    names("### Actions", rule::ACTIONS.iter().copied());
    names("### Actions", syntax::ACTIONS.iter().copied());
    names("### Actions", keys_of::<ExecSpec>());
    names("### Conditions", UNITS.iter().map(|(unit, ..)| *unit).filter(|unit| unit.ends_with('B')));
    names("## Dashboard", keys_of::<Dashboard>());
    names("### The public status page", keys_of::<StatusPage>());
    names("### The public status page", keys_of::<status::Keys>());
    names("## History", keys_of::<HistoryLimits>());
    names("## Notifiers and mail", keys_of::<Mail>());
    names("## Notifiers and mail", notifier::KEYS.iter().copied());
    names("## Notifiers and mail", keys_of::<notifier::GroupKeys>());
    names("## Notifiers and mail", MessageKind::ALL.map(MessageKind::word));
    names("## Silences and maintenance", keys_of::<maintenance::Keys>());
    for place in NotifierPlace::NAMES {
        names("## Notifiers and mail", [*place]);
        let own = keys(|reader| drop(NotifierPlace::read(place, reader)));
        names("## Notifiers and mail", own.into_iter().filter(|_| *place != "exec"));
    }
    names("### Presets", keys_of::<Preset>());
    names("### Templates of messages", template::all_names().into_iter().map(|name| &*name.leak()));
    for (control, _) in ControlSpec::NAMES {
        names("### Controls", [*control]);
        names("### Controls", keys(|reader| drop(ControlSpec::read(control, reader))));
    }
    for function in ["avg", "min", "max", "rate", "forecast", "changed"] {
        names("### Functions over time", [function]);
    }
}

#[test]
fn every_link_within_it_leads_somewhere() {
    let anchor = |line: &str| {
        let name = line.trim_start_matches('#').trim().to_lowercase();
        name.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
    };
    let headings: Vec<String> = REFERENCE.lines().filter(|line| line.starts_with('#')).map(anchor).collect();
    for link in REFERENCE.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(headings.iter().any(|heading| heading == link), "no heading #{link}");
    }
}
