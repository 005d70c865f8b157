//! Coming from monit: each `tests/monit/NAME.monitrc`, typical of the field, becomes the rules and the list beside it
//! (`NAME.snap`), which validate; and so do the files of Debian's package. Nothing is dropped in silence.
//!
//! After a wanted change: `INSTA_UPDATE=always cargo test --test monit`, and read the difference.
#![allow(clippy::disallowed_methods, reason = "tests start programs")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use minder::config::{self, Env};
use minder::import::{File, Imported, Machine, Weight, monit};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn cases() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/monit");
    let mut cases: Vec<PathBuf> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|e| e == "monitrc"));
    cases.push(dir.join("includes/main.monitrc"));
    cases.sort();
    assert!(cases.len() > 10);
    cases
}

/// Imports a file as the command does, on a machine that is the same everywhere.
fn import(path: &Path) -> Imported {
    let base = path.parent().unwrap();
    let shown = |path: &Path| path.strip_prefix(base).unwrap_or(path).to_str().unwrap().to_owned();
    let file = |path: &Path| File { name: shown(path), text: fs::read_to_string(path).unwrap() };
    let mut find = |pattern: &str| {
        let paths = glob::glob(base.join(pattern).to_str().unwrap()).unwrap().map(Result::unwrap);
        let files: Vec<File> = paths.filter(|path| path.is_file()).map(|path| file(&path)).collect();
        if files.is_empty() && !pattern.contains('*') { Err(format!("there is no {pattern}")) } else { Ok(files) }
    };
    monit::import(file(path), &Machine { host: "box".to_owned(), cores: 4 }, &mut find)
}

/// The mistakes of rules, but those that are no longer made when `depends_on` is read.
fn mistakes(imported: &Imported) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rules.yaml");
    fs::write(&file, &imported.yaml).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let env = Env(imported.secrets.iter().map(|secret| (secret.name.clone(), "something".to_owned())).collect());
    let mistakes = config::parse(&config::read(&file, &env)).err().unwrap_or_default();
    let later = "`depends_on` comes with a later version of minder";
    mistakes.into_iter().map(|mistake| mistake.message).filter(|message| message != later).collect()
}

/// The lines of what was read that begin a statement.
fn statements(text: &str) -> usize {
    let starts = [
        "check", "set", "if", "start", "stop", "restart", "every", "not", "mode", "onreboot", "group", "depends",
        "depend", "alert", "noalert", "ignore",
    ];
    text.lines().filter(|line| line.split_whitespace().next().is_some_and(|word| starts.contains(&word))).count()
}

#[test]
fn typical_files_become_rules() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("monit");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for case in cases() {
        let imported = import(&case);
        let name = case.file_stem().unwrap().to_str().unwrap();
        let name = if name == "main" { "includes" } else { name };
        let list: String = imported.notes.iter().map(|note| format!("{note}\n")).collect();
        let shown = format!("{}\n--- listed, of {} statements ---\n{list}", imported.yaml, imported.statements);
        assert!(!shown.contains("hunter2"), "{name}: a password is shown:\n{shown}");
        if imported.services > 0 {
            assert_eq!(mistakes(&imported), Vec::<String>::new(), "{name}:\n{}", imported.yaml);
        }
        settings.bind(|| insta::assert_snapshot!(name, shown));
    }
}

/// What is listed stands in the rules, too.
#[test]
fn what_has_no_counterpart_is_a_comment_in_its_place() {
    for case in cases() {
        let imported = import(&case);
        for note in imported.notes.iter().filter(|note| note.weight == Weight::Lost) {
            assert!(imported.yaml.contains(&format!("# {note}")), "{note}");
        }
        for note in &imported.notes {
            assert!(imported.yaml.contains(&note.why), "{note}");
        }
    }
}

fn monit_is_there() -> bool {
    Path::new("/usr/bin/monit").exists() && Path::new("/etc/monit/monitrc").exists()
}

/// monit takes these files for its own, all but the one that is broken on purpose.
#[test]
fn the_cases_are_files_of_monits() {
    if !monit_is_there() {
        return;
    }
    for case in cases().into_iter().filter(|case| !case.ends_with("broken.monitrc") && !case.ends_with("main.monitrc"))
    {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("monitrc");
        // What a file names must be there.
        let text = fs::read_to_string(&case).unwrap().replace("/etc/apache2/apache2.conf", "/etc/passwd");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        let output =
            Command::new("/usr/bin/monit").arg("-t").arg("-c").arg(&file).current_dir(dir.path()).output().unwrap();
        let said = shown(&output);
        assert!(!said.contains("syntax error"), "{}: {said}", case.display());
    }
}

