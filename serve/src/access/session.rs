//! The cookies of the server, all signed. The one of somebody who has signed in holds the digest of the
//! token, or the login at the OpenID provider, and until when it counts: an entry that is taken out of
//! `access.toml` ends its sessions at once.

use axum_extra::extract::cookie::{Cookie, Key, SameSite, SignedCookieJar};
use chrono::{DateTime, Duration, Utc};

use crate::access::openid::attempt::Attempt;

/// The name of the cookie.
const NAME: &str = "rapport_session";
/// The name of the cookie with what became of the last form.
const NOTICE: &str = "rapport_notice";
/// The name of the cookie of an attempt to sign in at an OpenID provider, and where it is sent.
const ATTEMPT: &str = "rapport_openid";
const ATTEMPT_PATH: &str = "/sign-in/openid";
/// The name of the cookie with the id token, by which the provider knows the session that ends, and
/// where it is sent.
const ID_TOKEN: &str = "rapport_id_token";
const SIGN_OUT_PATH: &str = "/sign-out";
/// The longest id token that is kept: browsers take cookies of 4,096 bytes, signature included.
const MAX_ID_TOKEN_BYTES: usize = 3_000;
/// How long somebody stays signed in.
const HOURS: i64 = 12;
/// How long an attempt may take.
const ATTEMPT_MINUTES: i64 = 10;

/// How somebody has signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    /// With the token of this digest.
    Token(String),
    /// At the OpenID provider, with this login.
    Login(String),
}

/// Keeps and reads the cookies.
#[derive(Clone)]
pub(crate) struct Cookies {
    pub(crate) key: Key,
    /// Whether a browser may send them by HTTPS only.
    pub(crate) is_secure: bool,
}

impl Cookies {
    /// Returns how somebody has signed in, while that counts.
    pub(crate) fn identity(&self, jar: &SignedCookieJar, now: DateTime<Utc>) -> Option<Identity> {
        let cookie = jar.get(NAME)?;
        let (kind, id) = valid(cookie.value(), now)?.split_once(' ')?;
        match kind {
            "token" => Some(Identity::Token(id.to_owned())),
            "login" => Some(Identity::Login(id.to_owned())),
            _ => None,
        }
    }

    /// Signs somebody in.
    pub(crate) fn sign_in(
        &self,
        jar: SignedCookieJar,
        identity: &Identity,
        now: DateTime<Utc>,
    ) -> SignedCookieJar {
        let until = (now + Duration::hours(HOURS)).to_rfc3339();
        let (kind, id) = match identity {
            Identity::Token(digest) => ("token", digest),
            Identity::Login(login) => ("login", login),
        };
        jar.add(self.cookie(NAME, format!("{until} {kind} {id}")))
    }

    /// Signs somebody out.
    pub(crate) fn sign_out(&self, jar: SignedCookieJar) -> SignedCookieJar {
        let jar = jar.remove(self.cookie(NAME, String::new()));
        jar.remove(self.cookie_at(SIGN_OUT_PATH, ID_TOKEN, String::new()))
    }

    /// Keeps the id token of somebody for the end of the session, in place of an earlier one. One that
    /// is too long for a cookie is left out: the provider then asks who signs out.
    pub(crate) fn keep_id_token(&self, jar: SignedCookieJar, id_token: &str) -> SignedCookieJar {
        let kept = if id_token.len() > MAX_ID_TOKEN_BYTES { "" } else { id_token };
        jar.add(self.cookie_at(SIGN_OUT_PATH, ID_TOKEN, kept.to_owned()))
    }

    /// Returns the id token of a browser.
    pub(crate) fn id_token(&self, jar: &SignedCookieJar) -> Option<String> {
        let token = jar.get(ID_TOKEN)?.value().to_owned();
        (!token.is_empty()).then_some(token)
    }

