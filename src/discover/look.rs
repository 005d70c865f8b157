//! Looks at a machine. Everything is read within bounds; nothing is written, started or connected to.

use super::{Listening, Machine, Pidfile, Process, Program, supervisors};
use crate::sys::sockets::{Listener, listening};
use crate::sys::{accounts, careful, proc, trust};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The most processes that are looked at.
const PROCESSES: usize = 32_768;
/// The most open files of a process, and of all, in which sockets are looked for.
const FILES: usize = 16_384;
const ALL_FILES: usize = 1_000_000;
/// The most pidfiles, and the most names in a directory where they may be.
const PIDFILES: usize = 1000;
const NAMES: usize = 10_000;
/// So much is read of a list of arguments, an environment, a table of sockets, a pidfile.
const ARGUMENTS: u64 = 4096;
const ENVIRONMENT: u64 = 64 << 10;
const TABLE: u64 = 16 << 20;
const PIDFILE: u64 = 64;
/// How exact the times of files and processes are to each other.
const SLACK: i64 = 5;

impl Machine {
    /// Looks at the machine whose root directory this is: `/`, or that of a made-up one.
    pub fn look(root: &Path) -> Machine {
        let mut machine = Machine::default();
        let proc = root.join("proc");
        let users = accounts::users();
        let us = rustix::process::geteuid().as_raw();
        let own_pids = std::fs::read_link(proc.join("self/ns/pid")).ok();
        let mut pids = numbers(&proc, PROCESSES + 1);
        if pids.len() > PROCESSES {
            machine.notes.push(format!("all but the first {PROCESSES} processes"));
            pids.truncate(PROCESSES);
        }
        let mut holders: HashMap<u64, Vec<u32>> = HashMap::new();
        let (mut files, mut unseen) = (ALL_FILES, 0);
        for pid in pids {
            let at = proc.join(pid.to_string());
            let Some(process) = process(&at, us, &users, own_pids.as_deref()) else { continue };
            match sockets_of(&at, &mut files) {
                Some(inodes) => inodes.into_iter().for_each(|inode| holders.entry(inode).or_default().push(pid)),
                None => unseen += 1,
            }
            machine.processes.insert(pid, process);
        }
        if unseen > 0 {
            machine
                .notes
                .push(format!("the addresses of {unseen} processes whose files we may not see: only root may"));
        }
        let mut seen = HashSet::new();
        for table in ["net/tcp", "net/tcp6"] {
            let text = text(&proc.join(table), TABLE);
            for Listener { address, inode, .. } in listening(&text) {
                if seen.insert(inode) {
                    machine.listening.push(Listening { address, pids: holders.remove(&inode).unwrap_or_default() });
                }
            }
        }
        machine.listening.sort_by_key(|listening| listening.address);
        machine.pidfiles = pidfiles(root, &machine.processes);
        let trusted = |path: &Path| trust::only_root_or(us, &under(root, path)).is_ok();
        machine.trusted =
            supervisors::directories(&machine).into_iter().map(|(_, path)| path).filter(|path| trusted(path)).collect();
        machine
    }
}

/// An absolute path of the machine with this root.
fn under(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// The entries of a directory that are numbers, in order, at most so many.
fn numbers(directory: &Path, most: usize) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut numbers: Vec<u32> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).take(most).collect();
    numbers.sort_unstable();
    numbers
}

fn bytes(path: &Path, most: u64) -> Vec<u8> {
    proc::read_path(path, most).unwrap_or_default()
}

fn text(path: &Path, most: u64) -> String {
    String::from_utf8_lossy(&bytes(path, most)).into_owned()
}

/// The texts that end with a NUL.
fn texts(bytes: &[u8]) -> Vec<String> {
    let mut texts: Vec<String> =
        bytes.split(|b| *b == 0).map(|text| String::from_utf8_lossy(text).into_owned()).collect();
    while texts.last().is_some_and(String::is_empty) {
        texts.pop();
    }
    texts
}

