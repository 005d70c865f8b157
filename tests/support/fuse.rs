//! A filesystem that stops answering when it is told to.

use super::tool;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// See `fuse.py`. Dropping it unmounts it, dead or alive. Needs root.
pub struct Fuse {
    process: Child,
    out: BufReader<ChildStdout>,
    dir: Option<tempfile::TempDir>,
}

impl Fuse {
    /// Mounts it, in a directory of its own.
    pub fn mount() -> Fuse {
        let dir = tempfile::Builder::new().prefix("minder-test-fuse-").tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/fuse.py");
        let mut command = Command::new(tool("venv/bin/python"));
        std::fs::create_dir(dir.path().join("mnt")).unwrap();
        command.arg(script).arg(dir.path().join("mnt")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        let mut fuse = Fuse { process, out, dir: Some(dir) };
        assert_eq!(fuse.line(), "mounted");
        fuse
    }

    /// The directory that it is mounted in.
    pub fn parent(&self) -> PathBuf {
        self.dir.as_ref().unwrap().path().to_owned()
    }

    /// Where it is mounted.
    pub fn point(&self) -> PathBuf {
        self.parent().join("mnt")
    }

    /// An order: `free 100`, `stop`, `swallow`, `go on`.
    #[track_caller]
    pub fn order(&mut self, order: &str) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{order}").unwrap();
        assert_eq!(self.line(), "done", "{order}");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
        // Removing what lies below a directory would ask a mount that is still there.
        let dir = self.dir.take().unwrap().keep();
        let _ = std::fs::remove_dir(dir.join("mnt"));
        let _ = std::fs::remove_dir(dir);
    }
}
