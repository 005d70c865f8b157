//! A text as the value of a parameter, and as a text of a template: neither becomes more than a text.

#![no_main]

use minder_fuzz::read;

/// A text as YAML can hold it in double quotes.
fn quoted(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|c| match c {
            '"' | '\\' => format!("\\{c}"),
            c if c.is_ascii_alphanumeric() || " ${}[]:#.,-/<>=".contains(c) => c.to_string(),
            c => format!("\\U{:08x}", u32::from(c)),
        })
        .collect();
    format!("\"{escaped}\"")
}

libfuzzer_sys::fuzz_target!(|texts: (&str, &str)| {
    let (value, text) = (quoted(texts.0), quoted(texts.1));
    let rules = format!(
        "version: 1\ntemplates:\n  t:\n    params: {{ x: {{ about: {text} }}, y: {{ default: {value} }} }}\n    \
         description: \"${{x}}${{y}}\"\n    tags: [{text}]\n    control: {{ runit: \"${{x}}\" }}\n    checks:\n      \
         - process: {{ name: \"${{x}}\", match: {text} }}\n        name: ${{y}}\n      - http: ${{x}}\n      \
         - file: /${{x}}\n        every: ${{y}}\n    rules:\n      - ${{x}}.down for 3 times -> restart\n      \
         - file.missing for ${{y}} -> ${{x}}\nservices:\n  a: {{ use: t, with: {{ x: {value} }} }}\n  \
         b: {{ use: t, with: {{ x: {text} }}, checks: [{{ system: }}] }}\n"
    );
    if let Ok(plan) = read(&rules) {
        assert_eq!(plan.services.len(), 2);
        assert_eq!(plan.services[0].checks.len(), 4);
        assert_eq!(plan.services[1].checks.len(), 5);
        assert!(plan.services[0].rules.len() >= 2);
    }
});