    /// Keeps an attempt to sign in at an OpenID provider.
    pub(crate) fn keep_attempt(
        &self,
        jar: SignedCookieJar,
        attempt: &Attempt,
        now: DateTime<Utc>,
    ) -> SignedCookieJar {
        let until = (now + Duration::minutes(ATTEMPT_MINUTES)).to_rfc3339();
        let value = format!("{until} {} {}", attempt.seed, attempt.return_to);
        jar.add(self.cookie_at(ATTEMPT_PATH, ATTEMPT, value))
    }

    /// Returns the attempt of a browser, while it counts.
    pub(crate) fn attempt(&self, jar: &SignedCookieJar, now: DateTime<Utc>) -> Option<Attempt> {
        let cookie = jar.get(ATTEMPT)?;
        let (seed, return_to) = valid(cookie.value(), now)?.split_once(' ')?;
        Some(Attempt { seed: seed.to_owned(), return_to: return_to.to_owned() })
    }

    /// Ends an attempt.
    pub(crate) fn drop_attempt(&self, jar: SignedCookieJar) -> SignedCookieJar {
        jar.remove(self.cookie_at(ATTEMPT_PATH, ATTEMPT, String::new()))
    }

    /// Keeps what became of a form for the page that follows.
    pub(crate) fn keep_notice(
        &self,
        jar: SignedCookieJar,
        notice: &dashboards::Notice,
    ) -> SignedCookieJar {
        let kind = if notice.is_error { "error" } else { "done" };
        jar.add(self.cookie(NOTICE, format!("{kind} {}", notice.text)))
    }

    /// Returns what became of the form before, once.
    pub(crate) fn take_notice(
        &self,
        jar: SignedCookieJar,
    ) -> (SignedCookieJar, Option<dashboards::Notice>) {
        let Some(cookie) = jar.get(NOTICE) else { return (jar, None) };
        let notice = cookie.value().split_once(' ').map(|(kind, text)| dashboards::Notice {
            text: text.to_owned(),
            is_error: kind == "error",
        });
        (jar.remove(self.cookie(NOTICE, String::new())), notice)
    }

    fn cookie(&self, name: &'static str, value: String) -> Cookie<'static> {
        self.cookie_at("/", name, value)
    }

    /// Returns a cookie that no script can read and no form of another site sends, for addresses that
    /// begin with a path.
    fn cookie_at(&self, path: &'static str, name: &'static str, value: String) -> Cookie<'static> {
        Cookie::build((name, value))
            .path(path)
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(self.is_secure)
            .build()
    }
}

/// Returns what stands after the instant until which a value counts.
fn valid(value: &str, now: DateTime<Utc>) -> Option<&str> {
    let (until, rest) = value.split_once(' ')?;
    (now < until.parse::<DateTime<Utc>>().ok()?).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_count_until_their_end() {
        let key = Key::from(&[7; 64]);
        let cookies = Cookies { key: key.clone(), is_secure: true };
        let now: DateTime<Utc> = "2026-06-01T00:00:00Z".parse().expect("an instant");
        let jar = || SignedCookieJar::new(key.clone());
        for identity in
            [Identity::Token("ab12".to_owned()), Identity::Login("Ada Okafor@x".to_owned())]
        {
            let jar = cookies.sign_in(jar(), &identity, now);
            assert_eq!(cookies.identity(&jar, now + Duration::hours(11)), Some(identity));
            assert_eq!(cookies.identity(&jar, now + Duration::hours(12)), None);
        }
        let with_token = cookies.keep_id_token(jar(), "a.b.c");
        assert_eq!(cookies.id_token(&with_token).as_deref(), Some("a.b.c"));
        assert_eq!(cookies.id_token(&cookies.sign_out(with_token)), None);
        let too_long = cookies.keep_id_token(jar(), &"x".repeat(MAX_ID_TOKEN_BYTES + 1));
        assert_eq!(cookies.id_token(&too_long), None);
        let attempt = Attempt::new("/health.html?x=1 2");
        let jar = cookies.keep_attempt(jar(), &attempt, now);
        assert_eq!(cookies.attempt(&jar, now + Duration::minutes(9)), Some(attempt));
        assert_eq!(cookies.attempt(&jar, now + Duration::minutes(10)), None);
        assert_eq!(cookies.identity(&jar, now), None);
    }
}
