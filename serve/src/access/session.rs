//! The cookie of somebody who has signed in: the digest of the token and until when it counts,
//! signed. A token that is taken out of `access.toml` ends its sessions at once.

use axum_extra::extract::cookie::{Cookie, Key, SameSite, SignedCookieJar};
use chrono::{DateTime, Duration, Utc};

/// The name of the cookie.
const NAME: &str = "rapport_session";
/// The name of the cookie with what became of the last form.
const NOTICE: &str = "rapport_notice";
/// How long somebody stays signed in.
const HOURS: i64 = 12;

/// Keeps and reads the cookies.
#[derive(Clone)]
pub(crate) struct Cookies {
    pub(crate) key: Key,
    /// Whether a browser may send them by HTTPS only.
    pub(crate) is_secure: bool,
}

impl Cookies {
    /// Returns the digest of the token that somebody signed in with, while it counts.
    pub(crate) fn token(&self, jar: &SignedCookieJar, now: DateTime<Utc>) -> Option<String> {
        let cookie = jar.get(NAME)?;
        let (digest, until) = cookie.value().split_once(' ')?;
        let until = until.parse::<DateTime<Utc>>().ok()?;
        (now < until).then(|| digest.to_owned())
    }

    /// Signs somebody in.
    pub(crate) fn sign_in(
        &self,
        jar: SignedCookieJar,
        token_sha256: &str,
        now: DateTime<Utc>,
    ) -> SignedCookieJar {
        let until = now + Duration::hours(HOURS);
        jar.add(self.cookie(NAME, format!("{token_sha256} {}", until.to_rfc3339())))
    }

    /// Signs somebody out.
    pub(crate) fn sign_out(&self, jar: SignedCookieJar) -> SignedCookieJar {
        jar.remove(self.cookie(NAME, String::new()))
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

    /// Returns a cookie that no script can read and no form of another site sends.
    fn cookie(&self, name: &'static str, value: String) -> Cookie<'static> {
        Cookie::build((name, value))
            .path("/")
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(self.is_secure)
            .build()
    }
}
