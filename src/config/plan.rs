//! The whole plan: the top-level keys of every file, notifiers, secrets.

use super::depends::Needed;
use super::diagnostic::{Diagnostic, Place, nearest, quoted};
use super::expand::Traced;
use super::maintenance::Known;
use super::source::Sources;
use super::template::Template;
use super::tree::{Key, Node, Value};
use crate::model::{
    ByteSize, Defaults, HistoryLimits, Maintenance, Name, Notifier, Plan, Preset, Service, Span, Times, Written,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub(super) const KEYS: &[&str] = &[
    "version",
    "include",
    "defaults",
    "mail",
    "notifiers",
    "presets",
    "templates",
    "services",
    "services_from",
    "dashboard",
    "history",
    "boot_grace",
    "brake",
    "maintenance",
];
pub(super) const DEFAULTS: &[&str] =
    &["every", "timeout", "notify", "escalate", "flapping", "grace", "settle", "restart"];
const BOOT_GRACE: Duration = Duration::from_secs(60);
const BRAKE: Times = Times { count: 10, within: Duration::from_secs(60) };
/// With so many mistakes found, further services are not looked at.
const ENOUGH: usize = 1000;

/// The sources as a plan; or everything that is wrong with them, in the order of the files.
pub fn parse(sources: &Sources) -> Result<Plan, Vec<Diagnostic>> {
    let mut builder = Builder::new(sources, sources.found.clone());
    let plan = builder.plan();
    let mut found = builder.found;
    if found.is_empty() {
        return Ok(plan);
    }
    // What is no YAML has been reported first; that it is no rule either is not news.
    let known: BTreeSet<Place> = sources.found.iter().filter_map(|diagnostic| diagnostic.at).collect();
    let rest = found.split_off(sources.found.len());
    found.extend(rest.into_iter().filter(|diagnostic| diagnostic.at.is_none_or(|at| !known.contains(&at))));
    found.sort_by_key(|diagnostic| diagnostic.at);
    // An alias repeats the mistakes of its anchor.
    found.dedup();
    Err(found)
}

/// Where the lines of each file begin: to be asked about thousands of places.
struct Lines(Vec<Vec<usize>>);

impl Lines {
    fn of(sources: &Sources) -> Lines {
        let begins = |text: &String| text.match_indices('\n').map(|(at, _)| at).collect();
        Lines(sources.files.iter().map(|file| begins(&file.text)).collect())
    }

    fn written(&self, place: Place, service: &Node) -> Written {
        let ends = self.0.get(place.file).map_or(&[][..], Vec::as_slice);
        let template = service.get("use").and_then(|(_, word)| word.text()).map(Name::from);
        Written { file: place.file, line: ends.partition_point(|end| *end < place.start) + 1, template }
    }
}

/// Whether mail can leave.
#[derive(PartialEq)]
pub(super) enum Mails {
    None,
    /// There is a key, good or bad: what is bad about it has been reported.
    Given,
}

/// Builds a plan, and collects what is wrong.
pub(super) struct Builder<'a> {
    pub sources: &'a Sources,
    pub found: Vec<Diagnostic>,
    pub notifiers: BTreeMap<Name, Arc<Notifier>>,
    pub defaults: Defaults,
    /// Every notifier that has been named, good or bad.
    pub named: BTreeMap<&'a str, Place>,
    pub mail: Mails,
    pub presets: BTreeMap<String, Arc<Preset>>,
    /// The names of those that cannot be read, which has been reported.
    pub bad_presets: BTreeSet<&'a str>,
    /// What each service needs, for when all of them are known.
    pub needs: Vec<Needed>,
    /// A file could not be read: what is missing may stand in it, and is not reported.
    pub incomplete: bool,
    /// The secrets of heartbeats, each with where it was first given.
    pub secrets: BTreeMap<String, Place>,
    /// The public names as they stand in addresses, each with where it was first given.
    pub publics: BTreeMap<String, Place>,
    pub templates: BTreeMap<&'a str, Template<'a>>,
    /// The names of those that cannot be read at all, which has been reported.
    pub bad_templates: BTreeSet<&'a str>,
    /// The mistakes that were found in templates, by place and message.
    pub traced: BTreeMap<(Place, String), Traced>,
    /// So many more values may be made of templates.
    pub nodes_left: usize,
    /// What is read lacks a part that a service may add, or a template that could not be found.
    pub alone: bool,
    /// A parameter of what is read is missing: a check may have any name.
    pub vague: bool,
    /// What is left out, and why; and what has a trap.
    pub notes: Vec<String>,
}

