//! Metrics as text, in the two forms that Prometheus reads.
//!
//! OpenMetrics: <https://prometheus.io/docs/specs/om/open_metrics_spec/>. The older one:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The form of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// OpenMetrics 1.0.
    Open,
    /// What Prometheus had before, 0.0.4.
    Older,
}

const OPEN: &str = "application/openmetrics-text";

impl Form {
    /// The one that is asked for; the older one, which everybody reads, if none is.
    pub fn asked_for(headers: &HeaderMap) -> Form {
        let accepted = headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
        let is_open = |range: &str| {
            let mut parts = range.split(';').map(str::trim);
            parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case(OPEN))
                && !parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0)))
        };
        if accepted.flat_map(|accept| accept.split(',')).any(is_open) { Form::Open } else { Form::Older }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Form::Open => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Form::Older => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// What a family of samples is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// A value that comes and goes.
    Gauge,
    /// A value that never grows less; its name ends in `_total`.
    Counter,
    /// Something that is said by its labels; its name ends in `_info`.
    Info,
}

/// The units that a name may end in, before `_total`.
const UNITS: [&str; 3] = ["seconds", "bytes", "ratio"];

struct Family {
    sort: Sort,
    help: Cow<'static, str>,
    samples: String,
}

/// All families, in the order of their names.
pub(super) struct Families {
    form: Form,
    all: BTreeMap<Cow<'static, str>, Family>,
}

impl Families {
    pub fn new(form: Form) -> Families {
        Families { form, all: BTreeMap::new() }
    }

    /// A value that comes and goes.
    pub fn gauge(&mut self, name: &'static str, help: &'static str, labels: &[(&str, &str)], value: f64) {
        self.add(Sort::Gauge, name.into(), || help.into(), labels, value);
    }

    /// A value that never grows less.
    pub fn counter(&mut self, name: &'static str, help: &'static str, labels: &[(&str, &str)], value: f64) {
        self.add(Sort::Counter, name.into(), || help.into(), labels, value);
    }

    /// Adds a sample. No two of a family have the same labels.
    pub fn add(
        &mut self,
        sort: Sort,
        name: Cow<'static, str>,
        help: impl FnOnce() -> Cow<'static, str>,
        labels: &[(&str, &str)],
        value: f64,
    ) {
        let family =
            self.all.entry(name.clone()).or_insert_with(|| Family { sort, help: help(), samples: String::new() });
        let out = &mut family.samples;
        out.push_str(&name);
        for (i, (label, value)) in labels.iter().enumerate() {
            out.push(if i == 0 { '{' } else { ',' });
            out.push_str(label);
            out.push_str("=\"");
            escape(out, value, true);
            out.push('"');
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = match value {
            _ if value.is_nan() => writeln!(out, "{end} NaN"),
            _ if value.is_infinite() => writeln!(out, "{end} {}Inf", if value > 0.0 { '+' } else { '-' }),
            _ => writeln!(out, "{end} {value}"),
        };
    }

    /// All of it.
    pub fn text(self) -> String {
        let mut out = String::with_capacity(self.all.values().map(|family| family.samples.len() + 200).sum());
        for (name, family) in &self.all {
            let (of, sort) = match (self.form, family.sort) {
                (_, Sort::Gauge) => (&**name, "gauge"),
                (Form::Older, Sort::Counter) => (&**name, "counter"),
                (Form::Older, Sort::Info) => (&**name, "gauge"),
                // The family goes without what its samples end in.
                (Form::Open, Sort::Counter) => (name.trim_end_matches("_total"), "counter"),
                (Form::Open, Sort::Info) => (name.trim_end_matches("_info"), "info"),
            };
            let _ = writeln!(out, "# TYPE {of} {sort}");
            let unit = UNITS.iter().find(|unit| of.strip_suffix(**unit).is_some_and(|rest| rest.ends_with('_')));
            if let (Form::Open, Some(unit)) = (self.form, unit) {
                let _ = writeln!(out, "# UNIT {of} {unit}");
            }
            let _ = write!(out, "# HELP {of} ");
            escape(&mut out, &family.help, self.form == Form::Open);
            out.push('\n');
            out.push_str(&family.samples);
        }
        if self.form == Form::Open {
            out.push_str("# EOF\n");
        }
        out
    }
}

fn escape(out: &mut String, text: &str, quotes: bool) {
    // Nearly every text is as it should be, and there are a hundred thousand.
    if text.bytes().all(|b| matches!(b, b' '..=b'~') && !matches!(b, b'\\' | b'"')) {
        return out.push_str(text);
    }
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            // Of no use in a label, and not everybody who shows one leaves them out.
            c if c.is_control() => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(form: Form) -> String {
        let mut families = Families::new(form);
        families.counter("b_seconds_total", "Of \"b\".", &[("x", "1\n\"\\\u{1b}é"), ("y", "")], 1.5);
        families.counter("b_seconds_total", "Of \"b\".", &[("x", "2"), ("y", "")], 1e21);
        families.gauge("a", "Line\nline \\.", &[], f64::NEG_INFINITY);
        families.gauge("a_ratio", "A.", &[("x", "")], f64::NAN);
        families.add(Sort::Info, "c_info".into(), || "C.".into(), &[("v", "1")], 1.0);
        families.text()
    }

    #[test]
    fn both_forms_are_as_they_should_be() {
        let samples = [
            "a -Inf\n",
            "a_ratio{x=\"\"} NaN\n",
            "b_seconds_total{x=\"1\\n\\\"\\\\\u{fffd}é\",y=\"\"} 1.5\nb_seconds_total{x=\"2\",y=\"\"} 1000000000000000000000\n",
            "c_info{v=\"1\"} 1\n",
        ];
        let with = |heads: [&str; 4], end| {
            heads.iter().zip(samples).map(|(head, samples)| format!("{head}{samples}")).collect::<String>() + end
        };
        let open = [
            "# TYPE a gauge\n# HELP a Line\\nline \\\\.\n",
            "# TYPE a_ratio gauge\n# UNIT a_ratio ratio\n# HELP a_ratio A.\n",
            "# TYPE b_seconds counter\n# UNIT b_seconds seconds\n# HELP b_seconds Of \\\"b\\\".\n",
            "# TYPE c info\n# HELP c C.\n",
        ];
        assert_eq!(text(Form::Open), with(open, "# EOF\n"));
        let older = [
            "# TYPE a gauge\n# HELP a Line\\nline \\\\.\n",
            "# TYPE a_ratio gauge\n# HELP a_ratio A.\n",
            "# TYPE b_seconds_total counter\n# HELP b_seconds_total Of \"b\".\n",
            "# TYPE c_info gauge\n# HELP c_info C.\n",
        ];
        assert_eq!(text(Form::Older), with(older, ""));
    }

    #[test]
    fn the_form_is_the_one_that_is_asked_for() {
        for (accept, form) in [
            (None, Form::Older),
            (Some("*/*"), Form::Older),
            (Some("text/plain"), Form::Older),
            (Some("text/plain;version=0.0.4, Application/OpenMetrics-Text; version=1.0.0;q=0.5"), Form::Open),
            (Some("application/openmetrics-text;q=0"), Form::Older),
            (Some("application/openmetrics-textual"), Form::Older),
        ] {
            let headers = accept.map(|accept| (ACCEPT, accept.parse().unwrap())).into_iter().collect();
            assert_eq!(Form::asked_for(&headers), form, "{accept:?}");
        }
    }
}
