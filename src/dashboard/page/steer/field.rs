//! What a form asks for, and what it brings back.

use crate::dashboard::Problem;
use crate::dashboard::api::bad;
use std::borrow::Cow;
use url::form_urlencoded;

/// So many fields a form has at most.
const FIELDS: usize = 40;
/// The longest of them, in bytes.
const LONGEST: usize = 8 << 10;

/// What was sent: each field once.
#[derive(Default)]
pub(super) struct Sent(Vec<(String, String)>);

impl Sent {
    /// Of a query, or of a body.
    pub fn read(text: &[u8]) -> Result<Sent, Problem> {
        // Browsers end the lines of a text as mail does.
        let own = |(name, value): (Cow<'_, str>, Cow<'_, str>)| (name.into_owned(), value.replace("\r\n", "\n"));
        let fields: Vec<(String, String)> = form_urlencoded::parse(text).map(own).take(FIELDS + 1).collect();
        if fields.len() > FIELDS {
            return Err(bad(format!("more than {FIELDS} fields")));
        }
        for (i, (name, value)) in fields.iter().enumerate() {
            let shown: String = name.chars().take(40).collect();
            if fields.iter().take(i).any(|(other, _)| other == name) {
                return Err(bad(format!("the field “{shown}” stands there twice")));
            }
            if value.len() > LONGEST {
                return Err(bad(format!("the field “{shown}” is longer than {LONGEST} bytes")));
            }
        }
        Ok(Sent(fields))
    }

    /// The field of this name, which is gone then.
    pub fn take(&mut self, name: &str) -> Option<String> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(place).1)
    }

    /// A field without which nothing can be said.
    pub fn need(&mut self, name: &str) -> Result<String, Problem> {
        self.take(name).ok_or_else(|| bad(format!("the field “{name}” is missing")))
    }

    /// A number without which nothing can be said.
    pub fn number(&mut self, name: &str) -> Result<u64, Problem> {
        self.need(name)?.parse().map_err(|_| bad(format!("the field “{name}” is no number")))
    }

    /// Whatever was not taken, nobody knows.
    pub fn done(self) -> Result<(), Problem> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => {
                let shown: String = name.chars().take(40).collect();
                Err(bad(format!("there is no field “{shown}”")))
            }
        }
    }
}

/// How a field is shown.
pub(super) enum Input {
    Hidden,
    /// A line.
    Line,
    /// Several.
    Lines,
    /// One of these: the value, and its words.
    Choice(Vec<(&'static str, &'static str)>),
    /// Yes, or not.
    Tick,
}

/// A field as it is shown: with what was typed, and what is wrong with that.
pub(super) struct Field {
    pub name: &'static str,
    pub label: &'static str,
    pub help: &'static str,
    pub input: Input,
    pub value: String,
    pub error: Option<String>,
    /// The most that may be typed, in characters.
    pub most: usize,
}

impl Field {
    fn new(name: &'static str, label: &'static str, input: Input, value: String) -> Field {
        Field { name, label, help: "", input, value, error: None, most: LONGEST / 4 }
    }
    /// Says again what was confirmed.
    pub fn hidden(name: &'static str, value: impl ToString) -> Field {
        Field::new(name, "", Input::Hidden, value.to_string())
    }
    /// A line to be typed.
    pub fn line(name: &'static str, label: &'static str, sent: &mut Sent) -> Field {
        Field::new(name, label, Input::Line, sent.take(name).unwrap_or_default())
    }
    /// Several lines to be typed.
    pub fn lines(name: &'static str, label: &'static str, sent: &mut Sent) -> Field {
        Field::new(name, label, Input::Lines, sent.take(name).unwrap_or_default())
    }
    /// Yes, or not.
    pub fn tick(name: &'static str, label: &'static str, sent: &mut Sent) -> Field {
        let mut field = Field::new(name, label, Input::Tick, sent.take(name).unwrap_or_default());
        if !matches!(field.value.as_str(), "" | "yes") {
            field.error = Some("tick it, or not".to_owned());
        }
        field
    }
    /// One of these, the first if nothing was said.
    pub fn choice(
        name: &'static str,
        label: &'static str,
        choices: &[(&'static str, &'static str)],
        sent: &mut Sent,
    ) -> Field {
        let first = choices.first().map_or("", |(value, _)| value);
        let value = sent.take(name).unwrap_or_else(|| first.to_owned());
        let known = choices.iter().any(|(known, _)| *known == value);
        let mut field = Field::new(name, label, Input::Choice(choices.to_vec()), value);
        if !known {
            field.error = Some("choose one of those that there are".to_owned());
        }
        field
    }

    pub fn help(self, help: &'static str) -> Field {
        Field { help, ..self }
    }
    /// It is at most so long, in characters.
    pub fn at_most(mut self, most: usize) -> Field {
        self.most = most;
        let length = self.value.chars().count();
        if length > most {
            self.error = Some(format!("at most {most} characters; these are {length}"));
        }
        self
    }
    /// It must not be empty: `why` says what to write.
    pub fn required(mut self, why: &str) -> Field {
        if self.error.is_none() && self.value.trim().is_empty() {
            self.error = Some(why.to_owned());
        }
        self
    }

    pub fn is_ticked(&self) -> bool {
        self.value == "yes"
    }
    /// Whether the template shows it as this.
    pub fn is_hidden(&self) -> bool {
        matches!(self.input, Input::Hidden)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_comes_once_and_no_other_comes() {
        let mut sent = Sent::read(b"service=web&reason=a+b%26c").unwrap();
        assert_eq!(sent.take("reason").as_deref(), Some("a b&c"));
        assert_eq!(sent.number("service").unwrap_err().detail, "the field “service” is no number");
        sent.done().unwrap();
        let refused = |text: &[u8]| match Sent::read(text) {
            Ok(sent) => sent.done().unwrap_err().detail,
            Err(problem) => problem.detail,
        };
        assert_eq!(refused(b"a=1&a=2"), "the field “a” stands there twice");
        assert_eq!(refused(b"pid=1"), "there is no field “pid”");
        assert_eq!(refused("x=1&".repeat(60).as_bytes()), "more than 40 fields");
        assert!(refused(format!("x={}", "y".repeat(9000)).as_bytes()).contains("longer than 8192 bytes"));
    }

    #[test]
    fn what_was_typed_is_kept_beside_what_is_wrong() {
        let mut sent = Sent::read("reason=gr%C3%B6%C3%9Fer&public=maybe&for=3y".as_bytes()).unwrap();
        let reason = Field::line("reason", "Why", &mut sent).at_most(3);
        assert_eq!(
            (reason.value.as_str(), reason.error.as_deref()),
            ("größer", Some("at most 3 characters; these are 6"))
        );
        assert!(Field::tick("public", "Public", &mut sent).error.is_some());
        assert!(Field::choice("for", "For", &[("1h", "an hour")], &mut sent).error.is_some());
        assert!(Field::line("none", "", &mut sent).required("write it").error.is_some());
    }
}
