//! Reading the files: within bounds, and only those that nobody else could have written.

use super::diagnostic::{Diagnostic, Place, quoted};
use super::listing::{self, Listing};
use super::tree::{self, Key, Node, Value};
use crate::model::Picture;
use crate::sys::trust::{Distrust, only_root_or};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The largest rule file.
const FILE_SIZE: u64 = 1 << 20;
/// All rule files together.
const TOTAL_SIZE: usize = 16 << 20;
/// The most rule files.
const FILES: usize = 1000;
/// The most entries of a directory of services.
const ENTRIES: usize = 10_000;
/// The largest file of a secret.
const SECRET_SIZE: u64 = 64 << 10;
/// The largest file of certificates.
const CERTIFICATES_SIZE: u64 = 1 << 20;

/// The largest picture.
const PICTURE_SIZE: u64 = 256 << 10;

/// The environment that `{ env: NAME }` is taken from.
#[derive(Clone, Default, PartialEq)]
pub struct Env(pub BTreeMap<String, String>);

impl Env {
    /// minder's own environment; variables that are not UTF-8 are left out.
    pub fn from_process() -> Env {
        let pair = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Env(std::env::vars_os().filter_map(pair).collect())
    }

    /// Lines of `NAME=value`, as in an environment file of systemd: empty lines and comments (`#`, `;`) are skipped, a
    /// value may stand in single or double quotes, `export` before a name is ignored, nothing is expanded. The error
    /// says which line is none of these, and does not repeat it.
    pub fn from_file_text(text: &str) -> Result<Env, String> {
        let mut map = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            let line = line.strip_prefix("export ").unwrap_or(line);
            let pair = line.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
            let Some((name, value)) = pair.filter(|(name, _)| is_variable(name)) else {
                return Err(format!("line {} is not `NAME=value`", number + 1));
            };
            let bare = ['"', '\''].iter().find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q));
            map.insert(name.to_owned(), bare.unwrap_or(value).to_owned());
        }
        Ok(Env(map))
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl fmt::Debug for Env {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A rule file that was read.
#[derive(Debug)]
pub struct SourceFile {
    /// Where it is, as it was named.
    pub path: PathBuf,
    /// What it says, without a byte order mark.
    pub text: String,
    pub(super) tree: Option<Node>,
}

/// The files of a plan, and what was wrong with reading them.
#[derive(Debug)]
pub struct Sources {
    /// In the order in which they were read: a directory's by name, then what they include.
    pub files: Vec<SourceFile>,
    /// What `{ env: NAME }` is taken from.
    pub env: Env,
    pub(super) found: Vec<Diagnostic>,
    /// Nothing is ever sent: what comes from the environment or a file is not looked for.
    pub(super) made_up: bool,
    /// How many values may still be made of what is read.
    pub(super) nodes_left: usize,
    /// The services of `services_from`.
    pub(super) listing: Listing,
}

impl Sources {
    fn new(env: &Env) -> Sources {
        Sources {
            files: Vec::new(),
            env: env.clone(),
            found: Vec::new(),
            made_up: false,
            nodes_left: tree::NODES,
            listing: Listing::default(),
        }
    }

    /// What the files say, and then the services that stand in none of them.
    pub(super) fn trees(&self) -> impl Iterator<Item = &Node> {
        self.files.iter().filter_map(|file| file.tree.as_ref()).chain(&self.listing.tree)
    }

    /// One text as a file of this name, which is not looked at; nothing is included.
    pub fn from_text(name: &str, text: &str, env: &Env) -> Sources {
        let mut sources = Sources::new(env);
        sources.add(PathBuf::from(name), text.to_owned());
        sources
    }

    /// Adds a text that is no file yet; nothing is included, and no directory is looked at.
    #[must_use]
    pub fn with_text(mut self, path: &Path, text: &str) -> Sources {
        self.add(path.to_owned(), text.to_owned());
        self
    }

    /// Of no file.
    pub fn empty(env: &Env) -> Sources {
        Sources::new(env)
    }

    fn add(&mut self, path: PathBuf, text: String) {
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        let (tree, found) = tree::parse(&text, self.files.len(), &mut self.nodes_left);
        self.found.extend(found);
        self.files.push(SourceFile { path, text, tree });
    }
}

/// Reads a rule file; or every `*.yaml` and `*.yml` of a directory, in sorted order, but hidden files; and what they
/// include. Whatever is wrong with that is kept, for [`super::parse`] to report with all else.
pub fn read(path: &Path, env: &Env) -> Sources {
    let mut sources = Sources::new(env);
    add_rules(&mut sources, path, None);
    listing::add(&mut sources);
    sources
}

/// The same for rules that are tried and never run: values from the environment and from files, such as passwords, are not
/// looked for.
pub fn read_to_try(path: &Path) -> Sources {
    let mut sources = Sources { made_up: true, ..Sources::new(&Env::default()) };
    add_rules(&mut sources, path, None);
    listing::add(&mut sources);
    sources
}

/// Reads a file of scenarios, and the rules that they are about: those that it names under `rules`, or those that stand in it
/// under `plan`. Also what the file says, if that can be read at all.
pub(super) fn read_scenarios(path: &Path) -> (Sources, Option<Node>) {
    let mut sources = Sources { made_up: true, ..Sources::new(&Env::default()) };
    match rule_file(path) {
        Ok(text) => sources.add(path.to_owned(), text),
        Err(Refused { message, help }) => {
            sources.found.push(Diagnostic { help: help.into_iter().collect(), ..Diagnostic::nowhere(message) });
        }
    }
    let Some(root) = sources.files.first_mut().and_then(|file| file.tree.take()) else { return (sources, None) };
    if let Some((key, plan)) = root.get("plan") {
        let mut plan = plan.clone();
        if let Value::Map(entries) = &mut plan.value
            && !entries.iter().any(|(key, _)| key.text == "version")
        {
            // It is that of the file.
            let value = Value::Scalar { text: "1".to_owned(), plain: true };
            let version = Key { text: "version".to_owned(), place: key.place };
            entries.push((version, Node { value, place: key.place }));
        }
        if let Some(file) = sources.files.first_mut() {
            file.tree = Some(plan);
        }
        let waiting = includes(&mut sources).into();
        add_files(&mut sources, waiting);
    } else if let Some((_, rules)) = root.get("rules")
        && let Some(name) = rules.text()
    {
        let beside = path.parent().unwrap_or(Path::new("")).join(name);
        add_rules(&mut sources, &beside, Some(rules.place));
    }
    (sources, Some(root))
}

/// Adds a file, or those of a directory, that is named at this place.
fn add_rules(sources: &mut Sources, path: &Path, named: Option<Place>) {
    let mut waiting = VecDeque::new();
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => match directory(path) {
            Ok(files) => waiting.extend(files.into_iter().map(|file| (file, named))),
            Err(diagnostic) => sources.found.push(Diagnostic { at: named, ..*diagnostic }),
        },
        _ => waiting.push_back((path.to_owned(), named)),
    }
    add_files(sources, waiting);
}