impl<'a> Builder<'a> {
    /// Adds to what was found already.
    pub(super) fn new(sources: &'a Sources, found: Vec<Diagnostic>) -> Builder<'a> {
        Builder {
            sources,
            found,
            notifiers: BTreeMap::new(),
            named: BTreeMap::new(),
            defaults: Defaults::default(),
            mail: Mails::None,
            presets: BTreeMap::new(),
            bad_presets: BTreeSet::new(),
            needs: Vec::new(),
            incomplete: !sources.found.is_empty(),
            publics: BTreeMap::new(),
            secrets: BTreeMap::new(),
            templates: BTreeMap::new(),
            bad_templates: BTreeSet::new(),
            traced: BTreeMap::new(),
            nodes_left: sources.nodes_left,
            alone: false,
            vague: false,
            notes: sources.listing.notes.clone(),
        }
    }

    fn plan(&mut self) -> Plan {
        let sources = self.sources;
        let trees: Vec<&Node> = sources.files.iter().filter_map(|file| file.tree.as_ref()).collect();
        let mut trees: Vec<&Node> = trees.into_iter().filter(|tree| self.top(tree)).collect();
        trees.extend(&sources.listing.tree);
        let mail = self.single(&trees, "mail").and_then(|(key, node)| self.mail(key, node));
        self.presets(&trees);
        for (key, node) in self.entries(&trees, "notifiers", "a notifier") {
            if self.unique_name("notifier", key) {
                self.named_notifier(key, node);
            }
        }
        if let Some((_, node)) = self.single(&trees, "defaults") {
            self.defaults(node);
        }
        let dashboard = self.single(&trees, "dashboard").map(|(_, node)| self.dashboard(node));
        let history = self.single(&trees, "history").map(|(_, node)| self.history(node));
        let boot_grace = self.single(&trees, "boot_grace").and_then(|(key, node)| self.read::<Span>(key, node));
        let brake = self.single(&trees, "brake").and_then(|(key, node)| self.read::<Times>(key, node));
        self.templates(&trees);
        let mut services: Vec<Arc<Service>> = Vec::new();
        let mut seen: BTreeMap<&str, Place> = BTreeMap::new();
        let (mut written, lines) = (BTreeMap::new(), Lines::of(sources));
        for (key, node) in self.entries(&trees, "services", "a service") {
            self.well_named(&key.text, key.place, "a service", "._-");
            if let Some(first) = seen.get(key.text.as_str()) {
                self.twice("service", key, *first);
            } else {
                seen.insert(&key.text, key.place);
            }
            if let Some(service) = self.service(key, node) {
                written.insert(Arc::clone(&service.name), lines.written(key.place, node));
                services.push(Arc::new(service));
            }
            if self.found.len() > ENOUGH {
                break;
            }
        }
        if self.found.len() <= ENOUGH {
            self.unused_templates();
            self.check_needs(&seen);
        }
        let good = self.found.is_empty().then_some(services.as_slice());
        let known = Known { services: &seen, good };
        let mut maintenance: BTreeMap<Name, Arc<Maintenance>> = BTreeMap::new();
        let mut first: BTreeMap<&str, Place> = BTreeMap::new();
        for (key, node) in self.entries(&trees, "maintenance", "a maintenance") {
            if let Some(first) = first.insert(&key.text, key.place) {
                self.twice("maintenance", key, first);
            }
            let read = self.maintenance(key, node, &known);
            maintenance.extend(read.map(|one| (one.name.clone(), Arc::new(one))));
        }
        let dashboard = dashboard.unwrap_or_default();
        self.note_of_status(&dashboard, &services);
        if seen.is_empty() && self.found.is_empty() && sources.listing.directories.is_empty() {
            let help = match self.templates.is_empty() {
                true => "add one under the top-level `services`",
                false => "add one under the top-level `services` that uses a template: `use: NAME`",
            };
            self.found.push(Diagnostic::nowhere("there is no service in these rules").help(help));
        }
        Plan {
            maintenance: maintenance.into_values().collect(),
            files: sources.files.iter().map(|file| file.path.clone()).collect(),
            services,
            written,
            notifiers: std::mem::take(&mut self.notifiers),
            mail,
            dashboard,
            history: history.unwrap_or_default(),
            boot_grace: boot_grace.map_or(BOOT_GRACE, |span| span.0),
            brake: brake.unwrap_or(BRAKE),
            notify: self.defaults.notify.clone(),
            defaults: std::mem::take(&mut self.defaults),
            directories: sources.listing.directories.clone(),
            notes: std::mem::take(&mut self.notes),
        }
    }

    /// Whether a file is of this version, and its top-level keys are known.
    fn top(&mut self, tree: &'a Node) -> bool {
        let Value::Map(entries) = &tree.value else {
            let message = format!("a rule file is a map, and this is {}", tree.describe());
            self.found.push(Diagnostic::new(tree.place, message).help("it begins with `version: 1`, then `services:`"));
            self.incomplete = true;
            return false;
        };
        match tree.get("version") {
            None if entries.iter().any(|(key, _)| nearest(&key.text, ["version"]).is_some()) => {}
            None => {
                let first = entries.first().map_or(tree.place, |(key, _)| key.place);
                let diagnostic = Diagnostic::new(first, "the key `version` is missing");
                self.found.push(diagnostic.help("begin the file with `version: 1`"));
            }
            Some((_, node)) => match node.text() {
                Some("1") => {}
                Some(later) if later.bytes().all(|b| b.is_ascii_digit()) && later.trim_start_matches('0') > "1" => {
                    let message = format!("this file is written in version {} of the rule language", quoted(later));
                    let diagnostic = Diagnostic::new(node.place, message.replace('`', ""));
                    self.found.push(diagnostic.help(
                        "this minder reads version 1, written `version: 1`; a file of another program is no rule file",
                    ));
                    self.incomplete = true;
                    return false;
                }
                _ => {
                    let message = format!("expected the version of the rule language, `1`, found {}", node.describe());
                    self.found.push(Diagnostic::new(node.place, message).help("write `version: 1`"));
                }
            },
        }
        self.known_keys(entries, "a rule file", KEYS, &[]);
        true
    }

    /// The entry of a key that may stand in one file only.
    fn single(&mut self, trees: &[&'a Node], name: &str) -> Option<(&'a Key, &'a Node)> {
        let mut all = trees.iter().filter_map(|tree| tree.get(name));
        let first = all.next()?;
        for (key, _) in all {
            self.twice("key", key, first.0.place);
        }
        Some(first)
    }

    /// The entries of a map of names, of all files.
    pub(super) fn entries(&mut self, trees: &[&'a Node], name: &str, what: &str) -> Vec<&'a (Key, Node)> {
        let mut all = Vec::new();
        for (key, node) in trees.iter().filter_map(|tree| tree.get(name)) {
            match &node.value {
                Value::Map(entries) => all.extend(entries),
                Value::Seq(_) => {
                    let diagnostic =
                        Diagnostic::new(node.place, format!("expected a map under `{name}`, found a list"));
                    self.found.push(diagnostic.help(format!("each entry is the name of {what}, then its keys")));
                }
                _ => {
                    let message = format!("expected a map under `{name}`, found {}", node.describe());
                    self.found.push(
                        Diagnostic::new(key.place, message)
                            .help(format!("each entry is the name of {what}, then its keys")),
                    );
                }
            }
        }
        all
    }

    pub(super) fn twice(&mut self, what: &str, key: &Key, first: Place) {
        let message = format!("the {what} {} is defined twice", quoted(&key.text));
        self.found.push(Diagnostic::new(key.place, message).label("second").also(first, "first"));
    }

    fn unique_name(&mut self, what: &str, key: &'a Key) -> bool {
        if let Some(first) = self.named.get(key.text.as_str()).copied() {
            self.twice(what, key, first);
            return false;
        }
        self.named.insert(&key.text, key.place);
        self.well_named(&key.text, key.place, "a notifier", "._-");
        true
    }

    fn defaults(&mut self, node: &'a Node) {
        let Some(entries) = self.map(node, "`defaults`") else { return };
        self.known_keys(entries, "`defaults`", DEFAULTS, &[]);
        if let Some(every) = self.every(node) {
            self.defaults.every = every;
        }
        if let Some(timeout) = self.timeout(node) {
            self.defaults.timeout = timeout;
        }
        if let Some((_, list)) = node.get("notify") {
            self.defaults.notify = self.notify(list);
        }
        if let Some((_, steps)) = node.get("escalate") {
            self.defaults.escalate = self.escalate(steps);
        }
        if let Some((_, limits)) = node.get("flapping") {
            self.defaults.flapping = self.flapping(limits, self.defaults.flapping);
        }
        if let Some(grace) = self.value::<Span>(node, "grace") {
            self.defaults.grace = grace.0;
        }
        if let Some(settle) = self.value::<Span>(node, "settle") {
            self.defaults.settle = Some(settle.0);
        }
        if let Some(restart) = self.value(node, "restart") {
            self.defaults.restart = restart;
        }
    }

    /// How often a check is asked.
    pub(super) fn every(&mut self, node: &Node) -> Option<Duration> {
        let every = self.value::<Span>(node, "every")?.0;
        if every < Duration::from_millis(100) {
            let place = node.get("every").map_or(node.place, |(_, node)| node.place);
            self.found.push(Diagnostic::new(place, "a check is asked at most every `100ms`"));
        }
        Some(every)
    }

    /// How long an answer may take.
    pub(super) fn timeout(&mut self, node: &Node) -> Option<Duration> {
        let timeout = self.value::<Span>(node, "timeout")?.0;
        if timeout.is_zero() {
            let place = node.get("timeout").map_or(node.place, |(_, node)| node.place);
            self.found.push(Diagnostic::new(place, "no answer can come in no time"));
        }
        Some(timeout)
    }

    fn history(&mut self, node: &'a Node) -> HistoryLimits {
        let mut limits = HistoryLimits::default();
        let Some(entries) = self.map(node, "`history`") else { return limits };
        self.known_keys(entries, "`history`", &["keep", "max_size"], &[]);
        limits.keep = self.value(node, "keep").unwrap_or(limits.keep);
        if let Some(size) = self.value::<ByteSize>(node, "max_size") {
            limits.max_size = size;
        }
        limits
    }
}
