//! `services_from`: each entry of a supervisor's directory is a service, and what the rules say of it goes on top.
//!
//! The directory is read with the rule files, and its services are put among what those say: the rest of the reading of a
//! plan need not know where a service comes from.

use super::diagnostic::{Diagnostic, Place, listed, nearest, quoted};
use super::keys::is_name;
use super::source::{Sources, service_directories};
use super::tree::{Key, Node, Value};
use crate::model::{AbsPath, clip, plain};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The supervisors that have a directory of services.
pub(super) const SUPERVISORS: &[&str] = &["runit", "s6", "daemontools"];
/// A service of a directory counts for as many values, where these are bounded.
const NODES: usize = 12;
/// The longest name that is shown, in characters.
const SHOWN: usize = 80;

/// What was found in directories.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The directories that were asked for.
    pub directories: Vec<PathBuf>,
    /// Their services that no rule file names, as a rule file would have them.
    pub tree: Option<Node>,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

/// A service of a directory.
struct Found {
    supervisor: String,
    directory: String,
    /// Where the directory is named.
    place: Place,
}

/// Reads the directories that the rule files name, and adds their services.
pub(super) fn add(sources: &mut Sources) {
    let mut named: Vec<(Key, Node)> = Vec::new();
    for (key, node) in sources.files.iter().filter_map(|file| file.tree.as_ref()?.get("services_from")) {
        match &node.value {
            Value::Map(entries) => named.extend(entries.iter().cloned()),
            _ => {
                let message = format!("expected a map of a supervisor and its directory, found {}", node.describe());
                let place = if node.is_empty() { key.place } else { node.place };
                sources
                    .found
                    .push(Diagnostic::new(place, message).help("write, for example, `{ runit: /etc/service }`"));
            }
        }
    }
    let mut seen: BTreeMap<&str, Place> = BTreeMap::new();
    let mut services: BTreeMap<String, Found> = BTreeMap::new();
    for (key, node) in &named {
        if !SUPERVISORS.contains(&key.text.as_str()) {
            sources.found.push(unknown(key));
            continue;
        }
        if let Some(first) = seen.insert(&key.text, key.place) {
            let message = format!("a second directory of {} stands here", key.text);
            let diagnostic = Diagnostic::new(key.place, message).label("second").also(first, "first");
            let help =
                format!("name the services of this one one by one, each with `control: {{ {}: PATH }}`", key.text);
            sources.found.push(diagnostic.help(help));
            continue;
        }
        let path = match node.text().map(str::parse::<AbsPath>) {
            Some(Ok(path)) => path,
            Some(Err(why)) => {
                sources.found.push(Diagnostic::new(node.place, why));
                continue;
            }
            None => {
                let message = format!("expected the directory of {}, found {}", key.text, node.describe());
                let help = format!("one directory: `{}: /etc/service`", key.text);
                sources.found.push(Diagnostic::new(node.place, message).help(help));
                continue;
            }
        };
        sources.listing.directories.push(path.as_path().to_owned());
        // Rules that are only tried may be those of another machine.
        if !sources.made_up {
            list(sources, &mut services, key, &path, node.place);
        } else if services.is_empty() {
            // Those that have no control are taken for services of the first directory.
            let found = || Found { supervisor: key.text.clone(), directory: path.to_string(), place: node.place };
            let named = sources.files.iter().filter_map(|file| match &file.tree.as_ref()?.get("services")?.1.value {
                Value::Map(entries) => Some(entries),
                _ => None,
            });
            services.extend(named.flatten().map(|(name, _)| (name.text.clone(), found())));
        }
    }
    put(sources, services);
}

fn unknown(key: &Key) -> Diagnostic {
    let known = || SUPERVISORS.iter().copied();
    let diagnostic = Diagnostic::new(key.place, format!("{} has no directory of services", quoted(&key.text)));
    diagnostic.help(match nearest(&key.text, known()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("those that have one are {}; name other services one by one", listed(known())),
    })
}

