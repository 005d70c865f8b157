//! What the public may see: services under public names, and the page that shows them.

use super::{AbsPath, Given, Mistake, mistake::url_mistake};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// A service as the public knows it. Nothing else of it is ever shown to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Public {
    /// What it is called there.
    pub name: String,
    /// What it stands under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl Public {
    /// The name as it stands in addresses: `Web shop (EU)` is `web-shop-eu`. Empty if nothing of it can stand there.
    pub fn slug(&self) -> String {
        let mut slug = String::new();
        for c in self.name.chars() {
            if c.is_alphanumeric() {
                slug.extend(c.to_lowercase());
            } else if !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
        }
        slug.truncate(slug.trim_end_matches('-').len());
        slug
    }
}

/// The page for the public.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusPage {
    /// A listener of its own, at any address; with or without one it is at `/status` of the page, and needs no signing in there.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "address")]
    #[schemars(with = "Option<String>")]
    pub listen: Option<SocketAddr>,
    /// Where the public finds it, for the links in its feed: `https://status.example.org`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Its title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// A picture, SVG or PNG, that is shown beside the title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<AbsPath>")]
    pub logo: Option<Logo>,
    /// A few words below the title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let error = || serde::de::Error::custom("expected an address with a port, such as `0.0.0.0:8080` or `[::]:8080`");
    text.parse().map(Some).map_err(|_| error())
}

impl StatusPage {
    /// What is wrong with it beyond the types of its keys.
    pub(crate) fn mistakes(&self) -> Vec<Mistake> {
        let mistake = |url: &String| url_mistake(&Given::literal(url), &["url"]);
        let help = "write where the public finds the page: `https://status.example.org`";
        self.url.iter().filter_map(mistake).map(|mistake| mistake.help(help)).collect()
    }
}

/// A picture of a file: read with the rules, so that it is good or they are refused.
#[derive(Clone, PartialEq, Eq)]
pub struct Logo {
    /// Where it was read from.
    pub path: AbsPath,
    /// What it is.
    pub format: Picture,
    /// The picture itself.
    pub bytes: Arc<[u8]>,
}

/// What browsers show as an image and cannot harm whoever looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picture {
    /// `image/svg+xml`
    Svg,
    /// `image/png`
    Png,
}

impl Picture {
    /// What these bytes are, if they are one of the two.
    pub fn of(bytes: &[u8]) -> Option<Picture> {
        if bytes.starts_with(b"\x89PNG\r\n\x1a\n") && bytes.get(12..16) == Some(b"IHDR") {
            return Some(Picture::Png);
        }
        let mut reader = quick_xml::Reader::from_reader(bytes);
        reader.config_mut().check_end_names = true;
        let (mut is_svg, mut depth) = (false, 0usize);
        // A browser shows nothing of an SVG with a mistake anywhere.
        loop {
            use quick_xml::events::Event;
            match reader.read_event() {
                Ok(Event::Start(tag)) => {
                    is_svg |= depth == 0 && tag.local_name().as_ref() == "svg";
                    depth += 1;
                }
                Ok(Event::Empty(tag)) => is_svg |= depth == 0 && tag.local_name().as_ref() == "svg",
                Ok(Event::End(_)) => depth = depth.saturating_sub(1),
                Ok(Event::Eof) => return (is_svg && depth == 0).then_some(Picture::Svg),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }
    /// As HTTP has it.
    pub fn media_type(self) -> &'static str {
        match self {
            Picture::Svg => "image/svg+xml",
            Picture::Png => "image/png",
        }
    }
}

impl fmt::Debug for Logo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Logo({}, {:?})", self.path, self.format)
    }
}

impl Serialize for Logo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.path.serialize(serializer)
    }
}

/// The path alone: whoever reads the rules reads the picture as well.
impl<'de> Deserialize<'de> for Logo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Logo, D::Error> {
        let path = AbsPath::deserialize(deserializer)?;
        Ok(Logo { path, format: Picture::Svg, bytes: Arc::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_addresses() {
        for (name, slug) in
            [("Web shop (EU)", "web-shop-eu"), ("api.v2", "api-v2"), ("Größe", "größe"), ("…", ""), ("-a-", "a")]
        {
            assert_eq!(Public { name: name.into(), group: None, description: None }.slug(), slug);
        }
    }

    #[test]
    fn pictures_are_told_by_what_is_in_them() {
        for (bytes, picture) in [
            (&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0"[..], Some(Picture::Png)),
            (
                b"<?xml version=\"1.0\"?>\n<!-- made by hand --><svg xmlns=\"http://www.w3.org/2000/svg\"><g/></svg>",
                Some(Picture::Svg),
            ),
            (b"<svg/>", Some(Picture::Svg)),
            (b"<html><svg></svg><svg/></html>", None),
            (b"<svg><g></svg>", None),
            (b"<svg>", None),
            (b"\x89PNG", None),
            (b"GIF89a", None),
            (b"", None),
        ] {
            assert_eq!(Picture::of(bytes), picture, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
