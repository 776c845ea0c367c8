//! What is asked of an OpenID provider: where things are, the keys that it signs with, who somebody is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, StatusCode};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex, OnceCell};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use crate::access::openid::OpenIdError;
use crate::access::openid::attempt::AttemptSecrets;
use crate::access::openid::id_token::{self, Claims, Expected, MailClaims, TokenError};
use crate::access::openid::key_set::KeySet;
use crate::access::openid::settings::{LoginClaim, OpenIdSettings, secure_url};

/// How long a request to the provider may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer that is read.
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// How long what the provider says of itself counts.
const KEPT: Duration = Duration::from_secs(3_600);
/// How old keys are at least that are read again for one that is unknown.
const UNKNOWN_KEY_AFTER: Duration = Duration::from_secs(30);

/// Where things are at a provider
/// (<https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata>).
#[derive(Debug, Clone, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    /// Where people sign out (<https://openid.net/specs/openid-connect-rpinitiated-1_0.html>).
    end_session_endpoint: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// Whoever has signed in.
pub(crate) struct SignedIn {
    pub(crate) login: String,
    /// What the provider knows the session by when it ends.
    pub(crate) id_token: String,
}

/// The answer to a code.
#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: String,
}

/// Why a code was not accepted (RFC 6749, section 5.2).
#[derive(Deserialize)]
struct TokenRefusal {
    error: String,
}

/// What the provider says of somebody beside the id token.
#[derive(Deserialize)]
struct UserInfo {
    sub: String,
    #[serde(flatten)]
    mail: MailClaims,
}

/// Something that was read from a URL.
struct Known<T> {
    url: String,
    read_at: Instant,
    value: Arc<T>,
}

/// The provider, with what it has said of itself.
#[derive(Default)]
pub(crate) struct Provider {
    client: OnceCell<Client>,
    metadata: Mutex<Option<Known<Metadata>>>,
    keys: Mutex<Option<Known<KeySet>>>,
}

