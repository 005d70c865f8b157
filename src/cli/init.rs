//! `minder init`: rules for what runs here, to be read and changed by a person.

use super::{Failure, Outcome, code};
use crate::config::{self, Env, Sources};
use crate::discover::{File, Machine};
use crate::model::services_words;
use crate::sys::careful;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Write rules for what runs on this machine
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  minder init                    rules for this machine, into /etc/minder\n  \
                        minder init ./rules            the same, into a folder of its own\n  \
                        minder init --print            look at them first\n  \
                        minder init --pid 4711         a service for one process\n\n\
                        It looks at the supervisors runit, s6, daemontools, systemd and supervisord, at pidfiles in /run, and at \
                        who listens by TCP. It connects to nothing, and writes over nothing. Exit codes: 0 written; 1 the rules \
                        do not go together with those that are there, and nothing was written; 2 something is there already, or \
                        cannot be written.")]
pub(super) struct Args {
    /// The folder of rules [default: /etc/minder]
    directory: Option<PathBuf>,
    /// A service for this process alone; onto standard output unless a folder is named
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Write nothing: show the rules on standard output
    #[arg(long)]
    print: bool,
    /// The machine's root directory
    #[arg(long, value_name = "PATH", default_value = "/", hide = true)]
    root: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Failure> {
    let machine = Machine::look(&args.root);
    if machine.processes.is_empty() {
        let words = format!("{} shows no process: nothing can be found here", args.root.join("proc").display());
        return Err(Failure::new(code::WRONG, words));
    }
    let (choice, files) = match args.pid {
        None => {
            let choice = machine.choose();
            let files = choice.files();
            (choice, files)
        }
        Some(pid) => {
            let choice = machine.choose_one(pid).map_err(|e| Failure::new(code::USAGE, e.to_string()))?;
            let file = choice.file();
            (choice, vec![file])
        }
    };
    if args.print || (args.pid.is_some() && args.directory.is_none()) {
        checked(Sources::empty(&Env::from_process()), Path::new(""), &files)?;
        let text = match files.as_slice() {
            [one] => one.text.clone(),
            files => files.iter().map(|file| format!("# {}\n{}\n", file.name, file.text)).collect(),
        };
        return Ok(Outcome { text, code: code::WELL });
    }
    let directory = args.directory.as_deref().unwrap_or(Path::new("/etc/minder"));
    let written = write(directory, files)?;
    let mut text: String = written.iter().map(|path| format!("Written: {}\n", path.display())).collect();
    text.push_str(&format!(
        "{}, beside the machine itself. Read them, then: minder validate {1}; minder run {1}\n",
        services_words(choice.services()),
        directory.display(),
    ));
    Ok(Outcome { text, code: code::WELL })
}

/// Makes sure that these files, beside what is read already, are rules without a mistake.
fn checked(sources: Sources, directory: &Path, files: &[File]) -> Result<(), Failure> {
    let sources =
        files.iter().fold(sources, |sources, file| sources.with_text(&directory.join(&file.name), &file.text));
    match config::parse(&sources) {
        Ok(_) => Ok(()),
        Err(mistakes) => {
            let report = config::render(&mistakes, &sources, false);
            let why = "nothing was written: these rules, with those that are there already, would have mistakes";
            Err(Failure::report(format!(
                "{report}\nerror: {why}; another folder, or --print, shows them by themselves"
            )))
        }
    }
}

/// Writes the files, all or none, and none over another. What is there already with the same content stays.
fn write(directory: &Path, files: Vec<File>) -> Result<Vec<PathBuf>, Failure> {
    let cannot =
        |path: &Path, e: &io::Error| Failure::new(code::USAGE, format!("cannot write {}: {e}", path.display()));
    let mut files = files;
    let rules_there = std::fs::read_dir(directory).is_ok_and(|entries| {
        let is_rules = |name: PathBuf| name.extension().is_some_and(|end| end == "yaml" || end == "yml");
        entries.flatten().any(|entry| is_rules(entry.path()))
    });
    let same = |file: &File| is_there(&directory.join(&file.name), &file.text);
    files.retain(|file| !same(file));
    let env = Env::from_process();
    let there = if rules_there { config::read(directory, &env) } else { Sources::empty(&env) };
    // What is there is said first: a name that is there twice is only what comes of it.
    let taken = files.iter().map(|file| directory.join(&file.name)).find(|path| path.symlink_metadata().is_ok());
    if let Some(path) = taken {
        let words = format!(
            "{} is there already, and nothing was written; name another folder, or look at the rules with --print",
            path.display()
        );
        return Err(Failure::new(code::USAGE, words));
    }
    checked(there, directory, &files)?;
    // By it, editors complete and check the rules. Another version's is as good.
    let schema = directory.join("schema.json");
    if schema.symlink_metadata().is_err() {
        files.push(File { name: "schema.json".to_owned(), text: format!("{:#}\n", config::schema()) });
    }
    DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(|e| cannot(directory, &e))?;
    let mut written: Vec<PathBuf> = Vec::new();
    for file in &files {
        let path = directory.join(&file.name);
        let made = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path);
        let done = made.and_then(|mut out| {
            written.push(path.clone());
            out.write_all(file.text.as_bytes())
        });
        if let Err(e) = done {
            // Half of them would be worse than none.
            for path in &written {
                let _ = std::fs::remove_file(path);
            }
            return Err(cannot(&path, &e));
        }
    }
    Ok(written)
}

/// Whether a file has this content, but for the line by which editors find the schema: a package has that elsewhere.
fn is_there(path: &Path, text: &str) -> bool {
    let Ok(file) = careful::open_regular(path) else { return false };
    let mut there = String::new();
    let rest = |text: &str| text.split_once('\n').map(|(_, rest)| rest.to_owned());
    file.take(text.len() as u64 + 200).read_to_string(&mut there).is_ok() && rest(&there) == rest(text)
}
