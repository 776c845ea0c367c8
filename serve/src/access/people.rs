//! `access.toml`: who there is, what each may do, and by which token or name a proxy knows them.

use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::NaiveDate;
use secrecy::SecretString;
use serde::Deserialize;

use crate::access::openid::settings::OpenIdSettings;
use crate::access::role::{Permission, Role};
use crate::access::scram::ScramVerifier;

/// What every token begins with, so that a scanner of secrets knows one.
const TOKEN_PREFIX: &str = "rapport_";
/// The random bytes of a token.
const TOKEN_BYTES: usize = 32;

/// What is wrong with `access.toml`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AccessError(String);

/// Who may sign in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct People {
    #[serde(default)]
    people: Vec<Person>,
    /// The proxy that says who somebody is.
    #[serde(default)]
    proxy: Option<Proxy>,
    /// The provider that people sign in at.
    #[serde(default)]
    openid: Option<Box<OpenIdSettings>>,
}

/// Somebody who may sign in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// The name under which decisions are recorded.
    pub name: String,
    pub role: Role,
    /// The manager whose partners a manager sees: the value of the attribute `manager`. The name by
    /// default.
    pub manager: Option<String>,
    /// The id of the partner that a partner is.
    pub partner: Option<String>,
    /// The SHA-256 of the token, in hexadecimal.
    pub token_sha256: Option<String>,
    /// The last day on which the token is valid.
    pub until: Option<NaiveDate>,
    /// What the proxy or the OpenID provider calls the person: a user name or a mail address.
    pub login: Option<String>,
    /// The user by which a BI tool signs in.
    pub database_user: Option<String>,
    /// What proves the password of that user.
    pub database_verifier: Option<ScramVerifier>,
}

/// A proxy in front of the server that has asked people who they are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    /// The header with the login, which the proxy removes from what it receives.
    pub header: Option<String>,
    /// The header with the addresses of clients, such as `X-Forwarded-For`, to whose end the proxy adds
    /// the address that it was asked from.
    pub address_header: Option<String>,
    /// The addresses of the proxy. The headers of anybody else are ignored.
    pub from: Vec<IpAddr>,
}

impl Proxy {
    /// Returns whether the proxy has an address.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        self.from.iter().any(|known| known.to_canonical() == address.to_canonical())
    }
}

/// A token that was just made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// The token, which nobody can find out later.
    pub token: String,
    /// What stands in `access.toml`.
    pub sha256: String,
}

/// Makes a token of 256 random bits.
pub fn new_token() -> NewToken {
    let mut bytes = [0; TOKEN_BYTES];
    // The generator of the system has failed only where nothing else works either.
    rand::fill(&mut bytes).expect("the random generator of the system");
    let token = format!("{TOKEN_PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes));
    let sha256 = token_sha256(&token);
    NewToken { token, sha256 }
}

/// Returns the digest by which a token is known. A token has 256 random bits, so that it needs no
/// slow hash.
pub(crate) fn token_sha256(token: &str) -> String {
    hex::encode(digest(&SHA256, token.as_bytes()))
}

impl Person {
    /// Returns whoever started the server, who may do everything.
    pub fn owner(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            role: Role::Owner,
            manager: None,
            partner: None,
            token_sha256: None,
            until: None,
            login: None,
            database_user: None,
            database_verifier: None,
        }
    }

    /// Returns the manager whose partners the person is restricted to.
    pub(crate) fn only_manager(&self) -> Option<&str> {
        let manager = self.manager.as_deref().unwrap_or(&self.name);
        (self.role == Role::Manager).then_some(manager)
    }

    fn is_valid_on(&self, today: NaiveDate) -> bool {
        self.until.is_none_or(|until| today <= until)
    }
}