impl Provider {
    /// Returns where a browser asks for a code.
    pub(crate) async fn authorization_url(
        &self,
        settings: &OpenIdSettings,
        secrets: &AttemptSecrets,
    ) -> Result<Url, OpenIdError> {
        let metadata = self.metadata(settings).await?;
        let mut url = endpoint(&metadata.authorization_endpoint)?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &settings.client_id)
            .append_pair("redirect_uri", &settings.redirect_url)
            .append_pair("scope", &settings.scopes.join(" "))
            .append_pair("state", &secrets.state)
            .append_pair("nonce", &secrets.nonce)
            .append_pair("code_challenge", &secrets.challenge())
            .append_pair("code_challenge_method", "S256");
        Ok(url)
    }

    /// Returns where a browser ends its session at the provider, or `None` if the provider offers no
    /// such place. `id_token` says whose session it is, and `state` comes back from there.
    pub(crate) async fn end_session_url(
        &self,
        settings: &OpenIdSettings,
        id_token: Option<&str>,
        state: &str,
    ) -> Result<Option<Url>, OpenIdError> {
        let metadata = self.metadata(settings).await?;
        let Some(address) = &metadata.end_session_endpoint else { return Ok(None) };
        let mut url = endpoint(address)?;
        let mut query = url.query_pairs_mut();
        query.append_pair("client_id", &settings.client_id);
        if let Some(id_token) = id_token {
            query.append_pair("id_token_hint", id_token);
        }
        if let Some(back) = &settings.post_logout_redirect_url {
            query.append_pair("post_logout_redirect_uri", back).append_pair("state", state);
        }
        drop(query);
        Ok(Some(url))
    }

    /// Redeems a code. Returns whoever has signed in.
    pub(crate) async fn login(
        &self,
        settings: &OpenIdSettings,
        secrets: &AttemptSecrets,
        code: &str,
        now: DateTime<Utc>,
    ) -> Result<SignedIn, OpenIdError> {
        let metadata = self.metadata(settings).await?;
        let tokens = self.redeem(settings, &metadata, secrets, code).await?;
        let claims = self.verify(settings, &metadata, secrets, &tokens.id_token, now).await?;
        let login = match settings.claim {
            LoginClaim::Sub => claims.sub,
            LoginClaim::Email => self.mail(&metadata, claims, &tokens.access_token).await?,
        };
        Ok(SignedIn { login, id_token: tokens.id_token })
    }

    /// Returns the verified mail address of somebody.
    async fn mail(
        &self,
        metadata: &Metadata,
        claims: Claims,
        access_token: &str,
    ) -> Result<String, OpenIdError> {
        // By the standard the mail address is in the answer of another endpoint; many providers write
        // it into the token too.
        let mail = match (claims.mail.is_complete(), &metadata.userinfo_endpoint) {
            (false, Some(url)) => self.user_info(url, access_token, &claims.sub).await?,
            _ => claims.mail,
        };
        let is_verified = mail.is_verified();
        let email = mail.email.filter(|email| !email.is_empty()).ok_or_else(|| {
            OpenIdError::Refused(
                "it names no mail address; the scope email or the claim sub may help".to_owned(),
            )
        })?;
        if !is_verified {
            let why = format!("the mail address {email} is not verified there");
            return Err(OpenIdError::Refused(why));
        }
        Ok(email)
    }

    /// Asks for the tokens of a code.
    async fn redeem(
        &self,
        settings: &OpenIdSettings,
        metadata: &Metadata,
        secrets: &AttemptSecrets,
        code: &str,
    ) -> Result<Tokens, OpenIdError> {
        let url = endpoint(&metadata.token_endpoint)?;
        let (body, credentials) = token_request(settings, metadata, secrets, code);
        let mut request = self.client().await?.post(url.as_str()).body(body);
        if let Some(credentials) = credentials {
            request = request.header(AUTHORIZATION, credentials);
        }
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let (status, body) = send(request, url.as_str()).await?;
        if status.is_client_error() {
            let refusal = serde_json::from_slice(&body).ok();
            let error = refusal.map(|refusal: TokenRefusal| error_code(&refusal.error).to_owned());
            let error = error.unwrap_or_else(|| status.as_str().to_owned());
            return Err(OpenIdError::Refused(format!("it does not accept the code ({error})")));
        }
        read(status, &body, url.as_str())
    }

    /// Returns what an id token says. A key that is unknown may be a new one, for which the keys are
    /// read again.
    async fn verify(
        &self,
        settings: &OpenIdSettings,
        metadata: &Metadata,
        secrets: &AttemptSecrets,
        token: &str,
        now: DateTime<Utc>,
    ) -> Result<Claims, OpenIdError> {
        let expected = Expected {
            issuer: &settings.issuer,
            client_id: &settings.client_id,
            nonce: &secrets.nonce,
        };
        let keys = self.keys(&metadata.jwks_uri, KEPT).await?;
        let mut found = id_token::verify(token, &keys, &expected, now);
        if matches!(found, Err(TokenError::UnknownKey)) {
            let keys = self.keys(&metadata.jwks_uri, UNKNOWN_KEY_AFTER).await?;
            found = id_token::verify(token, &keys, &expected, now);
        }
        found.map_err(|error| {
            let why = match error {
                TokenError::UnknownKey => "it is signed by a key that the provider does not have",
                TokenError::Invalid(why) => why,
            };
            OpenIdError::Refused(format!("its id token does not count: {why}"))
        })
    }

    async fn user_info(
        &self,
        url: &str,
        access_token: &str,
        sub: &str,
    ) -> Result<MailClaims, OpenIdError> {
        let url = endpoint(url)?;
        let request = self.client().await?.get(url.as_str());
        let request = request.header(AUTHORIZATION, format!("Bearer {access_token}"));
        let (status, body) = send(request, url.as_str()).await?;
        let info: UserInfo = read(status, &body, url.as_str())?;
        if info.sub == sub {
            return Ok(info.mail);
        }
        Err(OpenIdError::Refused("it says two things of who this is".to_owned()))
    }

    /// Returns where things are. When the provider is away, what it said last counts on.
    async fn metadata(&self, settings: &OpenIdSettings) -> Result<Arc<Metadata>, OpenIdError> {
        let issuer = settings.issuer.as_str();
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let mut known = self.metadata.lock().await;
        let last = known.as_ref().filter(|known| known.url == url);
        if let Some(last) = last.filter(|last| last.read_at.elapsed() < KEPT) {
            return Ok(Arc::clone(&last.value));
        }
        let read: Result<Metadata, _> = self.get(&url).await;
        let value = match (read, last) {
            (Ok(read), _) if read.issuer != issuer => {
                let why = format!("{url} is of the issuer {}, not {issuer}", read.issuer);
                return Err(OpenIdError::Unavailable(why));
            }
            (Ok(read), _) => Arc::new(read),
            (Err(error), Some(last)) => {
                tracing::warn!(%error, "what the OpenID provider said of itself counts on");
                return Ok(Arc::clone(&last.value));
            }
            (Err(error), None) => return Err(error),
        };
        *known = Some(Known { url, read_at: Instant::now(), value: Arc::clone(&value) });
        Ok(value)
    }

    /// Returns the keys, which may have been read so long ago.
    async fn keys(&self, url: &str, max_age: Duration) -> Result<Arc<KeySet>, OpenIdError> {
        let mut known = self.keys.lock().await;
        let last = known.as_ref().filter(|known| known.url == url);
        if let Some(last) = last.filter(|last| last.read_at.elapsed() < max_age) {
            return Ok(Arc::clone(&last.value));
        }
        endpoint(url)?;
        let value: Arc<KeySet> = Arc::new(self.get(url).await?);
        let url = url.to_owned();
        *known = Some(Known { url, read_at: Instant::now(), value: Arc::clone(&value) });
        Ok(value)
    }

    async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, OpenIdError> {
        let (status, body) = send(self.client().await?.get(url), url).await?;
        read(status, &body, url)
    }

    async fn client(&self) -> Result<&Client, OpenIdError> {
        let make = async || Client::builder().timeout(TIMEOUT).redirect(Policy::none()).build();
        let made = self.client.get_or_try_init(make).await;
        made.map_err(|e| OpenIdError::Unavailable(format!("no HTTP client can be made: {e}")))
    }
}

