//! URLs of the usage page of one partner, for the pages of that partner: signed, so that nobody can
//! change them, and valid until an instant.

use aws_lc_rs::hmac;
use axum::http::HeaderValue;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use url::Url;

use crate::access::signing_key;
use crate::headers::content_policy;

/// What the key is derived for.
const PURPOSE: &[u8] = b"rapport serve embed";

/// Where usage pages may be embedded, and which of their URLs count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EmbedSettings {
    pub ancestors: Ancestors,
    /// Another version ends all URLs that were made before.
    pub version: u32,
}

/// The sites that may show a usage page inside their own pages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ancestors(Vec<String>);

impl Ancestors {
    /// Checks sites, each an origin such as `https://portal.example.com` or `https://*.example.com`.
    ///
    /// # Errors
    /// Says which site is wrong, and how sites are written.
    pub fn parse(sites: &[String]) -> Result<Self, String> {
        for site in sites {
            let is_origin = Url::parse(site).is_ok_and(|url| {
                matches!(url.scheme(), "https" | "http")
                    && url.host_str().is_some_and(|host| !host.is_empty())
                    && (url.path(), url.query(), url.fragment()) == ("/", None, None)
                    && url.username().is_empty()
                    && url.password().is_none()
            });
            // What separates the values and the directives of a policy would change its meaning.
            let is_plain = site
                .bytes()
                .all(|b| b.is_ascii_graphic() && !matches!(b, b';' | b',' | b'\'' | b'"' | b'\\'));
            if !is_origin || !is_plain {
                return Err(format!(
                    "\"{site}\" is no site: write its origin, such as https://portal.example.com or \
                     https://*.example.com"
                ));
            }
        }
        Ok(Self(sites.iter().map(|site| site.trim_end_matches('/').to_owned()).collect()))
    }

    /// Returns the value of `frame-ancestors`
    /// (<https://www.w3.org/TR/CSP3/#directive-frame-ancestors>).
    fn directive(&self) -> String {
        if self.0.is_empty() { "'none'".to_owned() } else { self.0.join(" ") }
    }
}

/// Why a URL shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvalidGrant {
    /// It was not made by this server, or was changed.
    Altered,
    /// It was valid until then.
    Expired(DateTime<Utc>),
}

/// Checks URLs.
pub(crate) struct Embed {
    key: hmac::Key,
    version: u32,
    /// The content policy of embedded pages.
    pub(crate) policy: HeaderValue,
}

impl Embed {
    pub(crate) fn new(secret: &[u8], settings: &EmbedSettings) -> Self {
        Self {
            key: signing_key::derive(secret, PURPOSE),
            version: settings.version,
            policy: content_policy(&settings.ancestors.directive()),
        }
    }

    /// Returns the partner whose usage a grant shows.
    pub(crate) fn partner(&self, grant: &str, now: DateTime<Utc>) -> Result<String, InvalidGrant> {
        let (partner, until, signature) = parse(grant).ok_or(InvalidGrant::Altered)?;
        let signed = signed_text(self.version, until, &partner);
        // The comparison takes the same time for every signature.
        hmac::verify(&self.key, signed.as_bytes(), &signature)
            .map_err(|_| InvalidGrant::Altered)?;
        let until = DateTime::from_timestamp(until, 0).ok_or(InvalidGrant::Altered)?;
        if now < until { Ok(partner) } else { Err(InvalidGrant::Expired(until)) }
    }
}

/// Returns the path of the usage page of a partner, valid until an instant. The secret and the version
/// are those of the server.
pub fn new_embed(secret: &[u8], version: u32, partner: &str, until: DateTime<Utc>) -> String {
    let until = until.timestamp();
    let key = signing_key::derive(secret, PURPOSE);
    let signature = hmac::sign(&key, signed_text(version, until, partner).as_bytes());
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let (partner, signature) = (encode(partner.as_bytes()), encode(signature.as_ref()));
    format!("/embed/{partner}.{until}.{signature}/usage.html")
}

fn signed_text(version: u32, until: i64, partner: &str) -> String {
    format!("{version}\n{until}\n{partner}")
}

/// Reads the partner, the last second and the signature of a grant.
fn parse(grant: &str) -> Option<(String, i64, Vec<u8>)> {
    let mut parts = grant.split('.');
    let (partner, until, signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).ok();
    Some((String::from_utf8(decode(partner)?).ok()?, until.parse().ok()?, decode(signature)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = &[7; 32];

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("an instant")
    }

    fn grant(version: u32, partner: &str) -> String {
        let path = new_embed(SECRET, version, partner, at("2026-07-01T00:00:00Z"));
        path.split('/').nth(2).expect("a grant").to_owned()
    }

    #[test]
    fn a_grant_counts_for_one_partner_until_its_end() {
        let settings = EmbedSettings { version: 1, ..EmbedSettings::default() };
        let embed = Embed::new(SECRET, &settings);
        let (valid, over) = (at("2026-06-30T23:59:59Z"), at("2026-07-01T00:00:00Z"));
        let own = grant(1, "p-1");
        assert_eq!(embed.partner(&own, valid), Ok("p-1".to_owned()));
        assert_eq!(embed.partner(&own, over), Err(InvalidGrant::Expired(over)));
        assert_eq!(embed.partner(&grant(1, "a/b.ü\n"), valid), Ok("a/b.ü\n".to_owned()));
        let parts: Vec<&str> = own.split('.').collect();
        let other = BASE64_URL_SAFE_NO_PAD.encode("p-2");
        for altered in [
            format!("{other}.{}.{}", parts[1], parts[2]),
            format!("{}.{}.{}", parts[0], "1999999999", parts[2]),
            format!("{}.{}.{}", parts[0], parts[1], BASE64_URL_SAFE_NO_PAD.encode([0; 32])),
            format!("{}.{}.", parts[0], parts[1]),
            format!("{own}."),
            "p-1".to_owned(),
            String::new(),
            grant(2, "p-1"),
        ] {
            assert_eq!(embed.partner(&altered, valid), Err(InvalidGrant::Altered), "{altered}");
        }
        // The key of another lake.
        let foreign = Embed::new(&[8; 32], &settings);
        assert_eq!(foreign.partner(&own, valid), Err(InvalidGrant::Altered));
    }

    #[test]
    fn sites_are_origins() {
        let parse = |site: &str| Ancestors::parse(&[site.to_owned()]);
        for site in ["https://portal.example.com", "https://*.example.com", "http://127.0.0.1:3000"]
        {
            assert_eq!(parse(site).map(|all| all.directive()), Ok(site.to_owned()));
        }
        assert_eq!(Ancestors::default().directive(), "'none'");
        for site in [
            "portal.example.com",
            "*",
            "https://a.example; script-src *",
            "https://a.example https://b.example",
            "https://a.example/page",
            "https://a.example?x=1",
            "https://user@a.example",
            "data:text/html,x",
            "'self'",
            "",
        ] {
            assert!(parse(site).is_err_and(|e| e.contains("is no site")), "{site}");
        }
    }
}
