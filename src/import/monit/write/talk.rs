//! A conversation: what is sent, and what must come back.

use super::super::read::LOGINS;
use super::checks::{Keys, expression};

/// What is sent and expected, in turns.
pub fn steps(said: &[(bool, String)]) -> Result<Vec<Keys>, String> {
    let mut steps: Vec<Keys> = Vec::new();
    for (sent, text) in said {
        if *sent {
            let text = unescaped(text);
            if LOGINS.iter().any(|login| text.to_ascii_uppercase().contains(login)) {
                return Err("it sends a password, which is not copied".to_owned());
            }
            steps.push(Keys::default().text("send", &text));
        } else {
            let text = expression(text)?;
            // What is expected belongs to what was sent last.
            let step = steps.pop_if(|step| !step.has("expect")).unwrap_or_default();
            steps.push(step.text("expect", &text));
        }
    }
    Ok(steps)
}

/// `\r`, `\n`, `\t`, `\0x41` and `\x41` as the characters that they stand for.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let hex = rest.strip_prefix("0x").or_else(|| rest.strip_prefix('x')).and_then(|hex| hex.get(..2));
        if let Some(code) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            out.push(char::from(code));
            rest = rest.strip_prefix("0x").or_else(|| rest.strip_prefix('x')).map_or("", |hex| &hex[2..]);
            continue;
        }
        let Some(c) = rest.chars().next() else { break };
        match c {
            'r' => out.push('\r'),
            'n' => out.push('\n'),
            't' => out.push('\t'),
            c => out.push(c),
        }
        rest = &rest[c.len_utf8()..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_characters() {
        assert_eq!(unescaped(r"a\r\n\0x41\x42\\c\"), "a\r\nAB\\c");
        assert_eq!(unescaped(r"\xé\x4"), "xéx4");
    }

    #[test]
    fn what_is_expected_belongs_to_what_was_sent() {
        let said = [(false, "^220"), (true, "EHLO x\\r\\n"), (false, "250"), (false, "more"), (true, "QUIT")];
        let said = said.map(|(sent, text)| (sent, text.to_owned()));
        let steps: Vec<String> = steps(&said).unwrap().iter().map(Keys::map).collect();
        assert_eq!(
            steps,
            [r#"{ expect: "^220" }"#, r#"{ send: "EHLO x\r\n", expect: "250" }"#, "{ expect: more }", "{ send: QUIT }"]
        );
    }
}
