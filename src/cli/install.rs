//! `minder install`: minder under a supervisor of its own.

use super::{Failure, Outcome, code};
use crate::sys::trust;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Put minder under the supervisor of this machine
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  minder install --systemd --print     show the unit\n  \
                        minder install --runit               write /etc/sv/minder, and say how it is switched on\n  \
                        minder install --runit --to ./sv     write it elsewhere")]
pub(super) struct Args {
    #[command(flatten)]
    supervisor: Which,
    /// Write the files below this directory, in place of where the supervisor looks for them
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Write nothing: print the files
    #[arg(long)]
    print: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// A service directory, with its log
    #[arg(long)]
    runit: bool,
    /// A service directory, with its log
    #[arg(long)]
    s6: bool,
    /// A unit
    #[arg(long)]
    systemd: bool,
    /// An init script
    #[arg(long)]
    sysv: bool,
}

/// What makes minder a service of one supervisor.
struct Kit {
    directory: &'static str,
    /// Below the directory: name, content, mode.
    files: &'static [(&'static str, &'static str, u32)],
    /// How it is switched on.
    then: &'static str,
}

const RUNIT: Kit = Kit {
    directory: "/etc/sv",
    files: &[
        ("minder/run", include_str!("../../dist/runit/minder/run"), 0o755),
        ("minder/check", include_str!("../../dist/runit/minder/check"), 0o755),
        ("minder/finish", include_str!("../../dist/runit/minder/finish"), 0o755),
        ("minder/log/run", include_str!("../../dist/runit/minder/log/run"), 0o755),
    ],
    then: "Switch it on: ln -s DIR/minder /etc/service/",
};

const S6: Kit = Kit {
    directory: "/etc/s6",
    files: &[
        ("minder/run", include_str!("../../dist/s6/minder/run"), 0o755),
        ("minder/finish", include_str!("../../dist/s6/minder/finish"), 0o755),
        ("minder/log/run", include_str!("../../dist/s6/minder/log/run"), 0o755),
    ],
    then: "Switch it on: ln -s DIR/minder /run/service/ && s6-svscanctl -a /run/service",
};

const SYSTEMD: Kit = Kit {
    directory: "/etc/systemd/system",
    files: &[("minder.service", include_str!("../../dist/systemd/minder.service"), 0o644)],
    then: "Switch it on: systemctl daemon-reload && systemctl enable --now minder",
};

const SYSV: Kit = Kit {
    directory: "/etc/init.d",
    files: &[("minder", include_str!("../../dist/sysv/minder"), 0o755)],
    then: "Switch it on: update-rc.d minder defaults && service minder start",
};

/// Where the shipped files have the program.
const SHIPPED: &str = "/usr/bin/minder";

pub(super) fn run(args: &Args) -> Result<Outcome, Failure> {
    let kit = match &args.supervisor {
        Which { runit: true, .. } => RUNIT,
        Which { s6: true, .. } => S6,
        Which { systemd: true, .. } => SYSTEMD,
        _ => SYSV,
    };
    let program = std::env::current_exe()
        .map_err(|e| Failure::new(code::WRONG, format!("it cannot be said where this program is: {e}")))?;
    // It goes into scripts and a unit as it is.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._+-".contains(c);
    let program = program.to_str().filter(|path| path.chars().all(is_plain)).ok_or_else(|| {
        let words = format!(
            "{} cannot stand in a script; put the program elsewhere",
            program.display().to_string().escape_debug()
        );
        Failure::new(code::USAGE, words)
    })?;
    let directory = args.to.as_deref().unwrap_or(Path::new(kit.directory));
    let files: Vec<(PathBuf, String, u32)> = kit
        .files
        .iter()
        .map(|(name, content, mode)| (directory.join(name), content.replace(SHIPPED, program), *mode))
        .collect();
    if args.print {
        let text: Vec<String> = files.iter().map(|(path, text, _)| format!("# {}\n{text}", path.display())).collect();
        return Ok(Outcome { text: text.join("\n"), code: code::WELL });
    }
    let mut text = String::new();
    // All or nothing: what stands there already is looked at before anything is written.
    for (path, content, _) in &files {
        match fs::read_to_string(path) {
            Ok(there) if there == *content => {}
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Ok(_) => {
                let words = format!(
                    "{} is there already, and differs; nothing was written. Compare it with `--print`, \
                                     and move it away",
                    path.display()
                );
                return Err(Failure::new(code::WRONG, words));
            }
            Err(e) => return Err(Failure::new(code::WRONG, format!("{}: {e}", path.display()))),
        }
    }
    for (path, content, mode) in &files {
        let written = write(path, content, *mode);
        let written = written.map_err(|e| Failure::new(code::WRONG, format!("{}: {e}", path.display())))?;
        text.push_str(&format!("{} {}\n", if written { "wrote" } else { "is there already:" }, path.display()));
    }
    text.push_str(&kit.then.replace("DIR", &directory.display().to_string()));
    text.push('\n');
    // Such as one that was built in somebody's clone.
    if let Err(why) = trust::only_root_or(0, Path::new(program)) {
        text.push_str(&format!(
            "But root would run what others can replace: {why}. Put it elsewhere first, and call it there: install {program} /usr/local/bin/\n"
        ));
    }
    Ok(Outcome { text, code: code::WELL })
}

/// Whether it was written: what is there is as it should be.
fn write(path: &Path, content: &str, mode: u32) -> std::io::Result<bool> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(mode).open(path) {
        Ok(mut file) => file.write_all(content.as_bytes()).map(|()| true),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e),
    }
}
