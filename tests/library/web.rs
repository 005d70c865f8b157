//! Web servers and proxies.

use super::Try;

#[test]
fn nginx() {
    Try::of("nginx").run();
}

#[test]
fn apache2() {
    Try::of("apache2").run();
}

#[test]
fn lighttpd() {
    Try::of("lighttpd").run();
}

#[test]
fn caddy() {
    let port = "sysctl -q net.ipv4.ip_unprivileged_port_start=80";
    Try::of("caddy")
        .prepare(port)
        .command("start: [/usr/bin/caddy, run, --config, /etc/caddy/Caddyfile], user: caddy")
        .run();
}

/// Of Debian's configuration, which has no frontend, only the socket answers.
#[test]
fn haproxy() {
    Try::of("haproxy").run();
}

/// Nobody is behind it: it answers that.
#[test]
fn varnish() {
    Try::of("varnish").run();
}

#[test]
fn squid() {
    Try::of("squid").run();
}