/// What a provider offers, as a check of the settings finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderOffer {
    /// The number of keys that it signs with.
    pub keys: usize,
    /// Whether people can sign out there.
    pub has_sign_out: bool,
}

/// Asks a provider for what it says of itself, and for its keys.
///
/// # Errors
/// A sentence on what can't be read, or on an issuer that is another one.
pub async fn check_provider(settings: &OpenIdSettings) -> Result<ProviderOffer, String> {
    let provider = Provider::default();
    let asked = async {
        let metadata = provider.metadata(settings).await?;
        let addresses = [&metadata.authorization_endpoint, &metadata.token_endpoint];
        for address in addresses.into_iter().chain(&metadata.end_session_endpoint) {
            endpoint(address)?;
        }
        let keys = provider.keys(&metadata.jwks_uri, KEPT).await?;
        let has_sign_out = metadata.end_session_endpoint.is_some();
        Ok(ProviderOffer { keys: keys.len(), has_sign_out })
    };
    asked.await.map_err(|error: OpenIdError| error.to_string())
}

impl Metadata {
    /// Returns whether the secret goes into a header, as it does unless something else is said.
    fn takes_basic(&self) -> bool {
        let methods = self.token_endpoint_auth_methods_supported.as_ref();
        methods.is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"))
    }
}

/// Returns the form that redeems a code, and the header `Authorization` if the secret goes there.
fn token_request(
    settings: &OpenIdSettings,
    metadata: &Metadata,
    secrets: &AttemptSecrets,
    code: &str,
) -> (String, Option<String>) {
    let mut form = Serializer::new(String::new());
    form.append_pair("grant_type", "authorization_code")
        .append_pair("code", code)
        .append_pair("redirect_uri", &settings.redirect_url)
        .append_pair("code_verifier", &secrets.verifier);
    let Some(secret) = &settings.secret else {
        form.append_pair("client_id", &settings.client_id);
        return (form.finish(), None);
    };
    if metadata.takes_basic() {
        let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let (id, secret) = (encode(&settings.client_id), encode(secret.expose_secret()));
        let credentials = BASE64_STANDARD.encode(format!("{id}:{secret}"));
        return (form.finish(), Some(format!("Basic {credentials}")));
    }
    form.append_pair("client_id", &settings.client_id)
        .append_pair("client_secret", secret.expose_secret());
    (form.finish(), None)
}

