//! Holds an answer against what a check expects.

use super::Answer;
use crate::model::clip;
use crate::model::kinds::Expect;
use crate::probe::words::Trouble;
use serde_json::Value;

/// Whether the answer is as expected.
pub(super) fn judge(expect: &Expect, answer: &Answer) -> Result<(), Trouble> {
    let status = answer.status.map_or(0, |status| status.as_u16());
    if !expect.allows(status) {
        let expected: Vec<String> = expect.status.iter().map(ToString::to_string).collect();
        let expected = if expected.is_empty() { "2xx or 3xx".to_owned() } else { expected.join(" or ") };
        return Err(Trouble::failed(format!("status {status}, expected {expected}")));
    }
    for (name, pattern) in &expect.headers {
        let mut values = answer.headers.get_all(name.as_str()).iter().peekable();
        if values.peek().is_none() {
            return Err(Trouble::failed(format!("the header {name} is missing")));
        }
        if !values.any(|value| pattern.is_match(&String::from_utf8_lossy(value.as_bytes()))) {
            return Err(Trouble::failed(format!("the header {name} does not match \"{}\"", pattern.as_str())));
        }
    }
    if !expect.wants_body() {
        return Ok(());
    }
    let cut = if answer.cut { " in its first 1 MiB" } else { "" };
    let body = String::from_utf8_lossy(&answer.body);
    if let Some(text) = expect.body.as_ref().filter(|text| !body.contains(text.as_str())) {
        return Err(Trouble::failed(format!("the body does not contain \"{}\"{cut}", clip(text, 80))));
    }
    if let Some(pattern) = expect.matches.as_ref().filter(|pattern| !pattern.is_match(&body)) {
        return Err(Trouble::failed(format!("the body does not match \"{}\"{cut}", clip(pattern.as_str(), 80))));
    }
    if expect.json.is_empty() {
        return Ok(());
    }
    let Ok(json) = serde_json::from_slice::<Value>(&answer.body) else {
        return Err(Trouble::failed(format!("the body is not JSON{cut}")));
    };
    for (pointer, expected) in &expect.json {
        let shown = clip(&expected.to_string(), 60);
        match json.pointer(pointer) {
            None => return Err(Trouble::failed(format!("`{pointer}` is missing in the JSON, expected {shown}"))),
            Some(value) if same(value, expected) => {}
            Some(value) => {
                let value = clip(&value.to_string(), 60);
                return Err(Trouble::failed(format!("`{pointer}` is {value}, expected {shown}")));
            }
        }
    }
    Ok(())
}

/// Whether two values of JSON are the same: 1 is 1.0.
fn same(a: &Value, b: &Value) -> bool {
    a == b || matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a == b)
}