/// Adds these files, and what they include.
fn add_files(sources: &mut Sources, mut waiting: VecDeque<(PathBuf, Option<Place>)>) {
    let mut seen = BTreeSet::new();
    let mut size = 0;
    while let Some((path, included)) = waiting.pop_front() {
        if !seen.insert(std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone())) {
            continue;
        }
        let refused = |message: String| Diagnostic { at: included, ..Diagnostic::nowhere(message) };
        if sources.files.len() >= FILES {
            sources.found.push(refused(format!("more than {FILES} rule files")));
            break;
        }
        match rule_file(&path) {
            Ok(text) => {
                size += text.len();
                if size > TOTAL_SIZE {
                    let message = format!("the rule files are larger than {} MiB together", TOTAL_SIZE >> 20);
                    sources.found.push(refused(message));
                    break;
                }
                sources.add(path, text);
                waiting.extend(includes(sources));
            }
            Err(Refused { message, help }) => {
                let diagnostic = refused(message);
                sources.found.push(Diagnostic { help: help.into_iter().collect(), ..diagnostic });
            }
        }
    }
}

/// The rule files of a directory. Whoever may write into it may add rules: then none are read.
fn directory(path: &Path) -> Result<Vec<PathBuf>, Box<Diagnostic>> {
    if let Err(why) = only_root_or_us(path) {
        return Err(Box::new(Diagnostic::nowhere(not_trusted(path, &why)).help(why.help())));
    }
    let failed = |e: io::Error| Box::new(Diagnostic::nowhere(format!("cannot read {}: {e}", path.display())));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if !name.starts_with('.') && (name.ends_with(".yaml") || name.ends_with(".yml")) {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        let message = format!("no rule file in {}", path.display());
        return Err(Box::new(Diagnostic::nowhere(message).help("the names of rule files end in `.yaml` or `.yml`")));
    }
    Ok(files)
}

