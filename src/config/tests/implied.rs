//! Default rules: which there are, and how they are explained.

use super::*;

/// The names of the default rules of `job`, which has a heartbeat and these rules.
fn implied(rules: &str) -> Vec<String> {
    let text = format!("version: 1\nservices:\n  job:\n    checks: [heartbeat: 1h]\n    rules: [{rules}]\n");
    let implied = plan(&text).services[0].rules.iter().filter(|rule| rule.implied).cloned().collect::<Vec<_>>();
    implied.iter().for_each(|rule| assert_eq!(rule.when.to_string(), *rule.name));
    implied.iter().map(|rule| format!("{} {}", rule.name, rule.severity)).collect()
}

#[test]
fn a_heartbeat_has_a_default_rule_for_each_thing_that_can_be_wrong_with_it() {
    let (missing, failed, overrun) =
        ("heartbeat.missing critical", "heartbeat.failed critical", "heartbeat.overrun critical");
    for (rules, names) in [
        ("", &[missing, failed, overrun][..]),
        ("heartbeat.missing for 5m -> notify", &[failed, overrun]),
        ("heartbeat.missing or heartbeat.failed -> notify", &[overrun]),
        ("{ when: heartbeat.age > 2h, until: not heartbeat.missing }", &[failed, overrun]),
        ("heartbeat.age > 2h -> notify", &[missing, failed, overrun]),
        ("heartbeat.missing -> notify, heartbeat.failed -> notify, heartbeat.overrun -> notify", &[]),
    ] {
        assert_eq!(implied(rules), names, "{rules}");
    }
}

#[test]
fn what_is_wrong_with_a_heartbeat_is_kept_whoever_judges_it() {
    let rules = "heartbeat.missing -> notify, heartbeat.failed -> notify, heartbeat.overrun -> notify";
    for rules in ["", rules] {
        let text = format!("version: 1\nservices:\n  job:\n    checks: [heartbeat: 1h]\n    rules: [{rules}]\n");
        let kept: Vec<u8> = plan(&text).services[0].checks[0].keep.iter().map(|id| id.0).collect();
        assert_eq!(kept, [0, 1, 2], "{rules}");
    }
}

#[test]
fn default_rules_are_explained_by_what_would_replace_them() {
    let text = "version: 1\nservices:\n  job:\n    checks: [heartbeat: 1h, { file: /a }]\n    rules: [heartbeat.failed -> notify]\n";
    let words = explained(text, "job").replace("\n#     ", " ");
    for line in [
        "`heartbeat.missing`, critical: as soon as no beat came in time (`heartbeat.missing`); no rule mentions this metric",
        "`file.missing`, warning: as soon as there is no such file (`file.missing`); no rule mentions this check",
        "- name: heartbeat.overrun # implied: no rule mentions `heartbeat.overrun`",
    ] {
        assert!(words.split_whitespace().collect::<Vec<_>>().join(" ").contains(line), "{line}: {words}");
    }
}
