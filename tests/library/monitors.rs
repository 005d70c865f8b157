//! What watches others, and what holds them.

use super::Try;

#[test]
fn prometheus() {
    Try::of("prometheus").run();
}

#[test]
fn node_exporter() {
    Try::of("node-exporter").run();
}

#[test]
fn containerd() {
    Try::of("containerd").command("start: [/usr/bin/containerd]").run();
}

/// Without networks and the cgroups of its init script, which are those of all machines.
#[test]
fn docker() {
    let start = "start: [/usr/sbin/dockerd, --iptables=false, --bridge=none, --ip-forward=false, --storage-driver=vfs]";
    Try::of("docker").command(start).run();
}