/// What a supervisor takes for services: the directories in it, links to directories among them, but what is hidden. Whoever
/// may write into it may add services: then none are taken.
pub(super) fn service_directories(path: &Path) -> Result<Vec<OsString>, Box<Diagnostic>> {
    only_root_or_us(path).map_err(|why| match why {
        Distrust::Unseen(_, error) if error.kind() == io::ErrorKind::NotFound => {
            let diagnostic = Diagnostic::nowhere(format!("there is no directory {}", path.display()));
            Box::new(diagnostic.help("make it, or leave it out: the services of nothing are not watched"))
        }
        why => Box::new(Diagnostic::nowhere(not_trusted(path, &why)).help(why.help())),
    })?;
    let failed = |e: io::Error| Box::new(Diagnostic::nowhere(format!("cannot read {}: {e}", path.display())));
    let mut names = Vec::new();
    for (count, entry) in std::fs::read_dir(path).map_err(failed)?.enumerate() {
        if count == ENTRIES {
            let message = format!("there is more in {} than {ENTRIES} services", path.display());
            return Err(Box::new(Diagnostic::nowhere(message)));
        }
        let entry = entry.map_err(failed)?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !hidden && std::fs::metadata(entry.path()).is_ok_and(|meta| meta.is_dir()) {
            names.push(entry.file_name());
        }
    }
    names.sort();
    Ok(names)
}

/// Whoever writes rules, runs commands as minder's user.
fn only_root_or_us(path: &Path) -> Result<(), Distrust> {
    only_root_or(rustix::process::geteuid().as_raw(), path)
}

fn not_trusted(path: &Path, why: &Distrust) -> String {
    format!("{} cannot be trusted: {why}", path.display())
}

struct Refused {
    message: String,
    help: Option<String>,
}

fn rule_file(path: &Path) -> Result<String, Refused> {
    let name = path.display();
    let plain = |message: String| Refused { message, help: None };
    only_root_or_us(path).map_err(|why| match why {
        Distrust::Unseen(_, error) if error.kind() == io::ErrorKind::NotFound => plain(format!("there is no {name}")),
        why => Refused { message: not_trusted(path, &why), help: Some(why.help()) },
    })?;
    let bytes = bounded(path, FILE_SIZE).map_err(|e| match e {
        Unread::TooLarge => Refused {
            message: format!("{name} is larger than {} MiB", FILE_SIZE >> 20),
            help: Some("rules may be divided: every `.yaml` file of a directory is read".to_owned()),
        },
        Unread::NoFile => plain(format!("{name} is not a regular file")),
        Unread::Failed(e) => plain(format!("cannot read {name}: {e}")),
    })?;
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = e.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1;
        Refused {
            message: format!("{name} is not UTF-8: the first byte that cannot be read is in line {line}"),
            help: Some("save it as UTF-8".to_owned()),
        }
    })
}

enum Unread {
    TooLarge,
    NoFile,
    Failed(io::Error),
}

/// Reads a regular file, without waiting for the other end of a FIFO, up to a size.
fn bounded(path: &Path, most: u64) -> Result<Vec<u8>, Unread> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = std::fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map_err(Unread::Failed)?;
    if !file.metadata().map_err(Unread::Failed)?.is_file() {
        return Err(Unread::NoFile);
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(Unread::Failed)?;
    if bytes.len() as u64 > most { Err(Unread::TooLarge) } else { Ok(bytes) }
}

