//! How somebody wants to read: in which zone, light or dark. The page's script asks the browser, and the browser says it in cookies,
//! so that a page comes as it should be and does not change before one's eyes.

use super::cookie::cookies;
use axum::http::HeaderMap;
use jiff::tz::TimeZone;

/// The longest name of a zone that is looked up.
const ZONE: usize = 64;

/// How somebody wants to read.
#[derive(Debug, Clone)]
pub(in crate::dashboard) struct Reader {
    /// The zone of the times: of this machine, if nothing is said.
    pub zone: TimeZone,
    /// `light` or `dark`; as the system has it, if nothing is said.
    pub theme: Option<&'static str>,
}

impl Default for Reader {
    fn default() -> Reader {
        Reader { zone: TimeZone::system(), theme: None }
    }
}

impl Reader {
    pub fn of(headers: &HeaderMap) -> Reader {
        let zone = cookies(headers, "zone").next().filter(|name| name.len() <= ZONE && name.is_ascii());
        let zone = zone.and_then(|name| TimeZone::get(&name.replace("%2F", "/")).ok()).unwrap_or_else(TimeZone::system);
        let theme = match cookies(headers, "theme").next() {
            Some("light") => Some("light"),
            Some("dark") => Some("dark"),
            _ => None,
        };
        Reader { zone, theme }
    }
    /// The name of the zone, where it has one.
    pub fn zone_name(&self) -> &str {
        self.zone.iana_name().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header::COOKIE;

    fn reader(cookies: &[&'static str]) -> (String, Option<&'static str>) {
        let mut headers = HeaderMap::new();
        for line in cookies {
            headers.append(COOKIE, line.parse().unwrap());
        }
        let reader = Reader::of(&headers);
        (reader.zone_name().to_owned(), reader.theme)
    }

    #[test]
    fn what_the_browser_says_is_so_and_nonsense_is_as_if_nothing_were_said() {
        let (system, _) = reader(&[]);
        assert_eq!(reader(&["zone=Europe/Berlin; theme=dark"]), ("Europe/Berlin".into(), Some("dark")));
        assert_eq!(reader(&["a=b", "zone=Asia%2FTokyo"]), ("Asia/Tokyo".into(), None));
        for nonsense in
            ["zone=../../etc/passwd; theme=red", "zone=; theme", "zone=\"x\";;=;theme=Dark", "zone=Mars/Olympus"]
        {
            assert_eq!(reader(&[nonsense]), (system.clone(), None), "{nonsense}");
        }
    }
}
