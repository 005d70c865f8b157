//! Templates of messages: Jinja, as minijinja reads it, over the names of [`Told`]. Data to text: nothing is included, no file
//! is read, no clock; how many steps it takes and how much it writes is bounded. How much one step makes is not: `~` joins two
//! texts of any length. Templates are of those who write the rules, and these may run any command; what they are filled with is
//! bounded where it comes from. It is of the model because rules are checked by what messages are later written with.

use super::Told;
use minijinja::value::{Serde, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value, escape_formatter};
use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write};
use std::ops::Range;

/// The longest text that a template makes, in bytes.
const LONGEST: usize = 256 << 10;

/// So many steps a template may take: a loop over the most messages with all they have is a tenth of it.
const FUEL: u64 = 1_000_000;

/// What a template makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Text: a value is put in as it is, and one that is missing as nothing.
    Text,
    /// One value of JSON: whatever is put in is a whole value, with its quotes.
    Json,
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// In words.
    pub what: String,
    /// Where in the template, in bytes; nothing if it is about the whole.
    pub at: Option<Range<usize>>,
    /// The name that is not known, or is not always there: `servce`, `ack.by`.
    pub unknown: Option<String>,
    /// What to do about it, if that is known.
    pub help: Option<&'static str>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Fault {
    fn new(what: impl Into<String>) -> Fault {
        Fault { what: what.into(), at: None, unknown: None, help: None }
    }
}

/// The text that the template makes of what is told.
pub fn render(template: &str, format: Format, told: &Told) -> Result<String, Fault> {
    render_value(template, format, &Value::from(Serde(told)))
}

fn render_value(template: &str, format: Format, told: &Value) -> Result<String, Fault> {
    let environment = environment(format);
    let compiled = environment.template_from_str(template).map_err(|e| fault(&e, template))?;
    let mut out = Bounded(Vec::new());
    if let Err(error) = compiled.render_captured_to(told.clone(), &mut out) {
        return Err(match error.kind() {
            ErrorKind::WriteFailure => Fault::new(format!("it makes more than {} KiB", LONGEST >> 10)),
            _ => fault(&error, template),
        });
    }
    let text = String::from_utf8(out.0).map_err(|_| Fault::new("it does not make text"))?;
    if format == Format::Json
        && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&text)
    {
        let mut fault = Fault::new(format!("what it makes is not JSON: {error}"));
        fault.help = Some(
            "a value is put in with its quotes: write `\"text\": {{ title }}`, and `{{ host ~ \": \" ~ title }}` to join several",
        );
        return Err(fault);
    }
    Ok(text)
}

/// What is wrong with a template, tried on every kind of event with these parameters. At most one mistake for each name, and
/// one of what happens when it is used.
pub fn check(template: &str, format: Format, with: &std::collections::BTreeMap<String, String>) -> Vec<Fault> {
    let environment = environment(format);
    let compiled = match environment.template_from_str(template) {
        Ok(compiled) => compiled,
        Err(error) => return vec![fault(&error, template)],
    };
    let samples = Told::samples();
    let mut known = names(samples.first());
    known.extend(environment.globals().map(|(name, _)| name.to_owned()));
    let mut unknown: Vec<String> = compiled.undeclared_variables(false).into_iter().collect();
    unknown.retain(|name| !known.contains(name));
    unknown.sort();
    if !unknown.is_empty() {
        return unknown.into_iter().map(|name| unknown_name(template, name)).collect();
    }
    for told in &samples {
        let told = told.with(with);
        if let Err(mut fault) = render_value(template, format, &Value::from(Serde(&told))) {
            let many = if told.count > 1 { "several messages together".to_owned() } else { kind_words(&told) };
            fault.what = format!("{} (tried on {many})", fault.what);
            return vec![fault];
        }
    }
    Vec::new()
}

/// Every name that a template may use at its top.
pub fn top_names() -> BTreeSet<String> {
    names(Told::samples().first())
}

