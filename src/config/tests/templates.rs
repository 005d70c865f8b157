//! What templates become.

use super::{env, explained, plan};
use crate::config::{Sources, parse, render};

const TEMPLATES: &str = r#"
version: 1
notifiers:
  ops: { exec: { command: [/bin/true] } }
  web: { exec: { command: [/bin/true] } }
templates:
  web-app:
    params:
      name: {}
      port: { default: 8080, about: where it listens }
      limit: { default: 500MB }
      verify: { default: true }
      path: { default: "" }
    description: "${name} on ${port}, $${HOME} $5 ${path}."
    group: front
    tags: [app, "${name}"]
    notify: [ops]
    control: { runit: "${name}" }
    restart: { limit: 3 in 10m, retry: 1h }
    checks:
      - process: { pidfile: "/run/${name}.pid" }
      - http: { url: "http://127.0.0.1:${port}/${path}", bearer: { env: TOKEN }, tls: { verify: "${verify}" } }
        every: 30s
      - file: /etc/${name}.conf
    rules:
      - process.down -> restart
      - { name: memory, when: "process.memory > ${limit}", for: 5m }
"#;

pub(super) fn with(services: &str) -> String {
    format!("{TEMPLATES}services:\n{services}")
}

#[test]
fn a_template_is_put_under_the_keys_of_a_service() {
    let text = with(
        r#"
  shop:
    use: web-app
    with: { name: shop, verify: true }
  blog:
    use: web-app
    with: { name: blog, port: 8081, verify: false, path: "a: [b" }
    tags: [words]
    notify: [web]
    restart: { retry: 2h }
    checks:
      - http: { url: http://127.0.0.1/ }
      - system:
    rules:
      - { name: memory, when: process.memory > 1GB, for: 1m }
      - system.cpu > 90% for 5m -> notify
"#,
    );
    let used = plan(&text);
    let written = plan(&with(
        r#"
  shop:
    description: "shop on 8080, ${HOME} $5 ."
    group: front
    tags: [app, shop]
    notify: [ops]
    control: { runit: shop }
    restart: { limit: 3 in 10m, retry: 1h }
    checks:
      - process: /run/shop.pid
      - http: { url: http://127.0.0.1:8080/, bearer: { env: TOKEN }, tls: { verify: true } }
        every: 30s
      - file: /etc/shop.conf
    rules:
      - process.down -> restart
      - { name: memory, when: process.memory > 500MB, for: 5m }
  blog:
    description: "blog on 8081, ${HOME} $5 a: [b."
    group: front
    tags: [app, blog, words]
    notify: [ops, web]
    control: { runit: blog }
    restart: { retry: 2h }
    checks:
      - process: /run/blog.pid
      - http: { url: http://127.0.0.1/ }
      - file: /etc/blog.conf
      - system:
    rules:
      - process.down -> restart
      - { name: memory, when: process.memory > 1GB, for: 1m }
      - system.cpu > 90% for 5m -> notify
"#,
    ));
    // A service that is equal keeps its state when rules are read again: it does not matter how it was written.
    assert_eq!(used.services, written.services);
    let explained = explained(&text, "shop");
    assert!(explained.contains("pidfile: /run/shop.pid") && !explained.contains("${name}"), "{explained}");
}

#[test]
fn a_value_by_itself_is_a_number_where_one_is_wanted_and_never_more_than_a_text() {
    let text = |value: &str| {
        format!(
            "version: 1\ntemplates:\n  t:\n    params: [n]\n    checks: [{{ http: {{ url: http://a/, redirects: \"${{n}}\" }} }}]\n\
             services: {{ s: {{ use: t, with: {{ n: {value} }} }} }}\n"
        )
    };
    let redirects = |value: &str| {
        let sources = Sources::from_text("a.yaml", &text(value), &env());
        parse(&sources)
            .map(|plan| format!("{:?}", plan.services[0].checks[0].kind))
            .map_err(|found| found[0].message.clone())
    };
    assert!(redirects("3").unwrap().contains("redirects: 3"));
    assert_eq!(redirects("'3'").unwrap_err(), "expected a whole number, which has no quotes, found `3`");
    assert_eq!(redirects("\"3 }, timeout: {\"").unwrap_err(), "expected a whole number, found `3 }, timeout: {`");
}

#[test]
fn templates_cannot_multiply_without_end() {
    let long = "x".repeat(400_000);
    let puts = "${x}".repeat(100_000);
    let many: String = (0..20_000).map(|i| format!("  s{i}: {{ use: t }}\n")).collect();
    let tags = "a, ".repeat(1000);
    for text in [
        format!(
            "version: 1\ntemplates:\n  t: {{ params: [x], description: \"{puts}\" }}\nservices: {{ s: {{ use: t, with: {{ x: {long} }} }} }}\n"
        ),
        format!("version: 1\ntemplates:\n  t: {{ tags: [{tags}] }}\nservices:\n{many}"),
        format!("version: 1\ntemplates:\n  t: {{ description: {long} }}\nservices:\n{many}"),
        format!("version: 1\nx: &x {long}\ny: [{}]\n", "*x, ".repeat(100_000)),
    ] {
        let sources = Sources::from_text("a.yaml", &text, &env());
        let found = parse(&sources).unwrap_err();
        assert!(found.iter().any(|d| d.message.contains("more than 500000 values")), "{:?}", found[0]);
        render(&found, &sources, false);
    }
}
