//! A text as a one-line rule: what is taken for good means the same when it is written out in the long form.

#![no_main]

fn rules(rule: &str) -> String {
    // In double quotes nearly everything can be written, and control characters as escapes.
    let mut quoted = String::new();
    for c in rule.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                quoted.push_str(&format!("\\U{:08x}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    format!(
        "version: 1\nnotifiers: {{ ops: {{ exec: {{ command: [/bin/true] }} }} }}\nservices:\n  a:\n    \
         control: {{ command: {{ start: [/bin/true] }} }}\n    checks:\n      - process: {{ name: a }}\n      \
         - http: http://127.0.0.1/\n      - file: /a\n      - system:\n    rules:\n      - {quoted}\n",
        quoted = format_args!("\"{quoted}\"")
    )
}

libfuzzer_sys::fuzz_target!(|rule: &str| {
    let Ok(plan) = minder_fuzz::read(&rules(rule)) else { return };
    let Some(first) = plan.services[0].rules.first() else { return };
    let hold = first.hold.to_string();
    let hold = if hold.is_empty() { String::new() } else { format!(" for {hold}") };
    let again = format!("{}{hold} -> notify", first.when);
    let again = minder_fuzz::read(&rules(&again)).unwrap_or_else(|found| panic!("{again}: {found:?}"));
    let again = &again.services[0].rules[0];
    assert_eq!((&again.when, again.hold), (&first.when, first.hold));
});
