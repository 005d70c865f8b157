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
    // Its script gives root the pidfile that the daemon then cannot write; the unit does as here.
    let start = "start: [/usr/sbin/mosquitto, -c, /etc/mosquitto/mosquitto.conf]";
    Try::of("mosquitto").prepare("install -d -o mosquitto /run/mosquitto /var/log/mosquitto").command(start).run();
}

#[test]
fn nats() {
    let start = "start: [/usr/bin/setpriv, --reuid, nats, --regid, nats, --clear-groups, \
                 /usr/sbin/nats-server, -c, /etc/nats-server.conf]";
    Try::of("nats").command(start).run();
}
