//! Daemons to be watched, and the care that none of them outlives its test.

use super::{Init, wait_until};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Whether a process with this pid lives. A zombie does not, unless other threads of it still do: they hold its locks.
pub fn process_exists(pid: u32) -> bool {
    if std::fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|tasks| tasks.count() > 1) {
        return true;
    }
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the name, which may hold anything but ends with the last parenthesis.
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// Sends a signal, as `kill -NAME PID` does.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).stderr(Stdio::null()).status();
    assert!(status.unwrap().success(), "no process {pid} to be sent {name}");
}

/// Kills every process that has something to do with this directory: by its arguments, where it is, or what it has open.
/// Daemons have a session of their own, and minder's outlive it; this finds them all the same.
pub fn sweep(dir: &Path) {
    let own = std::process::id();
    let concerns = |pid: u32| {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let text = dir.to_string_lossy().into_owned();
        let cmdline = std::fs::read(proc.join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&cmdline).contains(&text) {
            return true;
        }
        let open = std::fs::read_dir(proc.join("fd")).into_iter().flatten().flatten().map(|entry| entry.path());
        open.chain([proc.join("cwd")]).any(|link| std::fs::read_link(link).is_ok_and(|to| to.starts_with(dir)))
    };
    // Again until none is left: a supervisor may have started another one in between.
    for _ in 0..50 {
        let pids = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let found: Vec<u32> = pids.filter(|&pid| pid != own && process_exists(pid) && concerns(pid)).collect();
        if found.is_empty() {
            return;
        }
        for pid in found {
            let _ = Command::new("kill").arg("-KILL").arg(pid.to_string()).stderr(Stdio::null()).status();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// An nginx of one's own in a directory of the test: a master that daemonises, one worker, a page at `/`.
pub struct Nginx {
    dir: PathBuf,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl Nginx {
    /// Where Debian has it.
    pub const PROGRAM: &str = "/usr/sbin/nginx";

    /// Writes its configuration into `dir/nginx`; does not start it.
    pub fn new(dir: &Path) -> Nginx {
        let dir = dir.join("nginx");
        std::fs::create_dir_all(&dir).unwrap();
        let port = super::free_port();
        let at = dir.display();
        let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|p| format!("{p}_temp_path {at}/{p};"));
        let conf = format!(
            "pid {at}/nginx.pid;\nerror_log {at}/error.log;\nworker_processes 1;\nevents {{}}\n\
             http {{\n  access_log off;\n  {}\n  server {{\n    listen 127.0.0.1:{port};\n    \
             location / {{ return 200 \"ok\"; }}\n  }}\n}}\n",
            paths.join("\n  ")
        );
        std::fs::write(dir.join("nginx.conf"), conf).unwrap();
        Nginx { dir, port }
    }

    /// The arguments that start it, as a list of YAML.
    pub fn start_command(&self) -> String {
        format!("[{}, -c, {}]", Nginx::PROGRAM, self.dir.join("nginx.conf").display())
    }

    /// Starts it, as an init script would.
    #[track_caller]
    pub fn start(&self, init: &Init) {
        let mut command = Command::new(Nginx::PROGRAM);
        init.spawn(command.arg("-c").arg(self.dir.join("nginx.conf")), &self.dir.join("start.log"));
        wait_until("nginx is up", Duration::from_secs(5), || self.pid().is_some_and(process_exists));
    }

    /// Its pidfile.
    pub fn pidfile(&self) -> PathBuf {
        self.dir.join("nginx.pid")
    }

    /// The pid of its master.
    pub fn pid(&self) -> Option<u32> {
        std::fs::read_to_string(self.pidfile()).ok()?.trim().parse().ok()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        sweep(&self.dir);
    }
}

/// A runsv with one service, not under any runsvdir.
pub struct Runsv {
    supervisor: Child,
    dir: PathBuf,
}

impl Runsv {
    /// Supervises a shell script, in `dir/NAME`.
    pub fn start(dir: &Path, name: &str, script: &str) -> Runsv {
        use std::os::unix::fs::PermissionsExt;
        let dir = dir.join(name);
        std::fs::create_dir_all(&dir).unwrap();
        let run = dir.join("run");
        std::fs::write(&run, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o755)).unwrap();
        let supervisor = Command::new("runsv").arg(&dir).stderr(Stdio::null()).spawn().unwrap();
        let runsv = Runsv { supervisor, dir };
        wait_until("runsv has started its service", Duration::from_secs(5), || runsv.pid().is_some());
        runsv
    }

    /// The directory of the service.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The pid of the service while it runs.
    pub fn pid(&self) -> Option<u32> {
        let pid = std::fs::read_to_string(self.dir.join("supervise/pid")).ok()?.trim().parse().ok()?;
        process_exists(pid).then_some(pid)
    }

    /// What its operator does: `sv down`, `sv up`.
    pub fn sv(&self, command: &str) {
        let status = Command::new("sv").arg(command).arg(&self.dir).stdout(Stdio::null()).status();
        assert!(status.unwrap().success(), "sv {command}");
    }
}

impl Drop for Runsv {
    fn drop(&mut self) {
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
        sweep(&self.dir);
    }
}

/// A supervisord of one's own, on a unix socket.
pub struct Supervisord {
    process: Child,
    dir: PathBuf,
}

impl Supervisord {
    /// Starts it in `dir/supervisor`, with these sections beside its own.
    pub fn start(dir: &Path, sections: &str) -> Supervisord {
        let dir = dir.join("supervisor");
        std::fs::create_dir_all(&dir).unwrap();
        let at = dir.display();
        let conf = format!(
            "[supervisord]\nlogfile={at}/log\npidfile={at}/pid\nchildlogdir={at}\n[unix_http_server]\nfile={at}/sock\n\
             [supervisorctl]\nserverurl=unix://{at}/sock\n[rpcinterface:supervisor]\n\
             supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n{sections}\n"
        );
        std::fs::write(dir.join("conf"), conf).unwrap();
        let mut command = Command::new("supervisord");
        command.arg("-n").arg("-c").arg(dir.join("conf")).stdin(Stdio::null());
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let supervisord = Supervisord { process, dir };
        wait_until("supervisord answers", Duration::from_secs(15), || !supervisord.ctl("status").is_empty());
        supervisord
    }

    /// Where it listens, as `server` of a control.
    pub fn server(&self) -> String {
        format!("unix://{}/sock", self.dir.display())
    }

    /// What its operator does: `stop web`. Returns what it prints.
    pub fn ctl(&self, words: &str) -> String {
        let mut command = Command::new("supervisorctl");
        command.arg("-c").arg(self.dir.join("conf")).args(words.split(' '));
        let output = command.output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The pid of a program while it runs.
    pub fn pid(&self, program: &str) -> Option<u32> {
        self.ctl(&format!("pid {program}")).trim().parse().ok().filter(|pid| process_exists(*pid))
    }

    /// Kills it as nothing else can; its programs live on.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Supervisord {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        sweep(&self.dir);
    }
}

/// A service under s6-supervise or supervise, in a directory like runsv's.
pub struct Supervised {
    program: &'static str,
    supervisor: Child,
    dir: PathBuf,
}

impl Supervised {
    /// Supervises the script `run` of these files, in `dir/NAME`, by this program.
    pub fn start(program: &'static str, dir: &Path, name: &str, files: &[(&str, &str)]) -> Supervised {
        use std::os::unix::fs::PermissionsExt;
        let dir = dir.join(name);
        std::fs::create_dir_all(&dir).unwrap();
        for (file, text) in files {
            let path = dir.join(file);
            std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let supervisor = Command::new(program).arg(&dir).stderr(Stdio::null()).spawn().unwrap();
        let supervised = Supervised { program, supervisor, dir };
        let status = supervised.dir.join("supervise/status");
        wait_until("its supervisor keeps a status", Duration::from_secs(5), || {
            std::fs::metadata(&status).is_ok_and(|status| status.len() > 0)
        });
        supervised
    }

    /// What control minder knows it by.
    pub fn control(&self) -> String {
        let name = match self.program {
            "runsv" => "runit",
            "s6-supervise" => "s6",
            _ => "daemontools",
        };
        format!("{{ {name}: {} }}", self.dir.display())
    }

    /// The pid of the service while it runs.
    pub fn pid(&self) -> Option<u32> {
        let status = std::fs::read(self.dir.join("supervise/status")).ok()?;
        let pid = match status.len() {
            18 | 20 => u32::from_le_bytes(status[12..16].try_into().ok()?),
            _ => u32::from_be_bytes(status[28..32].try_into().ok()?),
        };
        (pid != 0 && process_exists(pid)).then_some(pid)
    }

    /// What its operator does: takes it `up` or `down`.
    pub fn order(&self, what: &str) {
        let option = format!("-{}", &what[..1]);
        let (tool, argument) = match self.program {
            "runsv" => ("sv", what),
            "s6-supervise" => ("s6-svc", &*option),
            _ => ("svc", &*option),
        };
        let status = Command::new(tool).arg(argument).arg(&self.dir).stdout(Stdio::null()).status();
        assert!(status.unwrap().success(), "{tool} {argument}");
    }

    /// Kills the supervisor; its service lives on.
    pub fn kill_supervisor(&mut self) {
        self.supervisor.kill().unwrap();
        self.supervisor.wait().unwrap();
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
        sweep(&self.dir);
    }
}
