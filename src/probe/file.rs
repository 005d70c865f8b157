//! Asks for files, on threads that may hang: a file can lie on a dead mount.

use super::tail::Tail;
use super::{Rate, place};
use crate::model::kinds::{CheckKind, File};
use crate::model::{Clock, Found, MetricId, MetricSet, Now, Reading, Sample, Wall};
use crate::sys::{accounts, careful};
use sha2::{Digest, Sha256};
use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const fn metric(name: &str) -> MetricId {
    place(File::METRICS, name)
}
const MISSING: MetricId = metric("missing");
const SIZE: MetricId = metric("size");
const AGE: MetricId = metric("age");
const MODE: MetricId = metric("mode");
const OWNER: MetricId = metric("owner");
const GROUP: MetricId = metric("group");
const CHECKSUM: MetricId = metric("checksum");
const GREW: MetricId = metric("grew");
const LINES: MetricId = metric("lines");

/// Larger files have no checksum.
const MOST_SUMMED: u64 = 64 << 20;
/// Growth is measured over no shorter time. A file is also looked at when it has been written to: between that look and the
/// next regular one, a log that gets some lines each second would seem to stand still, and no hold would ever last.
const GROWTH: Duration = Duration::from_secs(1);
/// A file written so lately may be written again without its times changing.
const FRESH: Duration = Duration::from_secs(2);

/// What is kept of a check between two looks.
#[derive(Default)]
pub(super) struct State {
    grew: Rate,
    checksum: Option<(Version, Arc<str>)>,
    tail: Tail,
}

/// A file with this content: device, inode, size, and when it and its entry were last changed.
type Version = (u64, u64, u64, (i64, i64), (i64, i64));

impl State {
    /// One look.
    pub(super) fn look(&mut self, file: &File, wanted: MetricSet, clock: &dyn Clock) -> Sample {
        let began = clock.now();
        let path = file.path.as_path();
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => Some(metadata),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => None,
            Err(e) => return Sample::unknown(clock.now(), format!("{} cannot be looked at: {e}", file.path)),
        };
        let mut note = None;
        let mut told = |result: Result<Reading, String>| {
            result.unwrap_or_else(|why| {
                note = Some(Arc::from(why));
                Reading::Unknown
            })
        };
        let mut readings = Vec::with_capacity(File::METRICS.len());
        readings.push((MISSING, Reading::Flag(metadata.is_none())));
        match &metadata {
            None => {
                self.grew = Rate::default();
                readings.extend((SIZE.0..LINES.0).map(|id| (MetricId(id), Reading::Absent)));
            }
            Some(metadata) => {
                let text = |text: String| Reading::Text(text.into());
                readings.push((SIZE, Reading::Number(metadata.len() as f64)));
                readings.push((AGE, Reading::Number(age(metadata, began).as_secs_f64())));
                readings.push((MODE, text(format!("{:04o}", metadata.mode() & 0o7777))));
                if wanted.contains(OWNER) {
                    readings.push((OWNER, text(accounts::name_of_user(metadata.uid()))));
                }
                if wanted.contains(GROUP) {
                    readings.push((GROUP, text(accounts::name_of_group(metadata.gid()))));
                }
                if wanted.contains(CHECKSUM) {
                    readings.push((CHECKSUM, told(self.checksum(path, metadata, began).map(Reading::Text))));
                }
                let grew = self.grew.take_over(GROWTH, began.mono, metadata.len());
                readings.extend(grew.map(|rate| (GREW, Reading::Number(rate))));
            }
        }
        if wanted.contains(LINES) {
            let lines = self.tail.look(path, metadata.as_ref(), file.matches.as_ref());
            let lines = lines.map(|lines| lines.map_or(Reading::Absent, |lines| Reading::Number(lines as f64)));
            readings.push((LINES, told(lines.map_err(|e| format!("the lines of {} cannot be read: {e}", file.path)))));
        }
        let at = clock.now();
        Sample { at, took: at.mono - began.mono, readings, note, found: Found::Unasked }
    }

    /// In hexadecimal. Kept for as long as nothing says that the file has changed.
    fn checksum(&mut self, path: &Path, metadata: &Metadata, now: Now) -> Result<Arc<str>, String> {
        let version = version(metadata);
        if let Some((of, sum)) = &self.checksum
            && *of == version
        {
            return Ok(Arc::clone(sum));
        }
        self.checksum = None;
        if metadata.len() > MOST_SUMMED {
            return Err(format!("{} is larger than 64 MiB: it has no checksum", path.display()));
        }
        let sum = sha256(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
        if age(metadata, now) > FRESH {
            self.checksum = Some((version, Arc::clone(&sum)));
        }
        Ok(sum)
    }
}

fn version(metadata: &Metadata) -> Version {
    let (modified, changed) = ((metadata.mtime(), metadata.mtime_nsec()), (metadata.ctime(), metadata.ctime_nsec()));
    (metadata.dev(), metadata.ino(), metadata.len(), modified, changed)
}

fn age(metadata: &Metadata, now: Now) -> Duration {
    let modified = metadata.mtime().saturating_mul(1000).saturating_add(metadata.mtime_nsec() / 1_000_000);
    now.wall - Wall(modified)
}

fn sha256(path: &Path) -> io::Result<Arc<str>> {
    // It may grow while it is read.
    let mut file = careful::open_regular(path)?.take(MOST_SUMMED);
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            len => hasher.update(&buffer[..len]),
        }
    }
    let digits: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(digits.into())
}
