//! Style and script, compiled in. Their addresses carry a hash of their content, so that browsers may keep them for ever.

use crate::dashboard::Problem;
use crate::dashboard::problem::ProblemPage;
use axum::extract::{Path, RawQuery};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use ring::digest::{Context, SHA256};
use rust_embed::RustEmbed;
use std::fmt::Write;
use std::sync::LazyLock;

#[derive(RustEmbed)]
#[folder = "web/assets/"]
struct Assets;

/// Of all assets together, and of the program: a page whose script has another one is of another minder.
pub(in crate::dashboard) fn version() -> String {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let mut all = Context::new(&SHA256);
        all.update(env!("CARGO_PKG_VERSION").as_bytes());
        for name in Assets::iter() {
            all.update(name.as_bytes());
            all.update(&Assets::get(&name).map(|file| file.metadata.sha256_hash()).unwrap_or_default());
        }
        all.finish().as_ref().iter().take(8).fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    });
    VERSION.clone()
}

/// The address of an asset, with its version.
pub(in crate::dashboard) fn url(name: &str) -> String {
    format!("/assets/{name}?v={}", version())
}

pub(in crate::dashboard) async fn show(
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let Some(file) = Assets::get(&name) else {
        return ProblemPage(Problem::new(StatusCode::NOT_FOUND, "Nothing here", "There is no such file."))
            .into_response();
    };
    let kind = match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let version = version();
    let etag = format!("\"{version}\"");
    let keep = if query.is_some_and(|q| q == format!("v={version}")) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let caching = [(CACHE_CONTROL, keep.to_owned()), (ETAG, etag.clone())];
    if headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    (caching, [(CONTENT_TYPE, kind)], file.data.into_owned()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block that is left open swallows all that follows, and nobody says so.
    #[test]
    fn every_block_of_the_style_is_closed() {
        let style = Assets::get("style.css").unwrap();
        let mut open = 0;
        for (number, line) in String::from_utf8(style.data.into_owned()).unwrap().lines().enumerate() {
            assert!(open == 0 || !line.starts_with('@'), "the block before line {} is open", number + 1);
            open += line.matches('{').count();
            open -= line.matches('}').count();
        }
        assert_eq!(open, 0);
    }
}
