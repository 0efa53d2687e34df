//! Serves the built pages of the console from memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::because;

use crate::api::problem::{Problem, ProblemKind};

/// The page that every address of the console starts from.
const INDEX: &str = "index.html";
/// Folder whose file names carry a digest of their content.
const HASHED: &str = "assets/";

/// One file of the console as it was built into the program.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Below the root, without a leading slash: `assets/index-3fA9.js`.
    pub path: &'static str,
    pub bytes: &'static [u8],
    /// The same, compressed, where that makes it smaller.
    pub gzip: Option<&'static [u8]>,
    /// Digest of the content, without quotes.
    pub etag: &'static str,
    pub mime: &'static str,
}

/// All files of the console.
#[derive(Clone, Debug)]
pub struct Console {
    files: Arc<BTreeMap<&'static str, Asset>>,
}

impl Console {
    pub fn new(assets: &[Asset]) -> Self {
        Self { files: Arc::new(assets.iter().map(|it| (it.path, *it)).collect()) }
    }

    /// The file at `path`. An address without a dot is one of the page's own and gets the
    /// start page.
    pub fn serve(&self, method: &Method, path: &str, headers: &HeaderMap) -> Response {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut problem = Problem::new(
                ProblemKind::MethodNotAllowed,
                because!("request.only_read", "the console is only read"),
            );
            problem.allow = Some(HeaderValue::from_static("GET, HEAD"));
            return problem.into_response();
        }
        let name = path.trim_start_matches('/');
        let is_file = name.rsplit('/').next().is_some_and(|it| it.contains('.'));
        let found = match self.files.get(name) {
            Some(found) => Some(found),
            None if is_file || name.starts_with("api/") => None,
            None => self.files.get(INDEX),
        };
        match found {
            Some(asset) => answer(asset, headers),
            None => Problem::not_found("page").into_response(),
        }
    }
}

fn answer(asset: &Asset, headers: &HeaderMap) -> Response {
    let text = |name: HeaderName| headers.get(name).and_then(|it| it.to_str().ok());
    let zipped = asset.gzip.filter(|_| text(header::ACCEPT_ENCODING).is_some_and(accepts_gzip));
    // The two forms differ in bytes, so they must differ in name.
    let etag = match zipped {
        Some(_) => format!("\"{}-gz\"", asset.etag),
        None => format!("\"{}\"", asset.etag),
    };
    let caching = if asset.path.starts_with(HASHED) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let known = text(header::IF_NONE_MATCH)
        .is_some_and(|it| it.split(',').any(|it| it.trim().trim_start_matches("W/") == etag));
    let base = [
        (header::CACHE_CONTROL, caching.to_owned()),
        (header::VARY, "Accept-Encoding".to_owned()),
        (header::ETAG, etag),
    ];
    if known {
        return (StatusCode::NOT_MODIFIED, base).into_response();
    }
    let mime = [(header::CONTENT_TYPE, HeaderValue::from_static(asset.mime))];
    match zipped {
        Some(bytes) => {
            let coding = [(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
            (base, mime, coding, bytes).into_response()
        }
        None => (base, mime, asset.bytes).into_response(),
    }
}

/// Whether `Accept-Encoding` allows gzip: named with a weight above zero, or by `*`.
fn accepts_gzip(given: &str) -> bool {
    let mut any = false;
    for part in given.split(',') {
        let (name, parameters) = part.split_once(';').unwrap_or((part, ""));
        let weight = parameters.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
        let wanted = weight.is_ok_and(|it| it > 0.0);
        match name.trim() {
            "gzip" => return wanted,
            "*" => any = wanted,
            _ => {}
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX_PAGE: Asset = Asset {
        path: "index.html",
        bytes: b"<!doctype html>",
        gzip: None,
        etag: "i1",
        mime: "text/html; charset=utf-8",
    };
    const SCRIPT: Asset = Asset {
        path: "assets/a-1.js",
        bytes: b"plain",
        gzip: Some(b"zipped"),
        etag: "s1",
        mime: "text/javascript",
    };

    fn get(path: &str, headers: &[(HeaderName, &str)]) -> (u16, String, String) {
        let console = Console::new(&[INDEX_PAGE, SCRIPT]);
        let headers = headers.iter().map(|(n, v)| (n.clone(), v.parse().unwrap())).collect();
        let response = console.serve(&Method::GET, path, &headers);
        let text = |name| {
            let value = response.headers().get(name);
            value.map(|it| it.to_str().unwrap().to_owned()).unwrap_or_default()
        };
        (response.status().as_u16(), text(header::ETAG), text(header::CONTENT_ENCODING))
    }

    #[test]
    fn files_and_addresses() {
        for (path, status, etag) in [
            ("/", 200, "\"i1\""),
            ("/index.html", 200, "\"i1\""),
            ("/events/finding_1", 200, "\"i1\""),
            ("/assets/a-1.js", 200, "\"s1\""),
            ("/assets/a-2.js", 404, ""),
            ("/favicon.ico", 404, ""),
            ("/api/v1/nothing", 404, ""),
        ] {
            let (found, tag, _) = get(path, &[]);
            assert_eq!((found, tag.as_str()), (status, etag), "{path}");
        }
    }

    #[test]
    fn compression_and_caching() {
        let path = "/assets/a-1.js";
        for (accepted, coding) in [
            ("gzip, br", "gzip"),
            ("br", ""),
            ("gzip;q=0", ""),
            ("*", "gzip"),
            ("*;q=0", ""),
            ("", ""),
        ] {
            assert_eq!(get(path, &[(header::ACCEPT_ENCODING, accepted)]).2, coding, "{accepted}");
        }
        assert_eq!(get(path, &[(header::IF_NONE_MATCH, "\"s1\"")]).0, 304);
        assert_eq!(get(path, &[(header::IF_NONE_MATCH, "W/\"s1\", \"x\"")]).0, 304);
        assert_eq!(get(path, &[(header::IF_NONE_MATCH, "\"other\"")]).0, 200);
    }
}
