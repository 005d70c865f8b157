//! Presets: those that come with minder, and those of the rule files, which go before.

use super::decode::{self, Reader};
use super::diagnostic::{Diagnostic, Place, listed, nearest, quoted};
use super::plan::Builder;
use super::tree::{Key, Node, Value};
use crate::model::template::Format;
use crate::model::{Preset, Secret, WebhookSpec, body_format};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// The files of those that come with minder.
const FILES: &[&str] = &[
    include_str!("../../rules/presets/alertmanager.yaml"),
    include_str!("../../rules/presets/cloudevents.yaml"),
    include_str!("../../rules/presets/discord.yaml"),
    include_str!("../../rules/presets/gotify.yaml"),
    include_str!("../../rules/presets/matrix.yaml"),
    include_str!("../../rules/presets/mattermost.yaml"),
    include_str!("../../rules/presets/ntfy.yaml"),
    include_str!("../../rules/presets/opsgenie.yaml"),
    include_str!("../../rules/presets/pagerduty.yaml"),
    include_str!("../../rules/presets/slack.yaml"),
    include_str!("../../rules/presets/teams.yaml"),
    include_str!("../../rules/presets/telegram.yaml"),
];

/// Those that come with minder, by name. A test reads every file as a rule file, so that none is left out here.
static BUILT_IN: LazyLock<BTreeMap<String, Arc<Preset>>> = LazyLock::new(|| {
    #[derive(Deserialize)]
    struct File {
        presets: BTreeMap<String, Arc<Preset>>,
    }
    FILES.iter().filter_map(|text| serde_yaml::from_str::<File>(text).ok()).flat_map(|file| file.presets).collect()
});

impl<'a> Builder<'a> {
    /// Reads the presets of all files.
    pub(super) fn presets(&mut self, trees: &[&'a Node]) {
        self.presets.clone_from(&BUILT_IN);
        let mut seen: BTreeMap<&str, Place> = BTreeMap::new();
        for (key, node) in self.entries(trees, "presets", "a preset") {
            self.well_named(&key.text, key.place, "a preset", "._-");
            if let Some(first) = seen.insert(&key.text, key.place) {
                self.twice("preset", key, first);
                continue;
            }
            let preset =
                decode::read(node, key.place, &mut self.found, |reader: Reader<'_>| Preset::deserialize(reader));
            let Some(preset) = preset else {
                self.bad_presets.insert(&key.text);
                continue;
            };
            self.preset_templates(node, &preset);
            self.presets.insert(key.text.clone(), Arc::new(preset));
        }
    }

    fn preset_templates(&mut self, node: &Node, preset: &Preset) {
        let sample = |name: &String| preset.params[name].default.clone().unwrap_or_else(|| format!("a-{name}"));
        let with: BTreeMap<String, String> = preset.params.keys().map(|name| (name.clone(), sample(name))).collect();
        if let Some((_, url)) = node.get("url") {
            self.message_template(url, Format::Text, &with);
        }
        if let Some((_, Node { value: Value::Map(headers), .. })) = node.get("headers") {
            headers.iter().for_each(|(_, header)| self.message_template(header, Format::Text, &with));
        }
        if let Some((_, body)) = node.get("body") {
            let headers = preset.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            self.message_template(body, body_format(headers), &with);
        }
    }

    /// Looks the preset of a webhook up, and reports what is wrong with its parameters.
    pub(super) fn preset_of(&mut self, keys: &Node, webhook: &mut WebhookSpec) {
        let (Some(name), Some((_, at))) = (&webhook.preset, keys.get("preset")) else { return };
        let Some(preset) = self.presets.get(name).cloned() else {
            if !self.incomplete && !self.bad_presets.contains(name.as_str()) {
                let diagnostic = Diagnostic::new(at.place, format!("there is no preset named {}", quoted(name)));
                let all = listed(self.presets.keys().map(String::as_str));
                let help = match nearest(name, self.presets.keys().map(String::as_str)) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("the presets are {all}; your own stand under the top-level `presets`"),
                };
                self.found.push(diagnostic.help(help));
            }
            return;
        };
        let entries: &[(Key, Node)] = match keys.get("with") {
            Some((_, Node { value: Value::Map(entries), .. })) => entries,
            _ => &[],
        };
        let known = || preset.params.keys().map(String::as_str);
        for (key, node) in entries {
            let Some(param) = preset.params.get(&key.text) else {
                let message = format!("the preset `{name}` has no parameter {}", quoted(&key.text));
                let all = format!("its parameters are {}", listed(known()));
                let help = match nearest(&key.text, known()) {
                    Some(meant) => format!("did you mean `{meant}`? ({all})"),
                    None => all,
                };
                self.found.push(Diagnostic::new(key.place, message).help(help));
                continue;
            };
            if param.secret && webhook.with.get(&key.text).is_some_and(|given| !given.is_secret()) {
                let mut diagnostic = Diagnostic::new(node.place, Secret::NOT_HERE);
                diagnostic.conceal = true;
                self.found.push(diagnostic);
            }
        }
        for (param, declared) in &preset.params {
            if declared.default.is_none() && !webhook.with.contains_key(param) {
                let message = format!("the preset `{name}` needs its parameter `{param}`: {}", declared.about);
                let value = if declared.secret {
                    format!("{{ env: {} }}", format!("{name}_{param}").to_uppercase().replace(['-', '.'], "_"))
                } else {
                    "..".to_owned()
                };
                let help = format!("add it: `with: {{ {param}: {value} }}`");
                self.found.push(Diagnostic::new(at.place, message).help(help));
            }
        }
        webhook.known = Some(preset);
    }

    /// Reports what is wrong with the templates of a notifier.
    pub(super) fn notifier_templates(&mut self, keys: &Node, webhook: Option<&WebhookSpec>) {
        let format = webhook.map_or(Format::Text, WebhookSpec::format);
        let with = webhook.map(WebhookSpec::parameters).unwrap_or_default();
        for name in ["subject", "body"] {
            if let Some((_, node)) = keys.get(name) {
                self.message_template(node, format, &with);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Env, Sources, parse};

    /// Each file alone, and a notifier without its parameters: whatever is wrong with it otherwise would be found.
    #[test]
    fn every_preset_that_comes_with_minder_is_a_good_one() {
        let mut names = Vec::new();
        for entry in std::fs::read_dir("rules/presets").unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(FILES.contains(&text.as_str()), "{} is not built in", path.display());
            let service = "services:\n  web:\n    checks: [{ process: { name: web } }]\n";
            let found = parse(&Sources::from_text("preset.yaml", &format!("{text}{service}"), &Env::default()));
            assert_eq!(found.map(drop), Ok(()), "{}", path.display());
            names.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
        }
        names.sort();
        assert_eq!(names, BUILT_IN.keys().cloned().collect::<Vec<_>>(), "a file is named as its preset");
    }
}