/// The text of a secret's file, without line ends at its end; or why there is none.
pub(super) fn secret(path: &Path) -> Result<String, String> {
    let name = path.display();
    let bytes = bounded(path, SECRET_SIZE).map_err(|e| match e {
        Unread::TooLarge => format!("{name} is larger than {} KiB, too large for a secret", SECRET_SIZE >> 10),
        Unread::NoFile => format!("{name} is not a regular file"),
        Unread::Failed(e) => format!("cannot read {name}: {e}"),
    })?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{name} is not UTF-8"))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(format!("{name} is empty")),
        text => Ok(text.to_owned()),
    }
}

/// The certificates in PEM form of a file that nobody else can change; or why there are none, and what to do.
pub(super) fn certificates(path: &Path) -> Result<Vec<u8>, (String, Option<String>)> {
    let name = path.display();
    let plain = |message: String| (message, None);
    only_root_or_us(path).map_err(|why| match why {
        Distrust::Unseen(_, error) if error.kind() == io::ErrorKind::NotFound => {
            plain(format!("there is no file {name}"))
        }
        why => (not_trusted(path, &why), Some(why.help())),
    })?;
    let bytes = bounded(path, CERTIFICATES_SIZE).map_err(|e| {
        plain(match e {
            Unread::TooLarge => format!("{name} is larger than {} MiB", CERTIFICATES_SIZE >> 20),
            Unread::NoFile => format!("{name} is not a regular file"),
            Unread::Failed(e) => format!("cannot read {name}: {e}"),
        })
    })?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let added = certificate.map_err(|e| e.to_string()).and_then(|c| roots.add(c).map_err(|e| e.to_string()));
        added.map_err(|e| plain(format!("{name} holds a certificate that cannot be used: {e}")))?;
    }
    if roots.is_empty() {
        let help = "a certificate in PEM form begins with `-----BEGIN CERTIFICATE-----`".to_owned();
        return Err((format!("{name} holds no certificate in PEM form"), Some(help)));
    }
    Ok(bytes)
}

/// A picture for the public; or why there is none, and what to do.
pub(super) fn picture(path: &Path) -> Result<(Picture, Vec<u8>), (String, Option<String>)> {
    let name = path.display();
    let bytes = bounded(path, PICTURE_SIZE).map_err(|e| match e {
        Unread::TooLarge => {
            let help = "everybody who looks at the page loads it: make it smaller, a few kilobytes will do";
            (format!("{name} is larger than {} KiB", PICTURE_SIZE >> 10), Some(help.to_owned()))
        }
        Unread::NoFile => (format!("{name} is not a regular file"), None),
        Unread::Failed(e) => (format!("cannot read {name}: {e}"), None),
    })?;
    match Picture::of(&bytes) {
        Some(format) => Ok((format, bytes)),
        None => {
            let help = "an SVG is well-formed XML whose outermost element is `svg`".to_owned();
            Err((format!("{name} is neither a picture in SVG nor one in PNG"), Some(help)))
        }
    }
}