/// Adds the services of one directory.
fn list(sources: &mut Sources, services: &mut BTreeMap<String, Found>, key: &Key, path: &AbsPath, place: Place) {
    let names = match service_directories(path.as_path()) {
        Ok(names) => names,
        Err(diagnostic) => return sources.found.push(Diagnostic { at: Some(place), ..*diagnostic }),
    };
    for name in names {
        let Some(name) = name.to_str().filter(|name| is_name(name)).map(str::to_owned) else {
            let name = clip(&plain(&name.to_string_lossy()), SHOWN);
            sources.listing.notes.push(format!(
                "{path}/{name} is not watched: the name of a service is at most 64 letters, digits, `.`, `_` and `-`; give it \
                 one under `services`, with `control: {{ {}: PATH }}`",
                key.text
            ));
            continue;
        };
        if let Some(other) = services.get(&name) {
            let message = format!("{path} and {} both have a service `{name}`", other.directory);
            let diagnostic = Diagnostic::new(place, message).also(other.place, "the first directory");
            sources.found.push(diagnostic.help("the services of a plan have different names: rename one of the two"));
            continue;
        }
        match sources.nodes_left.checked_sub(NODES) {
            Some(left) => sources.nodes_left = left,
            None => return sources.found.push(Diagnostic::new(place, format!("too many services in {path}"))),
        }
        services.insert(name, Found { supervisor: key.text.clone(), directory: path.to_string(), place });
    }
}

/// Puts the services where the rule files name them, and the others into a tree of their own.
fn put(sources: &mut Sources, mut services: BTreeMap<String, Found>) {
    if services.is_empty() {
        return;
    }
    let trees = || sources.files.iter().filter_map(|file| file.tree.as_ref());
    let templates = trees().filter_map(|tree| match &tree.get("templates")?.1.value {
        Value::Map(entries) => Some(entries),
        _ => None,
    });
    let templates: BTreeMap<String, Node> =
        templates.flatten().map(|(key, node)| (key.text.clone(), node.clone())).collect();
    for tree in sources.files.iter_mut().filter_map(|file| file.tree.as_mut()) {
        let Value::Map(top) = &mut tree.value else { continue };
        let Some((_, node)) = top.iter_mut().find(|(key, _)| key.text == "services") else { continue };
        let Value::Map(entries) = &mut node.value else { continue };
        for (key, node) in entries {
            let Some(found) = services.remove(&key.text) else { continue };
            let template = node.get("use").and_then(|(_, template)| templates.get(template.text()?));
            // With another control it may have no supervisor to name its process.
            if [Some(&*node), template].into_iter().flatten().any(|node| node.get("control").is_some()) {
                continue;
            }
            let has_process = has_process(node) || template.is_some_and(has_process);
            let Value::Map(keys) = &mut node.value else { continue };
            keys.push(found.control(&key.text));
            if has_process {
                continue;
            }
            match keys.iter_mut().find(|(own, _)| own.text == "checks") {
                None => keys.push(found.checks()),
                Some((_, Node { value: Value::Seq(checks), .. })) => checks.insert(0, found.process()),
                Some(_) => {}
            }
        }
    }
    let rest = services.into_iter().map(|(name, found)| {
        let keys = Value::Map(vec![found.control(&name), found.checks()]);
        (Key { text: name, place: found.place }, Node { value: keys, place: found.place })
    });
    let rest: Vec<(Key, Node)> = rest.collect();
    if let Some(place) = rest.first().map(|(key, _)| key.place) {
        let top = (Key { text: "services".to_owned(), place }, Node { value: Value::Map(rest), place });
        sources.listing.tree = Some(Node { value: Value::Map(vec![top]), place });
    }
}

/// Whether a check of it is of a process, or has the name of such.
fn has_process(service: &Node) -> bool {
    let Some((_, Node { value: Value::Seq(checks), .. })) = service.get("checks") else { return false };
    let named = |check: &Node| check.get("name").and_then(|(_, name)| name.text()) == Some("process");
    checks.iter().any(|check| check.get("process").is_some() || named(check))
}

/// What it adds to a service, all at the place of its directory.
impl Found {
    fn control(&self, name: &str) -> (Key, Node) {
        let keys = vec![(self.key("service"), self.text(name)), (self.key("directory"), self.text(&self.directory))];
        (self.key("control"), self.map(vec![(self.key(&self.supervisor), self.map(keys))]))
    }

    fn checks(&self) -> (Key, Node) {
        (self.key("checks"), self.node(Value::Seq(vec![self.process()])))
    }

    fn process(&self) -> Node {
        self.map(vec![(self.key("process"), self.text("supervised"))])
    }