/// A process that lives.
fn process(at: &Path, us: u32, users: &HashMap<u32, String>, own_pids: Option<&Path>) -> Option<Process> {
    let line = bytes(&at.join("stat"), 1024);
    let stat = proc::parse_stat(&line).filter(proc::Stat::is_alive)?;
    let uid = std::fs::metadata(at).ok()?.uid();
    let link = |name: &str| std::fs::read_link(at.join(name)).ok();
    let ours = uid == 0 || uid == us;
    let mut process = Process {
        parent: stat.ppid,
        start: stat.start,
        name: String::from_utf8_lossy(stat.comm.as_bytes()).into_owned(),
        user: users.get(&uid).cloned().unwrap_or_else(|| uid.to_string()),
        ours,
        kernel: stat.kernel,
        ..Process::default()
    };
    if stat.kernel {
        return Some(process);
    }
    process.terminal = has_terminal(&line);
    process.program = link("exe").map(|path| match path.as_os_str().as_bytes().strip_suffix(b" (deleted)") {
        Some(path) => PathBuf::from(OsStr::from_bytes(path)),
        None => path,
    });
    process.arguments = texts(&bytes(&at.join("cmdline"), ARGUMENTS));
    process.elsewhere = own_pids.is_some_and(|own| link("ns/pid").is_some_and(|theirs| theirs != own));
    process.directory = link("cwd");
    process.cgroup = cgroup(&text(&at.join("cgroup"), ARGUMENTS));
    process.program_of = program(&texts(&bytes(&at.join("environ"), ENVIRONMENT)));
    Some(process)
}

/// The seventh field of `/proc/PID/stat` is its terminal, or 0.
fn has_terminal(line: &[u8]) -> bool {
    let rest = line.iter().rposition(|b| *b == b')').and_then(|close| line.get(close + 2..)).unwrap_or_default();
    rest.split(|b| *b == b' ').nth(4).is_some_and(|terminal| terminal != b"0")
}

/// That of systemd: the one hierarchy of version 2, or the named one of version 1.
fn cgroup(text: &str) -> String {
    let of = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
    let named = text.lines().find_map(|line| line.split_once(":name=systemd:").map(|(_, path)| path));
    named.or_else(|| of("0::")).unwrap_or_default().to_owned()
}

/// What supervisord puts into the environment of its programs.
fn program(environment: &[String]) -> Option<Program> {
    let of = |name: &str| environment.iter().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    of("SUPERVISOR_ENABLED")?;
    let (name, group) = (of("SUPERVISOR_PROCESS_NAME")?, of("SUPERVISOR_GROUP_NAME")?);
    let name = if name == group { name.to_owned() } else { format!("{group}:{name}") };
    let server = of("SUPERVISOR_SERVER_URL").unwrap_or("unix:///run/supervisor.sock").to_owned();
    Some(Program { name, server })
}

/// The sockets that a process holds open; nothing if we may not see.
fn sockets_of(at: &Path, left: &mut usize) -> Option<Vec<u64>> {
    let entries = std::fs::read_dir(at.join("fd")).ok()?;
    let mut inodes = Vec::new();
    for entry in entries.flatten().take(FILES.min(*left)) {
        *left -= 1;
        let Ok(link) = std::fs::read_link(entry.path()) else { continue };
        let inode: Option<u64> =
            link.to_str().and_then(|link| link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
        inodes.extend(inode);
    }
    inodes.sort_unstable();
    inodes.dedup();
    Some(inodes)
}

/// The pidfiles in `/run` and the directories in it.
fn pidfiles(root: &Path, processes: &BTreeMap<u32, Process>) -> Vec<Pidfile> {
    let booted = proc::number_after(&bytes(&root.join("proc/stat"), TABLE), "btime");
    let run = root.join("run");
    let mut found = Vec::new();
    let mut directories = vec![run.clone()];
    directories
        .extend(entries(&run).into_iter().filter(|path| std::fs::symlink_metadata(path).is_ok_and(|m| m.is_dir())));
    for path in directories.iter().flat_map(|directory| entries(directory)) {
        if path.extension().is_some_and(|end| end == "pid") && found.len() < PIDFILES {
            found.extend(pidfile(root, &path, booted, processes));
        }
    }
    found
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().take(NAMES).map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// A pidfile, if it names a process that lived when it was written.
fn pidfile(root: &Path, path: &Path, booted: Option<u64>, processes: &BTreeMap<u32, Process>) -> Option<Pidfile> {
    let opened = careful::open(path).ok()?;
    let written = opened.file.metadata().ok()?.mtime();
    let mut text = String::new();
    opened.file.take(PIDFILE).read_to_string(&mut text).ok()?;
    let pid = text.trim().parse().ok().filter(|pid| *pid > 1)?;
    let process = processes.get(&pid)?;
    let started = booted.map(|booted| (booted + process.start / proc::ticks_per_second()).cast_signed());
    if started.is_some_and(|started| written < started - SLACK) {
        // It is that of another process, which has ended.
        return None;
    }
    let user = accounts::uid_of(&process.user).or_else(|| process.user.parse().ok())?;
    let distrust = trust::only_root_or(user, path).err().map(|why| match root.to_str() {
        // As the machine itself would name it.
        Some(made_up) if made_up != "/" => why.to_string().replace(made_up, ""),
        _ => why.to_string(),
    });
    let path = Path::new("/").join(path.strip_prefix(root).ok()?);
    Some(Pidfile { path, pid, distrust })
}
