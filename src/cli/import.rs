//! `minder import`: rules from the configuration of another monitor.

use super::{Failure, Outcome, code};
use crate::import::{self, File, Imported, Machine};
use crate::model::services_words;
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The largest file that is read.
const LARGEST: u64 = 4 << 20;
/// The most files that one pattern names.
const FILES: usize = 1000;

/// Write rules from the configuration of another monitor
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  minder import monit /etc/monit/monitrc -o /etc/minder/monit.yaml")]
pub(super) struct Args {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, clap::Subcommand)]
enum From {
    Monit(Monit),
}

/// monit's control file, with the files that it includes
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  minder import monit /etc/monit/monitrc -o /etc/minder/monit.yaml\n\n\
                  What differs, or has no counterpart, is listed on standard error and stands as a comment in the rules. \
                  Exit codes: 0 rules were written, also where something is listed; 1 there is no service in them; 2 a file \
                  cannot be read or written.")]
struct Monit {
    /// The control file
    file: PathBuf,
    /// Where to write the rules, for the owner's eyes only [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write even if the output is there already
    #[arg(long, requires = "output")]
    force: bool,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Failure> {
    let From::Monit(args) = &args.from;
    let machine = Machine {
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        cores: std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
    };
    let text = read(&args.file).map_err(|e| Failure::new(code::USAGE, e))?;
    let main = File { name: args.file.to_string_lossy().into_owned(), text };
    // monit takes patterns from where it was started, which is where its file is, if anywhere.
    let base = args.file.parent().unwrap_or(Path::new(""));
    let imported = import::monit::import(main, &machine, &mut |pattern| find(base, pattern));
    report(&imported);
    if imported.services == 0 {
        return Err(Failure::new(code::WRONG, format!("there is no service in {}", args.file.display())));
    }
    match &args.output {
        None => Ok(Outcome { text: imported.yaml, code: code::WELL }),
        Some(path) => {
            write(path, &imported.yaml, args.force).map_err(|e| Failure::new(code::USAGE, e))?;
            let text = format!("Written: {}. Ask `minder validate {0}`, and read it.\n", path.display());
            Ok(Outcome { text, code: code::WELL })
        }
    }
}

/// The list of what is not as it was, for people.
fn report(imported: &Imported) {
    let mut text = String::new();
    // A file that is included by many services is told once.
    let mut told: Vec<(String, usize)> = Vec::new();
    for line in imported.notes.iter().map(ToString::to_string) {
        match told.iter_mut().find(|(other, _)| *other == line) {
            Some((_, times)) => *times += 1,
            None => told.push((line, 1)),
        }
    }
    for (line, times) in told {
        let times = if times > 1 { format!(" ({times} times)") } else { String::new() };
        text.push_str(&format!("{line}{times}\n"));
    }
    for secret in &imported.secrets {
        text.push_str(&format!("{}: a password: put it into the environment variable {}\n", secret.place, secret.name));
    }
    let (all, lost) = (imported.statements, imported.lost());
    let differing = imported.notes.len() - lost;
    text.push_str(&format!(
        "{} from {all} statements: {} carried over as they are, {differing} differ, {lost} not carried over.\n",
        services_words(imported.services),
        all - differing - lost,
    ));
    // Where nobody reads it, there is nothing to say.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// The files that a pattern names, in order.
fn find(base: &Path, pattern: &str) -> Result<Vec<File>, String> {
    let base = base.to_str().map(glob::Pattern::escape).unwrap_or_default();
    let whole = Path::new(&base).join(pattern);
    let paths = glob::glob(&whole.to_string_lossy()).map_err(|e| format!("this is no pattern: {}", e.msg))?;
    let mut files = Vec::new();
    for path in paths.filter_map(Result::ok).filter(|path| !path.is_dir()) {
        if files.len() == FILES {
            return Err(format!("it names more than {FILES} files"));
        }
        files.push(File { text: read(&path)?, name: path.to_string_lossy().into_owned() });
    }
    if files.is_empty() && !pattern.contains(['*', '?', '[']) {
        return Err(format!("there is no {}", whole.display()));
    }
    Ok(files)
}

/// A regular file, up to a size, without waiting for the other end of a FIFO. Bytes that are no UTF-8 are replaced.
fn read(path: &Path) -> Result<String, String> {
    let name = path.display();
    let failed = |e: std::io::Error| format!("cannot read {name}: {e}");
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = std::fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(format!("{name} is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("{name} is larger than {} MiB", LARGEST >> 20));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Commands may hold what others should not see: the file is its owner's alone.
fn write(path: &Path, text: &str, force: bool) -> Result<(), String> {
    let failed = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::AlreadyExists => format!("{} is there already; --force writes over it", path.display()),
        _ => format!("cannot write {}: {e}", path.display()),
    };
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(!force).create(force).truncate(force).mode(0o600);
    let mut file = options.open(path).map_err(failed)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}