    fn key(&self, text: &str) -> Key {
        Key { text: text.to_owned(), place: self.place }
    }

    fn text(&self, text: &str) -> Node {
        self.node(Value::Scalar { text: text.to_owned(), plain: false })
    }

    fn map(&self, entries: Vec<(Key, Node)>) -> Node {
        self.node(Value::Map(entries))
    }

    fn node(&self, value: Value) -> Node {
        Node { value, place: self.place }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Env, load};
    use crate::model::{Kind, Plan, Service};
    use std::path::Path;

    /// A directory of services, and rules in which `SERVICES` stands for it.
    fn plan(dir: &Path, rules: &str) -> Result<Plan, String> {
        let file = dir.join("rules.yaml");
        let at = dir.join("service");
        std::fs::write(&file, format!("version: 1\n{}", rules.replace("SERVICES", at.to_str().unwrap()))).unwrap();
        load(&file, &Env::default()).map(|(plan, _)| plan).map_err(|e| e.replace(dir.to_str().unwrap(), ""))
    }

    fn services(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::create_dir_all(dir.path().join("service").join(name)).unwrap();
        }
        dir
    }

    fn is_supervised(service: &Service) -> bool {
        matches!(&*service.checks[0].kind, Kind::Process(process) if process.supervised)
    }

    fn names(plan: &Plan) -> Vec<&str> {
        plan.services.iter().map(|service| &*service.name).collect()
    }

    #[test]
    fn every_directory_is_a_service() {
        let dir = services(&["web", "db", ".hidden", "db/log"]);
        std::fs::write(dir.path().join("service/README"), "no service").unwrap();
        std::fs::create_dir(dir.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("../elsewhere", dir.path().join("service/linked")).unwrap();
        std::os::unix::fs::symlink("../nowhere", dir.path().join("service/dangling")).unwrap();
        for supervisor in super::SUPERVISORS {
            let plan = plan(dir.path(), &format!("services_from: {{ {supervisor}: SERVICES }}\n")).unwrap();
            assert_eq!(names(&plan), ["db", "linked", "web"]);
            let control = plan.services[2].control.as_ref().unwrap();
            assert_eq!(control.name(), *supervisor);
            let checks =
                |service: &Service| service.checks.iter().map(|check| check.name.to_string()).collect::<Vec<_>>();
            assert!(plan.services.iter().all(|service| checks(service) == ["process", "control"]));
            assert!(plan.services.iter().all(|service| is_supervised(service)));
            assert_eq!(plan.directories, [dir.path().join("service")]);
            assert!(plan.notes.is_empty());
        }
        let control = plan(dir.path(), "services_from: { runit: SERVICES }\n").unwrap().services[2].control.clone();
        assert_eq!(control.unwrap().service_dir().unwrap(), dir.path().join("service/web"));
    }

    #[test]
    fn what_the_rules_say_of_it_goes_on_top() {
        let dir = services(&["web", "db", "cache", "queue"]);
        let rules = "services_from: { runit: SERVICES }\n\
                     templates: { bare: { group: x }, full: { control: { command: { start: [/bin/x] } }, group: y } }\n\
                     services:\n  web: { grace: 99s, checks: [{ process: { name: web } }] }\n  \
                     db: { control: { systemd: db } }\n  cache: { use: bare }\n  \
                     queue: { use: full, checks: [{ process: { name: q } }] }\n  own: { control: { s6: own } }\n";
        let plan = plan(dir.path(), rules).unwrap();
        assert_eq!(names(&plan), ["web", "db", "cache", "queue", "own"]);
        let of = |name: &str| plan.services.iter().find(|service| &*service.name == name).unwrap();
        let control = |name: &str| of(name).control.as_ref().unwrap().name();
        let controls = ["web", "db", "cache", "queue", "own"].map(control);
        assert_eq!(controls, ["runit", "systemd", "runit", "command", "s6"]);
        assert_eq!(of("web").grace, std::time::Duration::from_secs(99));
        assert_eq!(&*of("web").checks[0].name, "process");
        assert_eq!(of("cache").group.as_deref(), Some("x"));
    }

    #[test]
    fn the_process_that_the_supervisor_names_is_watched_unless_the_rules_watch_one() {
        let dir = services(&["plain", "web", "db", "cache", "queue", "job", "own"]);
        let rules = "services_from: { s6: SERVICES }\n\
                     templates: { page: { checks: [{ http: \"http://h/\" }] }, one: { checks: [{ process: { name: x } }] } }\n\
                     services:\n  web: { checks: [{ tcp: \"h:80\" }, { file: /x }] }\n  db: { checks: [{ process: { name: db } }] }\n  \
                     cache: { use: page }\n  queue: { use: one, checks: [{ file: /x }] }\n  \
                     job: { checks: [{ file: /y, name: process }] }\n  own: { control: { runit: own }, checks: [{ file: /x }] }\n";
        let plan = plan(dir.path(), rules).unwrap();
        for (name, checks, supervised) in [
            ("plain", "process control", true),
            ("web", "process tcp file control", true),
            ("db", "process control", false),
            ("cache", "http process control", true),
            ("queue", "process file control", false),
            ("job", "process control", false),
            ("own", "file control", false),
        ] {
            let service = plan.services.iter().find(|service| &*service.name == name).unwrap();
            let all: Vec<&str> = service.checks.iter().map(|check| &*check.name).collect();
            assert_eq!(all.join(" "), checks, "{name}");
            let process = service.checks.iter().find_map(|check| match &*check.kind {
                Kind::Process(process) => Some(process.supervised),
                _ => None,
            });
            assert_eq!(process.unwrap_or(false), supervised, "{name}");
            assert!(supervised || !is_supervised(service), "{name}");
        }
    }

    #[test]
    fn an_empty_directory_is_no_mistake_and_what_cannot_be_named_is_told() {
        let dir = services(&[]);
        std::fs::create_dir(dir.path().join("service")).unwrap();
        let rules = "services_from: { s6: SERVICES }\n";
        assert!(plan(dir.path(), rules).unwrap().services.is_empty());
        std::fs::create_dir(dir.path().join("service/a\x1b[31m b")).unwrap();
        let plan = plan(dir.path(), rules).unwrap();
        assert!(plan.services.is_empty() && plan.notes.len() == 1);
        assert!(plan.notes[0].contains("/service/a [31m b is not watched"), "{}", plan.notes[0]);
    }

    #[test]
    fn what_is_said_of_a_service_that_is_gone_is_no_mistake() {
        let dir = services(&["web"]);
        let rules = "services_from: { runit: SERVICES }\nservices:\n  gone: { grace: 5s }\n  \
                     left: { checks: [{ file: /x }], rules: [file.missing -> restart] }\n  \
                     own: { checks: [{ file: /y }], depends_on: [left] }\n";
        let plan = plan(dir.path(), rules).unwrap();
        assert_eq!(names(&plan), ["own", "web"]);
        let why = "is not watched: it has no `control`, and is in no directory of `services_from`";
        assert_eq!(plan.notes, [format!("gone {why}"), format!("left {why}")]);
    }

    #[test]
    fn rules_that_are_only_tried_need_no_directory() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("rules.yaml");
        let rules = "version: 1\nservices_from: { runit: /nowhere }\nservices:\n  \
                     web: { checks: [{ file: /x }], rules: [file.missing -> restart] }\n";
        std::fs::write(&file, rules).unwrap();
        let plan = crate::config::parse(&crate::config::read_to_try(&file)).unwrap();
        assert_eq!(plan.services[0].control.as_ref().unwrap().name(), "runit");
        // Its services are those of that machine.
        std::fs::write(&file, "version: 1\nservices_from: { runit: /nowhere }\n").unwrap();
        assert!(crate::config::parse(&crate::config::read_to_try(&file)).unwrap().services.is_empty());
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = services(&["web"]);
        let at = dir.path().join("service");
        std::fs::set_permissions(&at, std::fs::Permissions::from_mode(0o777)).unwrap();
        let report = plan(dir.path(), "services_from: { runit: SERVICES }\n").unwrap_err();
        assert!(report.contains("/service cannot be trusted: /service may be written by everybody"), "{report}");
        std::fs::set_permissions(&at, std::fs::Permissions::from_mode(0o755)).unwrap();
        let twice = plan(dir.path(), "services_from: { runit: SERVICES, s6: SERVICES }\n").unwrap_err();
        assert!(twice.contains("/service and /service both have a service `web`"), "{twice}");
    }
}