fn shown(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Debian's own: each statement of each file is carried over or listed.
#[test]
fn debians_files_are_carried_over() {
    if !monit_is_there() {
        return;
    }
    let imported = import(Path::new("/etc/monit/monitrc"));
    assert_eq!(imported.services, 0);
    let text = fs::read_to_string("/etc/monit/monitrc").unwrap();
    let includes = text.lines().filter(|line| line.trim().starts_with("include")).count();
    assert_eq!(imported.statements, statements(&text) + includes);
    let mut files: Vec<PathBuf> =
        fs::read_dir("/etc/monit/conf-available").unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 10);
    let mut lost = Vec::new();
    for file in files {
        let imported = import(&file);
        let text = fs::read_to_string(&file).unwrap();
        let mut read = statements(&text);
        for template in text.lines().filter_map(|line| line.trim().strip_prefix("include ")) {
            read += 1 + statements(&fs::read_to_string(template.trim()).unwrap());
        }
        assert_eq!(imported.statements, read, "{}", file.display());
        lost.extend(imported.notes.iter().filter(|n| n.weight == Weight::Lost).map(|n| n.statement.clone()));
        assert_eq!(mistakes(&imported), Vec::<String>::new(), "{}:\n{}", file.display(), imported.yaml);
        let checks = text.lines().filter(|line| line.trim().starts_with("check ")).count();
        assert_eq!(imported.services, checks, "{}", file.display());
    }
    assert_eq!(lost, ["if failed host localhost port 161 type udp then restart"]);
}

/// The suggestions in the comments of Debian's file, too.
#[test]
fn debians_suggestions_are_carried_over() {
    if !monit_is_there() {
        return;
    }
    let text = fs::read_to_string("/etc/monit/monitrc").unwrap();
    let uncommented: String = text
        .lines()
        .skip_while(|line| !line.contains("check system $HOST"))
        .filter_map(|line| line.strip_prefix("#  "))
        .take_while(|line| !line.trim().starts_with("include"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(statements(&uncommented) > 60, "{uncommented}");
    let file = File { name: "monitrc".to_owned(), text: uncommented.clone() };
    let imported = monit::import(file, &Machine { host: "box".to_owned(), cores: 4 }, &mut |_| Ok(Vec::new()));
    assert_eq!(imported.statements, statements(&uncommented));
    assert_eq!(mistakes(&imported), Vec::<String>::new(), "{}", imported.yaml);
    let lost: Vec<&str> =
        imported.notes.iter().filter(|n| n.weight == Weight::Lost).map(|n| n.statement.as_str()).collect();
    assert_eq!(
        lost,
        [
            "if read rate > 500 operations/s for 5 cycles then alert",
            "if write rate > 500 operations/s for 5 cycles then alert",
            "if service time > 10 milliseconds for 3 times within 5 cycles then alert",
        ]
    );
}

fn minder(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_minder")).args(["import", "monit"]).args(args).output().unwrap()
}

#[test]
fn the_command_writes_a_file_for_its_owner_and_overwrites_none() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("monitrc"), "check process web with pidfile /run/web.pid\n  if cpu > 60 then alert\n").unwrap();
    let (input, output) = (at("monitrc"), at("rules.yaml"));
    let printed = minder(&[&input]);
    assert!(printed.status.success());
    let rules = String::from_utf8(printed.stdout).unwrap();
    assert!(rules.contains("process.down -> notify"), "{rules}");
    let list = String::from_utf8(printed.stderr).unwrap();
    assert!(list.starts_with(&format!("{input}:2: not carried over: if cpu > 60 then alert: ")), "{list}");
    assert!(
        list.ends_with("1 service from 2 statements: 1 carried over as they are, 0 differ, 1 not carried over.\n"),
        "{list}"
    );

    let written = minder(&[&input, "-o", &output]);
    assert!(written.status.success(), "{}", shown(&written));
    assert_eq!(fs::read_to_string(&output).unwrap(), rules);
    assert_eq!(fs::metadata(&output).unwrap().permissions().mode() & 0o777, 0o600);
    let again = minder(&[&input, "-o", &output]);
    assert_eq!((again.status.code(), shown(&again).contains("--force")), (Some(2), true));
    fs::set_permissions(&output, Permissions::from_mode(0o644)).unwrap();
    assert!(minder(&[&input, "-o", &output, "--force"]).status.success());
    assert_eq!(fs::metadata(&output).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_command_says_why_it_has_nothing_to_write() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("empty"), "set daemon 60\n").unwrap();
    let empty = minder(&[&at("empty"), "-o", &at("rules.yaml")]);
    assert_eq!(empty.status.code(), Some(1));
    assert!(shown(&empty).contains("there is no service in "), "{}", shown(&empty));
    assert!(!Path::new(&at("rules.yaml")).exists());
    for bad in ["none", "."] {
        assert_eq!(minder(&[&at(bad)]).status.code(), Some(2), "{bad}");
    }
}