/// Every name that may stand anywhere in a template, also those within a rule, an action, an acknowledgement.
pub fn all_names() -> BTreeSet<String> {
    fn walk(value: &serde_json::Value, found: &mut BTreeSet<String>) {
        match value {
            serde_json::Value::Object(map) => {
                found.extend(map.keys().cloned());
                map.values().for_each(|value| walk(value, found));
            }
            serde_json::Value::Array(list) => list.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    for told in Told::samples() {
        walk(&serde_json::to_value(told).unwrap_or_default(), &mut found);
    }
    found
}

fn names(told: Option<&Told>) -> BTreeSet<String> {
    match told.map(serde_json::to_value) {
        Some(Ok(serde_json::Value::Object(map))) => map.into_iter().map(|(name, _)| name).collect(),
        _ => BTreeSet::new(),
    }
}

fn kind_words(told: &Told) -> String {
    let bare = if told.worst.service.is_empty() { " that is about no service" } else { "" };
    format!("a message of kind `{}`{bare}", told.worst.kind)
}

fn environment(format: Format) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_debug(true);
    // Shows everything there is, secrets of presets too.
    environment.remove_global("debug");
    environment.set_auto_escape_callback(move |_| match format {
        Format::Json => AutoEscape::Json,
        Format::Text => AutoEscape::None,
    });
    environment.set_formatter(move |out, state, value| match value.kind() {
        ValueKind::None if format == Format::Text => Ok(()),
        _ => escape_formatter(out, state, value),
    });
    environment
}

/// In words of ours, without values: they may be secret.
fn fault(error: &Error, template: &str) -> Fault {
    let at = error.range().filter(|range| template.get(range.clone()).is_some_and(|part| !part.is_empty()));
    let at = at.or_else(|| error.line().and_then(|line| line_of(template, line)));
    let at = at.map(|range| from_its_start(template, range));
    let part =
        at.clone().and_then(|range| template.get(range)).filter(|part| part.len() <= 100 && !part.contains('\n'));
    let detail = error.detail().unwrap_or_default();
    let what = match error.kind() {
        ErrorKind::SyntaxError => format!("this is no template: {detail}"),
        ErrorKind::UndefinedError => match part {
            Some(part) => format!("there is nothing at `{part}`"),
            None => "there is nothing at a name that is used here".to_owned(),
        },
        ErrorKind::TemplateNotFound => "there is nothing to include, import or extend".to_owned(),
        ErrorKind::OutOfFuel => "it takes too many steps".to_owned(),
        // The details of these name what stands in the template.
        ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction | ErrorKind::UnknownMethod => {
            detail.to_owned()
        }
        kind => kind.to_string(),
    };
    let unknown = part.filter(|_| error.kind() == ErrorKind::UndefinedError).map(str::to_owned);
    let help = (error.kind() == ErrorKind::UnknownFilter)
        .then_some("the filters are those of <https://docs.rs/minijinja/latest/minijinja/filters/>");
    Fault { what, at, unknown, help }
}

/// Of `rules[0].note` only the end may have been named.
fn from_its_start(template: &str, range: Range<usize>) -> Range<usize> {
    if !template[range.clone()].starts_with(['.', '[']) {
        return range;
    }
    let before = &template[..range.start];
    let of_path = |c: char| c.is_alphanumeric() || "_.[]".contains(c);
    before.trim_end_matches(of_path).len()..range.end
}

fn unknown_name(template: &str, name: String) -> Fault {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let at = template
        .match_indices(&name)
        .map(|(start, _)| start..start + name.len())
        .find(|range| !template[..range.start].ends_with(word) && !template[range.end..].starts_with(word));
    Fault { at, unknown: Some(name.clone()), ..Fault::new(format!("there is no `{name}` in a message")) }
}

fn line_of(text: &str, number: usize) -> Option<Range<usize>> {
    let mut start = 0;
    for (index, line) in text.split('\n').enumerate() {
        if index + 1 == number {
            return (!line.is_empty()).then(|| start..start + line.len());
        }
        start += line.len() + 1;
    }
    None
}

/// Takes so much, and then fails.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn faults(template: &str, format: Format) -> Vec<String> {
        check(template, format, &BTreeMap::new()).iter().map(|fault| fault.what.clone()).collect()
    }

    fn full() -> Told {
        Told::samples().remove(0)
    }

    #[test]
    fn a_value_in_json_is_a_whole_value_and_in_text_it_is_itself() {
        let template = "{{ description }}|{{ ended }}|{{ count }}|{{ host ~ '!' }}";
        let text = render(template, Format::Text, &full()).unwrap();
        assert_eq!(text, "nginx in front of the \"shop\"||1|db1!");
        let text =
            render("[{{ description }}, {{ ended }}, {{ count }}, {{ rules[0] }}]", Format::Json, &full()).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json[0], "nginx in front of the \"shop\"");
        assert!(json[1].is_null() && json[2] == 1);
        assert_eq!(json[3]["note"], "could not connect: \"refused\" \\ {{ gone }}", "what is told is no template");
    }

    #[test]
    fn a_good_template_has_no_faults() {
        for template in [
            "{{ summary }}",
            "{% for m in messages %}{{ m.title }} {% for r in m.rules %}{{ r.value }}{% endfor %}\n{% endfor %}",
            "{% if ack %}{{ ack.by }}{% endif %}{% set x = 1 %}{{ x }}{{ others | join(', ') }}{{ text[:100] }}",
        ] {
            assert_eq!(faults(template, Format::Text), [] as [String; 0], "{template}");
        }
        assert_eq!(faults("{ \"a\": {{ summary }}, \"b\": {{ ack }} }", Format::Json), [] as [String; 0]);
    }

    #[test]
    fn every_fault_is_found_and_has_its_place() {
        let at = |template: &str, format| {
            let fault = check(template, format, &BTreeMap::new()).remove(0);
            (fault.what.clone(), fault.at.map(|range| template[range].to_owned()))
        };
        insta::assert_debug_snapshot!([
            at("{{ servce }}", Format::Text),
            at("a\n{{ rules[0].nme }}", Format::Text),
            at("{% for r in rules %}{{ r.nme }}{% endfor %}", Format::Text),
            at("{{ ack.by }}", Format::Text),
            at("{% if %}", Format::Text),
            at("{% include 'x' %}", Format::Text),
            at("{{ title | shout }}", Format::Text),
            at("{{ debug() }}", Format::Text),
            at("{{ with.token }}", Format::Text),
            at("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}", Format::Text),
            at("{{ 'abcdefgh' * 100000 }}", Format::Text),
            at("{ \"text\": \"{{ title }}\" }", Format::Json),
        ]);
    }
}
