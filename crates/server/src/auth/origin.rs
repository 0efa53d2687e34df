//! Changes come from our own pages or from programs, never from another site's page.

use axum::http::{HeaderMap, header};
use model::because;

use crate::api::problem::{Problem, ProblemKind};

/// Browsers say where a request was made; a program says nothing and holds no one's cookie.
pub fn check(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: &str| headers.get(name).map(|it| it.to_str().unwrap_or("unreadable"));
    let refused = |detail| Err(Problem::new(ProblemKind::OriginRefused, detail));
    if let Some(site) = text("sec-fetch-site")
        && !matches!(site, "same-origin" | "none")
    {
        return refused(because!(
            "origin.other",
            "Sec-Fetch-Site says that another site made this request"
        ));
    }
    let Some(origin) = text(header::ORIGIN.as_str()) else { return Ok(()) };
    let host = text(header::HOST.as_str()).unwrap_or_default();
    match origin.split_once("://") {
        Some(("http" | "https", from)) if from.eq_ignore_ascii_case(host) && !host.is_empty() => {
            Ok(())
        }
        _ => refused(because!("origin.wrong", "Origin is not this console")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_pages_and_programs_pass() {
        for (origin, site, allowed) in [
            (None, None, true),
            (Some("http://127.0.0.1:8080"), Some("same-origin"), true),
            (Some("http://127.0.0.1:8080"), None, true),
            (Some("http://127.0.0.1:8081"), None, false),
            (Some("http://evil.example"), None, false),
            (Some("null"), None, false),
            (None, Some("cross-site"), false),
            (None, Some("same-site"), false),
            (Some("http://127.0.0.1:8080"), Some("cross-site"), false),
            (None, Some("none"), true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "127.0.0.1:8080".parse().unwrap());
            origin.map(|it| headers.insert(header::ORIGIN, it.parse().unwrap()));
            site.map(|it| headers.insert("sec-fetch-site", it.parse().unwrap()));
            assert_eq!(check(&headers).is_ok(), allowed, "{origin:?} {site:?}");
        }
    }
}
