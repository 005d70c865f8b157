//! What the public may see: `dashboard.status`, and `public` of a service.

use super::diagnostic::{Diagnostic, quoted};
use super::plan::Builder;
use super::source::picture;
use super::tree::{Key, Node, Value};
use crate::model::{Dashboard, Mistake, Public, Service, StatusPage};
use schemars::JsonSchema;
use serde::Deserialize;
use std::net::SocketAddr;
use std::sync::Arc;

/// The longest public name, in characters: it has its place in a line, and in a badge.
const NAME_LENGTH: usize = 64;

/// `public: { name: Shop, group: Websites, description: .. }`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys {
    /// What it is called there (the service's name)
    #[serde(default)]
    name: Option<String>,
    /// What it stands under (nothing)
    #[serde(default)]
    group: Option<String>,
    /// What it is (nothing)
    #[serde(default)]
    description: Option<String>,
}

impl Builder<'_> {
    /// `dashboard.status`, with its picture. `page` is where the rest of the dashboard listens.
    pub(super) fn status_page(&mut self, dashboard: &Node, page: SocketAddr) -> Option<StatusPage> {
        let (key, node) = dashboard.get("status")?;
        let mut status: StatusPage = self.read(key, node)?;
        let mut mistakes = status.mistakes();
        if status.listen == Some(page) {
            let mistake = Mistake::new(&["listen"], "the page itself listens at this address");
            mistakes
                .push(mistake.help("write another port, or leave `listen` away: it is at `/status` of the page, too"));
        }
        if let Some(logo) = &mut status.logo
            && !self.sources.made_up
        {
            match picture(logo.path.as_path()) {
                Ok((format, bytes)) => (logo.format, logo.bytes) = (format, bytes.into()),
                Err((what, help)) => mistakes.push(Mistake { help, ..Mistake::new(&["logo"], what) }),
            }
        }
        self.mistakes(node, key.place, mistakes);
        Some(status)
    }

    /// What the public may see of a service. What is not said here is not shown: with `true` it is the name and the group.
    pub(super) fn public(&mut self, service: &Key, node: &Node, group: Option<&String>) -> Option<Public> {
        let (key, node) = node.get("public")?;
        let public = match &node.value {
            Value::Map(_) => {
                let Keys { name, group, description } = self.read(key, node)?;
                Public { name: name.unwrap_or_else(|| service.text.clone()), group, description }
            }
            _ => match node.text() {
                Some("true") => Public { name: service.text.clone(), group: group.cloned(), description: None },
                Some("false") => return None,
                _ => {
                    let message = format!("expected `true`, `false` or a map, found {}", node.describe());
                    let help =
                        "write `public: true`, or how the public knows it: `public: { name: Shop, group: Websites }`";
                    self.found.push(Diagnostic::new(node.place, message).help(help));
                    return None;
                }
            },
        };
        let place = node.get("name").map_or(node.place, |(_, name)| name.place);
        let slug = public.slug();
        if slug.is_empty() || public.name.chars().count() > NAME_LENGTH {
            let message = format!("{} cannot be a public name", quoted(&public.name));
            let help =
                format!("it has letters or digits, as it is a part of addresses, and at most {NAME_LENGTH} characters");
            self.found.push(Diagnostic::new(place, message).help(help));
            return None;
        }
        // A template by itself is not a service yet.
        if self.alone {
            return Some(public);
        }
        if let Some(first) = self.publics.get(&slug) {
            let message = format!("two services have the public name {}, or one with the same letters", quoted(&slug));
            let diagnostic = Diagnostic::new(place, message).label("second").also(*first, "first");
            self.found.push(diagnostic.help("give each a name of its own: `public: { name: .. }`"));
            return None;
        }
        self.publics.insert(slug, place);
        Some(public)
    }

    /// A page that shows nothing is no mistake: services may become public one after the other.
    pub(super) fn note_of_status(&mut self, dashboard: &Dashboard, services: &[Arc<Service>]) {
        if dashboard.status.is_some() && services.iter().all(|service| service.public.is_none()) {
            let note = "the status page shows nothing yet: no service has `public: true`, or a public name";
            self.notes.push(note.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Env, load};

    fn report(logo: &[u8]) -> Result<crate::model::Plan, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logo");
        std::fs::write(&path, logo).unwrap();
        let rules = format!(
            "version: 1\ndashboard: {{ status: {{ logo: {} }} }}\nservices: {{ web: {{ checks: [{{ http: http://127.0.0.1/ }}] }} }}",
            path.display()
        );
        let file = dir.path().join("minder.yaml");
        std::fs::write(&file, rules).unwrap();
        load(&file, &Env::default()).map(|(plan, _)| plan)
    }

    #[test]
    fn a_logo_is_read_with_the_rules() {
        let plan = report(b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>").unwrap();
        let logo = plan.dashboard.status.unwrap().logo.unwrap();
        assert_eq!((&logo.bytes[..4], logo.format.media_type()), (&b"<svg"[..], "image/svg+xml"));
        assert!(plan.notes.iter().any(|note| note.contains("the status page shows nothing yet")), "{:?}", plan.notes);
    }

    #[test]
    fn a_logo_that_is_too_large_or_no_picture_is_a_mistake() {
        let large = [b"<svg>", vec![b' '; 256 << 10].as_slice(), b"</svg>"].concat();
        assert!(report(&large).unwrap_err().contains("is larger than 256 KiB"));
        assert!(report(b"<html/>").unwrap_err().contains("is neither a picture in SVG nor one in PNG"));
    }
}
