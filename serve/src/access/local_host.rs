//! The name by which a server on this machine is reached. A page of another site can give its own name
//! the address of this machine (DNS rebinding,
//! <https://en.wikipedia.org/wiki/DNS_rebinding>), and a browser then lets it read what the server
//! answers. Where nobody signs in, only the names of this machine are answered.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::HOST;

/// Returns whether a request names this machine. A request without a name comes from no browser.
pub(crate) fn is_named(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_count() {
        #[track_caller]
        fn check(host: Option<&'static str>, expected: bool) {
            let headers = host.map(|host| (HOST, host.parse().expect("a value")));
            assert_eq!(is_named(&headers.into_iter().collect()), expected, "{host:?}");
        }
        check(Some("127.0.0.1:8080"), true);
        check(Some("localhost:8080"), true);
        check(Some("LOCALHOST"), true);
        check(Some("[::1]:8080"), true);
        check(None, true);
        check(Some("evil.example:8080"), false);
        check(Some("127.0.0.1.evil.example"), false);
        check(Some("10.0.0.7:8080"), false);
        check(Some(""), false);
    }
}