/// The files that the last file of the sources includes, with the places where they are named.
fn includes(sources: &mut Sources) -> Vec<(PathBuf, Option<Place>)> {
    let mut files = Vec::new();
    let Some(file) = sources.files.last() else { return files };
    let Some((_, list)) = file.tree.as_ref().and_then(|tree| tree.get("include")) else { return files };
    let Value::Seq(items) = &list.value else {
        let mistake = Diagnostic::new(list.place, format!("expected a list of files, found {}", list.describe()));
        let help = list.text().map(|text| format!("write it as a list: `[{text}]`"));
        sources.found.push(Diagnostic { help: help.into_iter().collect(), ..mistake });
        return files;
    };
    let base = file.path.parent().unwrap_or(Path::new(""));
    let mut found = Vec::new();
    for item in items {
        let Some(pattern) = item.text() else {
            found.push(Diagnostic::new(item.place, format!("expected the name of a file, found {}", item.describe())));
            continue;
        };
        // What stands before the pattern is not part of it, though it may hold characters that a pattern uses.
        let base = base.to_str().map(glob::Pattern::escape).unwrap_or_default();
        let whole = Path::new(&base).join(pattern);
        match glob::glob(&whole.to_string_lossy()) {
            Ok(paths) => {
                let matching: Vec<PathBuf> = paths.filter_map(Result::ok).filter(|p| !p.is_dir()).take(FILES).collect();
                if matching.is_empty() {
                    let beside = format!("it is looked for relative to the directory of {}", file.path.display());
                    found
                        .push(Diagnostic::new(item.place, format!("{} matches no file", quoted(pattern))).help(beside));
                }
                files.extend(matching.into_iter().map(|path| (path, Some(item.place))));
            }
            Err(e) => found.push(Diagnostic::new(item.place, format!("{} is no pattern: {}", quoted(pattern), e.msg))),
        }
    }
    sources.found.extend(found);
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_file_is_read_and_its_values_are_not_shown() {
        let env = Env::from_file_text("# a\n\nA=1\nexport B = 'two words'\nC=\"x=y\"\nD=\n").unwrap();
        let values: Vec<_> = env.0.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(values, [("A", "1"), ("B", "two words"), ("C", "x=y"), ("D", "")]);
        assert_eq!(format!("{env:?}"), r#"{"A", "B", "C", "D"}"#);
        assert_eq!(Env::from_file_text("A=1\nhunter2\n").unwrap_err(), "line 2 is not `NAME=value`");
    }

    #[test]
    fn odd_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let report = |name: &str, content: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, content).unwrap();
            let sources = read(&path, &Env::default());
            sources.found.iter().map(|d| d.message.replace(dir.path().to_str().unwrap(), "")).collect::<Vec<_>>()
        };
        assert_eq!(report("big.yaml", &vec![b'#'; (1 << 20) + 1]), ["/big.yaml is larger than 1 MiB"]);
        assert_eq!(
            report("bytes.yaml", b"version: 1\n\xff\n"),
            ["/bytes.yaml is not UTF-8: the first byte that cannot be read is in line 2"]
        );
        assert_eq!(report("empty.yaml", b""), ["this file is empty"]);
        assert!(report("bom.yaml", b"\xef\xbb\xbfversion: 1\r\n").is_empty());
        let fifo = dir.path().join("fifo.yaml");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert!(read(&fifo, &Env::default()).found[0].message.ends_with("is not a regular file"));
        assert!(read(&dir.path().join("none"), &Env::default()).found[0].message.starts_with("there is no /"));
    }

    #[test]
    fn a_directory_is_read_in_order_and_not_deeper() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.yaml", "a.yml", ".hidden.yaml", "c.yaml~", "d.txt"] {
            std::fs::write(dir.path().join(name), "version: 1\n").unwrap();
        }
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        std::fs::write(dir.path().join("sub/x.yaml"), "version: 1\n").unwrap();
        std::fs::write(dir.path().join("b.yaml"), "version: 1\ninclude: [sub/*, a.yml]\n").unwrap();
        let sources = read(dir.path(), &Env::default());
        let names: Vec<_> = sources.files.iter().map(|f| f.path.strip_prefix(dir.path()).unwrap()).collect();
        assert_eq!(names, [Path::new("a.yml"), Path::new("b.yaml"), Path::new("sub/x.yaml")]);
        assert!(sources.found.is_empty(), "{:?}", sources.found);
    }

    #[test]
    fn a_secret_is_its_file_without_the_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        std::fs::write(&path, "hunter2\r\n").unwrap();
        assert_eq!(secret(&path), Ok("hunter2".to_owned()));
        std::fs::write(&path, "\n").unwrap();
        assert!(secret(&path).unwrap_err().ends_with("is empty"));
        std::fs::write(&path, vec![b'x'; 65 << 10]).unwrap();
        assert!(secret(&path).unwrap_err().contains("too large"));
        assert!(secret(Path::new("/dev/null")).unwrap_err().ends_with("not a regular file"));
    }
}
