//! The page: where it is, and who may see it. A function for each key that is more than a word.

use super::diagnostic::Diagnostic;
use super::plan::Builder;
use super::tree::Node;
use crate::model::Dashboard;
use std::net::SocketAddr;

const KEYS: &[&str] = &["listen", "url", "users", "tokens", "proxy"];

impl<'a> Builder<'a> {
    pub(super) fn dashboard(&mut self, node: &'a Node) -> Dashboard {
        let mut dashboard = Dashboard::default();
        let Some(entries) = self.map(node, "`dashboard`") else { return dashboard };
        self.known_keys(entries, "`dashboard`", KEYS, &[]);
        if let Some((key, _)) = node.get("url") {
            dashboard.url = self.value(node, "url");
            self.mistakes(node, key.place, dashboard.mistakes());
        }
        if let Some((_, listen)) = node.get("listen")
            && let Some(address) = self.listen(listen)
        {
            dashboard.listen = address;
        }
        self.users(node, &mut dashboard);
        self.tokens(node, &mut dashboard);
        self.proxy(node, &mut dashboard);
        dashboard
    }

    fn listen(&mut self, listen: &Node) -> Option<SocketAddr> {
        match listen.text().and_then(|text| text.parse::<SocketAddr>().ok()) {
            None => {
                let message = format!("expected an address with a port, found {}", listen.describe());
                self.found.push(Diagnostic::new(listen.place, message).help("write, for example, `127.0.0.1:8900`"));
                None
            }
            Some(address) if !address.ip().is_loopback() => {
                let message = "in this version the page is for this machine only: the address must be a loopback one";
                let help = "write `127.0.0.1:8900`; to see it from elsewhere, use `ssh -L 8900:127.0.0.1:8900 HOST`";
                self.found.push(Diagnostic::new(listen.place, message).help(help));
                None
            }
            Some(address) => Some(address),
        }
    }

    /// Who may sign in.
    fn users(&mut self, _: &'a Node, _: &mut Dashboard) {}

    /// The programs that may ask.
    fn tokens(&mut self, _: &'a Node, _: &mut Dashboard) {}

    /// What stands in front of the page.
    fn proxy(&mut self, _: &'a Node, _: &mut Dashboard) {}
}