/// Returns the code of an error if it is one of the standard's, which are words of letters and `_`.
pub(crate) fn error_code(text: &str) -> &str {
    let is_word = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if (1..=64).contains(&text.len()) && is_word(text) { text } else { "an unknown error" }
}

fn endpoint(url: &str) -> Result<Url, OpenIdError> {
    secure_url(url)
        .map_err(|e| OpenIdError::Unavailable(format!("an address of the provider: {e}")))
}

/// Sends a request and returns the answer, up to a limit.
async fn send(request: RequestBuilder, url: &str) -> Result<(StatusCode, Vec<u8>), OpenIdError> {
    let failed = |error: reqwest::Error| {
        let error = error.without_url();
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        let why = format!("{url} can't be read: {error}{}", cause.unwrap_or_default());
        OpenIdError::Unavailable(why)
    };
    let mut answer = request.header(ACCEPT, "application/json").send().await.map_err(failed)?;
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(failed)? {
        if body.len() + part.len() > MAX_ANSWER_BYTES {
            return Err(OpenIdError::Unavailable(format!("the answer of {url} is too large")));
        }
        body.extend_from_slice(&part);
    }
    Ok((answer.status(), body))
}

fn read<T: DeserializeOwned>(status: StatusCode, body: &[u8], url: &str) -> Result<T, OpenIdError> {
    if !status.is_success() {
        return Err(OpenIdError::Unavailable(format!("{url} answers with {status}")));
    }
    // The error does not quote the answer, which may hold tokens.
    serde_json::from_slice(body).map_err(|e| {
        let place = format!("line {}, column {}", e.line(), e.column());
        OpenIdError::Unavailable(format!("the answer of {url} can't be read at {place}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_goes_where_the_provider_takes_it() {
        let toml = "name = 'Example'\nissuer = 'https://login.example'\nclient_id = 'a:b'\n\
                    redirect_url = 'https://rapport.example/sign-in/openid/callback'\n";
        let public: OpenIdSettings = toml::from_str(toml).expect("settings");
        let known = OpenIdSettings { secret: Some("s&c".to_owned().into()), ..public.clone() };
        let metadata = |methods: Option<&[&str]>| Metadata {
            issuer: String::new(),
            authorization_endpoint: String::new(),
            token_endpoint: String::new(),
            jwks_uri: String::new(),
            userinfo_endpoint: None,
            end_session_endpoint: None,
            token_endpoint_auth_methods_supported: methods
                .map(|all| all.iter().map(|method| (*method).to_owned()).collect()),
        };
        let secrets = AttemptSecrets {
            state: "s".to_owned(),
            nonce: "n".to_owned(),
            verifier: "v".to_owned(),
        };
        let request =
            |settings, methods| token_request(settings, &metadata(methods), &secrets, "c");
        let form = "grant_type=authorization_code&code=c&redirect_uri=https%3A%2F%2Frapport.example\
                    %2Fsign-in%2Fopenid%2Fcallback&code_verifier=v";
        let basic = format!("Basic {}", BASE64_STANDARD.encode("a%3Ab:s%26c"));
        assert_eq!(request(&known, None), (form.to_owned(), Some(basic.clone())));
        let both: &[&str] = &["client_secret_post", "client_secret_basic"];
        assert_eq!(request(&known, Some(both)), (form.to_owned(), Some(basic)));
        let in_form = format!("{form}&client_id=a%3Ab&client_secret=s%26c");
        assert_eq!(request(&known, Some(&["client_secret_post"])), (in_form, None));
        assert_eq!(request(&public, None), (format!("{form}&client_id=a%3Ab"), None));
    }

    #[test]
    fn only_codes_of_errors_are_shown() {
        assert_eq!(error_code("access_denied"), "access_denied");
        for text in ["", "<b>", "Call 0800 123", &"a".repeat(65)] {
            assert_eq!(error_code(text), "an unknown error");
        }
    }
}
