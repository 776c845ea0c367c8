//! The table `[openid]` of `access.toml`: which provider is asked, and how it knows the server.

use secrecy::SecretString;
use serde::Deserialize;
use url::{Host, Url};

/// The path that the provider sends people back to.
pub(crate) const CALLBACK_PATH: &str = "/sign-in/openid/callback";

/// The path that the provider sends people back to after they signed out there.
pub(crate) const SIGNED_OUT_PATH: &str = "/sign-in/openid/signed-out";

/// An OpenID provider.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenIdSettings {
    /// What people call the provider: "Sign in with …".
    pub name: String,
    /// The URL that names the provider.
    pub issuer: String,
    /// The name of this server at the provider.
    pub client_id: String,
    /// Where the secret of this server is; a public client has none. Only a reference may stand here,
    /// which whoever reads the environment resolves into [`Self::secret`].
    #[serde(default)]
    pub client_secret: Option<toml::Value>,
    /// The URL of [`CALLBACK_PATH`] as the provider knows it.
    pub redirect_url: String,
    /// The URL of [`SIGNED_OUT_PATH`] as the provider knows it, which it sends people back to after
    /// they signed out there. `None`: the provider shows a page of its own.
    #[serde(default)]
    pub post_logout_redirect_url: Option<String>,
    #[serde(default = "default_scopes")]
    pub scopes: Vec<String>,
    /// The claim that is the login of a person.
    #[serde(default)]
    pub claim: LoginClaim,
    #[serde(skip)]
    pub secret: Option<SecretString>,
}

/// The claim that people are known by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoginClaim {
    /// The mail address, if the provider has verified it.
    #[default]
    Email,
    /// The id of the person at the provider.
    Sub,
}

fn default_scopes() -> Vec<String> {
    ["openid", "email"].map(str::to_owned).to_vec()
}

impl OpenIdSettings {
    /// Returns whether people come back to the server of a URL.
    pub fn leads_to(&self, public_url: &str) -> bool {
        let origin = |text: &str| Url::parse(text).map(|url| url.origin());
        match (origin(&self.redirect_url), origin(public_url)) {
            (Ok(redirect), Ok(public)) => redirect == public,
            _ => false,
        }
    }

    /// Returns what is wrong with the settings. The text shows no value that may be a secret.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.name.trim().is_empty() || self.client_id.trim().is_empty() {
            return Err("name and client_id are not empty".to_owned());
        }
        let issuer = secure_url(&self.issuer).map_err(|e| format!("issuer: {e}"))?;
        if issuer.query().is_some() || issuer.fragment().is_some() {
            return Err("issuer: the URL has no query and no fragment".to_owned());
        }
        let redirect = own_url("redirect_url", &self.redirect_url, CALLBACK_PATH)?;
        if let Some(back) = &self.post_logout_redirect_url {
            const NAME: &str = "post_logout_redirect_url";
            if own_url(NAME, back, SIGNED_OUT_PATH)?.origin() != redirect.origin() {
                return Err(format!("{NAME}: the URL is of another server than redirect_url"));
            }
        }
        if !self.scopes.iter().any(|scope| scope == "openid") {
            return Err("scopes: the scope openid is missing".to_owned());
        }
        if self.client_secret.as_ref().is_some_and(|secret| !secret.is_table()) {
            return Err("client_secret: write { env = \"VARIABLE\" } or { file = \"PATH\" }; the \
                        secret itself does not stand here"
                .to_owned());
        }
        Ok(())
    }
}

/// Reads a URL of this server with a path.
fn own_url(name: &str, text: &str, path: &str) -> Result<Url, String> {
    let url = secure_url(text).map_err(|e| format!("{name}: {e}"))?;
    if (url.path(), url.query(), url.fragment()) == (path, None, None) {
        return Ok(url);
    }
    Err(format!("{name}: the URL ends with {path}"))
}

/// Reads a URL that nobody on the way can read along: by HTTPS, or on this machine.
pub(crate) fn secure_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("\"{text}\" is no URL: {e}"))?;
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.scheme() == "https" || (url.scheme() == "http" && is_local) {
        return Ok(url);
    }
    Err(format!("\"{text}\" does not begin with https://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_told_without_secrets() {
        #[track_caller]
        fn check(text: &str, part: &str) {
            let settings: OpenIdSettings = toml::from_str(text).expect("settings");
            let error = settings.check().expect_err("an error");
            assert!(error.contains(part) && !error.contains("hunter2"), "{error}");
        }
        let good = "name = 'Example'\nissuer = 'https://login.example.com'\nclient_id = 'rapport'\n\
                    redirect_url = 'https://rapport.example.com/sign-in/openid/callback'\n";
        let settings: OpenIdSettings = toml::from_str(good).expect("settings");
        assert_eq!(settings.check(), Ok(()));
        assert_eq!(settings.scopes, ["openid", "email"]);
        assert_eq!(settings.claim, LoginClaim::Email);
        check(&good.replace("'Example'", "' '"), "not empty");
        check(&good.replace("https://login", "http://login"), "issuer: ");
        check(&good.replace("login.example.com'", "login.example.com?x=1'"), "no query");
        check(&good.replace("/sign-in/openid/callback", "/"), "ends with /sign-in");
        check(&good.replace("https://rapport", "ftp://rapport"), "redirect_url: ");
        let back = |url: &str| format!("{good}post_logout_redirect_url = '{url}'\n");
        let signed_out = back("https://rapport.example.com/sign-in/openid/signed-out");
        let settings: OpenIdSettings = toml::from_str(&signed_out).expect("settings");
        assert_eq!(settings.check(), Ok(()));
        check(&back("https://rapport.example.com/"), "ends with /sign-in/openid/signed-out");
        check(
            &signed_out.replace(
                "rapport.example.com/sign-in/openid/signed",
                "x.example/sign-in/openid/signed",
            ),
            "another server",
        );
        check(&format!("{good}scopes = ['email']"), "openid is missing");
        check(&format!("{good}client_secret = 'hunter2'"), "client_secret: write");
        let local = good.replace("https://login.example.com", "http://127.0.0.1:9000");
        let settings: OpenIdSettings = toml::from_str(&local).expect("settings");
        assert_eq!(settings.check(), Ok(()));
    }
}
