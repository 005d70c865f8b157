//! Where the page is reached: `listen`, `tls` and `hosts` of `dashboard`.

use super::diagnostic::{Diagnostic, quoted};
use super::plan::Builder;
use super::tree::{Node, Value};
use crate::model::Dashboard;
use std::net::SocketAddr;

impl<'a> Builder<'a> {
    /// Reads these keys. Who may sign in, and the proxy, have been read before.
    pub(super) fn door(&mut self, node: &'a Node, dashboard: &mut Dashboard) {
        dashboard.tls = self.value(node, "tls");
        self.hosts(node, dashboard);
        let Some((_, listen)) = node.get("listen") else { return };
        let Some(address) = listen.text().and_then(|text| text.parse::<SocketAddr>().ok()) else {
            let message = format!("expected an address with a port, found {}", listen.describe());
            let help = "write, for example, `127.0.0.1:8900`, or `0.0.0.0:8900` for all addresses of this machine";
            self.found.push(Diagnostic::new(listen.place, message).help(help));
            return;
        };
        dashboard.listen = address;
        if address.ip().is_loopback() {
            return;
        }
        // What is there and has mistakes of its own is not missing.
        let given = |key| {
            let empty = |value: &Value| matches!(value, Value::Map(entries) if entries.is_empty());
            node.get(key).is_some_and(|(_, node)| !empty(&node.value))
        };
        if !given("users") && !given("tokens") {
            let message = format!("others could reach the page at {address}, and nobody has to sign in");
            let help = "set a user: `minder passwd` asks for a password and makes what to write here, such as \
                        `users: { alice: { password: \"$argon2id$..\", role: admin } }`; without users, listen on this machine \
                        only: `127.0.0.1:8900`, and reach it by `ssh -L 8900:127.0.0.1:8900 HOST`";
            self.found.push(Diagnostic::new(listen.place, message).help(help));
        } else if !given("tls") && !given("proxy") {
            let message = format!("passwords would cross the network to {address} in clear");
            let help = "add `tls: { certificate: /etc/minder/page.pem, key: /etc/minder/page.key }`; or, where a proxy in front \
                        encrypts, say where it connects from: `proxy: { from: [192.0.2.1] }`";
            self.found.push(Diagnostic::new(listen.place, message).help(help));
        }
    }

    fn hosts(&mut self, node: &'a Node, dashboard: &mut Dashboard) {
        dashboard.hosts = self.value(node, "hosts").unwrap_or_default();
        let Some((_, Node { value: Value::Seq(items), .. })) = node.get("hosts") else { return };
        for item in items {
            let Some(name) = item.text() else { continue };
            let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
            if !is_name {
                let message = format!("{} is not the name of a host", quoted(name));
                let help = "write a name by itself, such as `minder.example.org`: any port will do, and addresses need no entry";
                self.found.push(Diagnostic::new(item.place, message).help(help));
            }
        }
    }
}
