//! The address that a request comes from: that of the connection, or behind the trusted proxy the one
//! that the proxy names, as in `X-Forwarded-For`.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

use crate::access::people::Proxy;

/// Returns the address of the client. Each proxy adds the address that it was asked from at the end,
/// so that what stands before the last one that is no proxy of ours can be invented.
pub(crate) fn of(peer: IpAddr, headers: &HeaderMap, proxy: Option<&Proxy>) -> IpAddr {
    let is_proxy = |address: &IpAddr| proxy.is_some_and(|proxy| proxy.has(*address));
    let Some(header) = proxy.and_then(|proxy| proxy.address_header.as_deref()) else {
        return peer;
    };
    if !is_proxy(&peer) {
        return peer;
    }
    let values: Vec<&str> =
        headers.get_all(header).iter().filter_map(|value| value.to_str().ok()).collect();
    let mut nearest = peer;
    for text in values.iter().rev().flat_map(|value| value.rsplit(',')) {
        let Some(address) = parse(text.trim()) else { return nearest };
        nearest = address;
        if !is_proxy(&address) {
            return address;
        }
    }
    nearest
}

/// Reads an address, with a port or without.
fn parse(text: &str) -> Option<IpAddr> {
    let address = text.parse().ok();
    address
        .or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_proxy_says_who_asks() {
        #[track_caller]
        fn check(proxy: &Proxy, peer: &str, given: &[&'static str], expected: &str) {
            let given = given.iter().map(|value| {
                ("x-forwarded-for".parse().expect("a name"), value.parse().expect("a value"))
            });
            let mut headers = HeaderMap::new();
            given.for_each(|(name, value): (axum::http::HeaderName, _)| {
                headers.append(name, value);
            });
            let found = of(peer.parse().expect("an address"), &headers, Some(proxy));
            assert_eq!(found.to_string(), expected);
        }
        let proxy = Proxy {
            header: None,
            address_header: Some("X-Forwarded-For".to_owned()),
            from: vec!["10.0.0.7".parse().expect("an address")],
        };
        check(&proxy, "10.0.0.7", &["203.0.113.9"], "203.0.113.9");
        check(&proxy, "10.0.0.7", &["1.1.1.1, 203.0.113.9"], "203.0.113.9");
        check(&proxy, "10.0.0.7", &["1.1.1.1", "203.0.113.9, 10.0.0.7"], "203.0.113.9");
        check(&proxy, "10.0.0.7", &["203.0.113.9:4711"], "203.0.113.9");
        check(&proxy, "10.0.0.7", &["[2001:db8::1]:443"], "2001:db8::1");
        check(&proxy, "10.0.0.7", &["[2001:db8::1]"], "2001:db8::1");
        check(&proxy, "10.0.0.7", &["203.0.113.9, unknown"], "10.0.0.7");
        check(&proxy, "10.0.0.7", &[], "10.0.0.7");
        check(&proxy, "::ffff:10.0.0.7", &["203.0.113.9"], "203.0.113.9");
        check(&proxy, "10.0.0.8", &["203.0.113.9"], "10.0.0.8");
        let silent = Proxy { address_header: None, ..proxy };
        check(&silent, "10.0.0.7", &["203.0.113.9"], "10.0.0.7");
    }
}
