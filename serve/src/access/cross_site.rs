//! Requests that another site makes a browser send (cross-site request forgery). Browsers say where
//! a request comes from, by `Sec-Fetch-Site` (<https://www.w3.org/TR/fetch-metadata/>) and by
//! `Origin`; what changes something is refused unless it comes from our own pages or from no page.

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Method};

/// Returns whether a request may be answered.
pub(crate) fn is_allowed(method: &Method, headers: &HeaderMap) -> bool {
    if method.is_safe() {
        return true;
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    // Older browsers send the origin alone, and programs that are no browser send neither.
    match (text(ORIGIN.as_str()), text(HOST.as_str())) {
        (None, _) => true,
        (Some(origin), Some(host)) => {
            origin.split_once("://").is_some_and(|(_, origin)| origin.eq_ignore_ascii_case(host))
        }
        (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_pages_may_change_something() {
        #[track_caller]
        fn check(method: &Method, given: &[(&'static str, &'static str)], expected: bool) {
            let headers = given.iter().map(|(name, value)| {
                (name.parse().expect("a name"), value.parse().expect("a value"))
            });
            assert_eq!(is_allowed(method, &headers.collect()), expected, "{method} {given:?}");
        }
        let post = Method::POST;
        let host = ("host", "rapport.example");
        check(&Method::GET, &[("sec-fetch-site", "cross-site")], true);
        check(&post, &[host, ("sec-fetch-site", "same-origin")], true);
        check(&post, &[host, ("sec-fetch-site", "none")], true);
        check(&post, &[host, ("sec-fetch-site", "same-site")], false);
        check(&post, &[host, ("sec-fetch-site", "cross-site")], false);
        check(&post, &[host, ("origin", "https://rapport.example")], true);
        check(&post, &[host, ("origin", "https://evil.example")], false);
        check(&post, &[host, ("origin", "null")], false);
        check(&post, &[host], true);
    }
}
