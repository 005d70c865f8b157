//! Databases, caches and queues.

use super::Try;

#[test]
fn redis() {
    Try::of("redis").run();
}

#[test]
fn memcached() {
    Try::of("memcached").run();
}

#[test]
fn postgresql() {
    Try::of("postgresql").run();
}

#[test]
fn mariadb() {
    Try::of("mariadb").run();
}

#[test]
fn rabbitmq() {
    Try::of("rabbitmq").run();
}

#[test]
fn mosquitto() {
    // Its script does not make the directory of its pidfile; its unit does.
    Try::of("mosquitto").prepare("install -d -o mosquitto /run/mosquitto /var/log/mosquitto").run();
}

#[test]
fn nats() {
    let start = "start: [/usr/bin/setpriv, --reuid, nats, --regid, nats, --clear-groups, \
                 /usr/sbin/nats-server, -c, /etc/nats-server.conf]";
    Try::of("nats").command(start).run();
}