impl People {
    /// Reads the text of `access.toml`.
    ///
    /// # Errors
    /// Returns what is wrong and where.
    pub fn parse(text: &str) -> Result<Self, AccessError> {
        let people: Self = toml::from_str(text).map_err(|e| AccessError(e.to_string()))?;
        for person in &people.people {
            let wrong = |what: &str| Err(AccessError(format!("{}: {what}", person.name)));
            if person.name.trim().is_empty() {
                return wrong("a person needs a name, under which decisions are recorded");
            }
            if (person.role == Role::Partner) != person.partner.is_some() {
                return wrong("the role partner, and no other, has the id of a partner");
            }
            if person.database_user.is_some() != person.database_verifier.is_some() {
                return wrong("database_user and database_verifier need each other");
            }
            if person.database_user.is_some() && !person.role.may(Permission::Sql) {
                return wrong("a database_user asks in SQL, which the role engineer alone may do");
            }
            let has_token = person.token_sha256.is_some() || person.database_user.is_some();
            if !has_token && person.login.is_none() {
                return wrong("token_sha256 or login is missing, so nobody can be this person");
            }
            let is_digest = |d: &String| d.len() == 64 && d.bytes().all(|b| b.is_ascii_hexdigit());
            if person.token_sha256.as_ref().is_some_and(|digest| !is_digest(digest)) {
                return wrong(
                    "token_sha256 has 64 hexadecimal digits; `rapport serve --new-token` makes one",
                );
            }
        }
        if let Some(Err(what)) = people.openid().map(OpenIdSettings::check) {
            return Err(AccessError(format!("[openid]: {what}")));
        }
        if people.proxy.as_ref().is_some_and(|p| p.header.is_none() && p.address_header.is_none()) {
            let what = "[proxy]: header or address_header is missing, so the proxy says nothing";
            return Err(AccessError(what.to_owned()));
        }
        let twice = |of: fn(&Person) -> Option<&str>| {
            let mut known: Vec<&str> = people.people.iter().filter_map(of).collect();
            known.sort_unstable();
            known.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0].to_owned())
        };
        if let Some(digest) = twice(|p| p.token_sha256.as_deref()) {
            return Err(AccessError(format!("two people have the token {digest}")));
        }
        if let Some(login) = twice(|p| p.login.as_deref()) {
            return Err(AccessError(format!("two people have the login {login}")));
        }
        if let Some(user) = twice(|p| p.database_user.as_deref()) {
            return Err(AccessError(format!("two people have the database_user {user}")));
        }
        Ok(people)
    }

    /// Returns whether nobody can sign in.
    pub fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.people.len()
    }

    /// Returns the trusted proxy.
    pub(crate) fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// Returns the OpenID provider.
    pub fn openid(&self) -> Option<&OpenIdSettings> {
        self.openid.as_deref()
    }

    /// Sets the secret that the server has at the OpenID provider.
    pub fn set_openid_secret(&mut self, secret: SecretString) {
        if let Some(openid) = &mut self.openid {
            openid.secret = Some(secret);
        }
    }

    /// Returns whose token this is. Digests are compared, so that the time tells nothing of a token.
    pub(crate) fn of_token(&self, sha256: &str, today: NaiveDate) -> Option<&Person> {
        let of_token = |person: &&Person| {
            person.token_sha256.as_ref().is_some_and(|digest| digest.eq_ignore_ascii_case(sha256))
        };
        self.people.iter().find(of_token).filter(|person| person.is_valid_on(today))
    }

    /// Returns who signs in from a BI tool as this user.
    pub(crate) fn of_database_user(&self, user: &str, today: NaiveDate) -> Option<&Person> {
        let found = self.people.iter().find(|p| p.database_user.as_deref() == Some(user));
        found.filter(|person| person.is_valid_on(today))
    }

    /// Returns whether somebody may ask in SQL from a BI tool.
    pub fn has_database_users(&self) -> bool {
        self.people.iter().any(|person| person.database_user.is_some())
    }

    /// Returns who an OpenID provider says somebody is, while people sign in there.
    pub(crate) fn of_openid(&self, login: &str, today: NaiveDate) -> Option<&Person> {
        self.openid.as_ref()?;
        self.of_login(login, today)
    }

    fn of_login(&self, login: &str, today: NaiveDate) -> Option<&Person> {
        let found = self.people.iter().find(|person| person.login.as_deref() == Some(login));
        found.filter(|person| person.is_valid_on(today))
    }

    /// Returns who a proxy says somebody is, if it is the trusted one.
    pub(crate) fn of_proxy(
        &self,
        from: IpAddr,
        header: impl Fn(&str) -> Option<String>,
        today: NaiveDate,
    ) -> Option<&Person> {
        let proxy = self.proxy.as_ref().filter(|proxy| proxy.has(from))?;
        let login = header(proxy.header.as_deref()?).filter(|login| !login.is_empty())?;
        self.of_login(&login, today)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::scram::new_password;

    fn people(text: &str) -> Result<People, String> {
        People::parse(text).map_err(|e| e.to_string())
    }

    #[test]
    fn somebody_is_known_by_a_token_or_by_the_proxy() {
        let made = new_token();
        let text = format!(
            "[proxy]\nheader = \"X-User\"\nfrom = [\"10.0.0.7\"]\n\
             [[people]]\nname = \"Mara\"\nrole = \"manager\"\ntoken_sha256 = \"{}\"\nuntil = 2026-06-30\n\
             [[people]]\nname = \"Ada\"\nrole = \"engineer\"\nlogin = \"ada@x\"\n",
            made.sha256
        )
        .replace("until = 2026-06-30", "until = \"2026-06-30\"");
        let people = people(&text).expect("people");
        let day = |text: &str| text.parse::<NaiveDate>().expect("a day");
        let (valid, over) = (day("2026-06-30"), day("2026-07-01"));
        let found = people.of_token(&token_sha256(&made.token), valid).expect("Mara");
        assert_eq!((found.name.as_str(), found.only_manager()), ("Mara", Some("Mara")));
        assert!(people.of_token(&made.sha256, over).is_none());
        assert!(people.of_token(&token_sha256("rapport_guess"), valid).is_none());
        let header = |name: &str| (name == "X-User").then(|| "ada@x".to_owned());
        let proxy: IpAddr = "10.0.0.7".parse().expect("an address");
        assert_eq!(people.of_proxy(proxy, header, valid).map(|p| p.role), Some(Role::Engineer));
        let stranger: IpAddr = "10.0.0.8".parse().expect("an address");
        assert!(people.of_proxy(stranger, header, valid).is_none());
        assert!(people.of_proxy(proxy, |_| None, valid).is_none());
        assert_ne!(new_token().token, made.token);
    }

    #[test]
    fn mistakes_are_told() {
        #[track_caller]
        fn check(text: &str, part: &str) {
            let error = people(text).expect_err("an error");
            assert!(error.contains(part), "{error}");
        }
        let person = |rest: &str| format!("[[people]]\nname = \"A\"\n{rest}\n");
        check(&person("role = \"boss\""), "unknown variant `boss`");
        let roles = people(&person("role = \"boss\"")).expect_err("an error");
        assert!(roles.contains("`partner`") && !roles.contains("owner"), "{roles}");
        check(&person("role = \"owner\"\nlogin = \"a\""), "unknown variant `owner`");
        check(&person("role = \"partner\"\nlogin = \"a\""), "id of a partner");
        check(&person("role = \"engineer\""), "nobody can be this person");
        check(&person("role = \"engineer\"\ntoken_sha256 = \"abc\""), "64 hexadecimal");
        let twice = person("role = \"engineer\"\nlogin = \"a\"").repeat(2);
        check(&twice, "two people have the login a");
        let verifier = new_password().verifier;
        let of = |role: &str, user: &str| {
            person(&format!("role = \"{role}\"\n{user}database_verifier = \"{verifier}\""))
        };
        check(&of("engineer", ""), "need each other");
        check(&of("leadership", "database_user = \"a\"\n"), "engineer alone");
        check(&of("engineer", "database_user = \"a\"\n").repeat(2), "two people have the database");
        check(&person("role = \"engineer\"\ndatabase_verifier = \"md5\""), "new-database-user");
        check("[proxy]\nfrom = [\"10.0.0.7\"]", "says nothing");
        check("colour = 1", "unknown field");
    }
}
