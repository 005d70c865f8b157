//! `filesystem`: how full a mounted filesystem is, and whether it answers at all.

use super::{CheckKind, Mistake};
use crate::model::{Dimension, Metric};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Component, Path};

/// The keys of a `filesystem` check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Filesystem {
    /// Where it is mounted (`/srv`), the device that it is on (`/dev/sda1`), or the share that it comes from (`nas:/export`,
    /// `//nas/share`).
    pub mount: String,
}

impl CheckKind for Filesystem {
    const NAME: &'static str = "filesystem";
    const SHORT: Option<&'static str> = Some("mount");
    const DEFAULT: Option<&'static str> = Some("failed");
    const METRICS: &'static [Metric] = &[
        Metric::new("failed", Dimension::Flag, "it is not mounted, or does not answer"),
        Metric::new("missing", Dimension::Flag, "it is not mounted"),
        Metric::new("used", Dimension::Bytes, "space in use, of all that may be used").of_whole(),
        Metric::new("free", Dimension::Bytes, "space that users without privileges still may use, of all").of_whole(),
        Metric::new("inodes", Dimension::Count, "inodes in use, of all").of_whole(),
        Metric::new("readonly", Dimension::Flag, "it is mounted for reading only"),
        Metric::new("read", Dimension::ByteRate, "bytes read from its device"),
        Metric::new("write", Dimension::ByteRate, "bytes written to its device"),
    ];

    fn mistakes(&self) -> Vec<Mistake> {
        let mount = self.mount.as_str();
        // As in fstab.
        let tags = [("UUID=", "uuid"), ("LABEL=", "label"), ("PARTUUID=", "partuuid"), ("PARTLABEL=", "partlabel")];
        let tag =
            tags.iter().find_map(|(tag, by)| mount.strip_prefix(tag).map(|value| format!("/dev/disk/by-{by}/{value}")));
        if let Some(link) = tag {
            return vec![
                Mistake::new(&["mount"], format!("`{mount}` is no mount point, device or share"))
                    .help(format!("write the device's link, `{link}`")),
            ];
        }
        if Path::new(mount).components().any(|part| part == Component::ParentDir) {
            return vec![
                Mistake::new(&["mount"], format!("`{mount}` has a `..` in it")).help("write the path without it"),
            ];
        }
        // Of shares: `nas:/export`, `user@host:`, `fs@fsid.name=/`.
        if mount.starts_with('/') || mount.contains(':') || mount.contains("=/") {
            return Vec::new();
        }
        vec![
            Mistake::new(&["mount"], format!("`{mount}` is no mount point, device or share"))
                .help("write where it is mounted, such as `/srv`, its device, such as `/dev/sda1`, or its share, such as `nas:/export`"),
        ]
    }

    fn about(&self) -> String {
        self.mount.clone()
    }
}
