//! A real OpenID provider (`tests/openid/`), and somebody who signs in there with a browser.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Url};
use tokio::runtime::Runtime;

use super::fake_clock::move_clock;
use super::kafka_broker::print_note;
use super::page_server::Answer;
use super::program::{Project, RunningProgram, wait_until};

/// The secret of every client.
pub(crate) const CLIENT_SECRET: &str = "of-the-client-+/%&";

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openid").join(name)
}

/// Returns whether the provider can be run. If not, it prints what to install; with `CI=true` it fails
/// the test.
pub(crate) fn has_provider() -> bool {
    let check = Command::new(script("setup")).arg("check").output().expect("a shell");
    let missing = String::from_utf8_lossy(&check.stderr).trim_end().to_owned();
    assert!(check.status.success() || std::env::var("CI").as_deref() != Ok("true"), "{missing}");
    if !check.status.success() {
        print_note(&format!("skipped, without an OpenID provider: {missing}"));
    }
    check.status.success()
}

/// A running provider.
pub(crate) struct OpenIdProvider {
    issuer: String,
    _program: RunningProgram,
}

impl OpenIdProvider {
    /// Starts the provider of an issuer, whose clock is ahead by so many seconds.
    pub(crate) fn start(project: &Project, issuer: &str, redirect_url: &str, clock: i64) -> Self {
        let address = issuer.trim_start_matches("http://").to_owned();
        let port = address.rsplit(':').next().expect("a port");
        let mut command = Command::new("node");
        command
            .arg(script("provider.mjs"))
            .args([port, redirect_url])
            .arg(redirect_url.replace("callback", "signed-out"));
        command.env("CLIENT_SECRET", CLIENT_SECRET);
        if clock != 0 {
            move_clock(&mut command, clock);
        }
        let mut program = RunningProgram::start_logging(command, &project.path("provider.log"));
        wait_until("the OpenID provider", Duration::from_secs(60), || {
            assert!(!program.has_ended(), "{}", program.messages_so_far());
            TcpStream::connect(&address).is_ok()
        });
        Self { issuer: issuer.to_owned(), _program: program }
    }

    /// Signs an account in to the program `other`, with a nonce, and redeems the code there.
    pub(crate) fn sign_in_elsewhere(&self, redirect_url: &str, account: &str, nonce: &str) {
        // The verifier and the challenge of appendix B of RFC 7636.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let request = [
            ("client_id", "other"),
            ("response_type", "code"),
            ("redirect_uri", redirect_url),
            ("scope", "openid email"),
            ("nonce", nonce),
            ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            ("code_challenge_method", "S256"),
        ];
        let url = Url::parse_with_params(&format!("{}/auth", self.issuer), request);
        let mut browser = Browser::new();
        let back = browser.sign_in_at_provider(url.expect("a URL").as_str(), account);
        let code = parameter(&back, "code").expect("a code");
        let form: [(&str, &str); 4] = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", redirect_url),
            ("code_verifier", verifier),
        ];
        let url = format!("{}/token", self.issuer);
        // The secret is written as in a form (RFC 6749, section 2.3.1).
        let encoded = Url::parse_with_params(&url, [("s", CLIENT_SECRET)]).expect("a URL");
        let encoded = encoded.query().expect("a query").trim_start_matches("s=");
        let answer = browser.post(&url, &form, Some(("other", encoded)));
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}

/// Returns a parameter of a URL.
pub(crate) fn parameter(url: &str, name: &str) -> Option<String> {
    let url = Url::parse(url).expect("a URL");
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

/// Returns a URL with another value of a parameter.
pub(crate) fn with_parameter(url: &str, name: &str, value: &str) -> String {
    let mut url = Url::parse(url).expect("a URL");
    let others: Vec<_> =
        url.query_pairs().into_owned().filter(|(known, _)| known != name).collect();
    url.query_pairs_mut().clear().extend_pairs(others).append_pair(name, value);
    url.into()
}

/// A browser with its cookies, which follows no redirect by itself.
pub(crate) struct Browser {
    runtime: Runtime,
    client: reqwest::Client,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    pub(crate) fn new() -> Self {
        let client = reqwest::Client::builder().redirect(Policy::none()).build();
        Self {
            runtime: Runtime::new().expect("a runtime"),
            client: client.expect("a client"),
            cookies: BTreeMap::new(),
        }
    }

    pub(crate) fn get(&mut self, url: &str) -> Answer {
        let request = self.client.get(url);
        self.send(request)
    }

    /// Sends a form, as a program with a name and a password if there are such.
    pub(crate) fn post(
        &mut self,
        url: &str,
        form: &[(&str, &str)],
        login: Option<(&str, &str)>,
    ) -> Answer {
        let body = Url::parse_with_params("http://localhost/", form).expect("a URL");
        let body = body.query().unwrap_or_default().to_owned();
        let mut request = self.client.post(url).body(body);
        request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some((name, password)) = login {
            request = request.basic_auth(name, Some(password));
        }
        self.send(request)
    }

    fn send(&mut self, request: RequestBuilder) -> Answer {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.header(COOKIE, cookies.join("; "));
        let (answer, set) = self.runtime.block_on(async {
            let answer = request.send().await.expect("an answer");
            let text =
                |value: &reqwest::header::HeaderValue| value.to_str().expect("text").to_owned();
            let set: Vec<String> = answer.headers().get_all(SET_COOKIE).iter().map(text).collect();
            let location = answer.headers().get(LOCATION).map(text).unwrap_or_default();
            let status = answer.status().as_u16();
            (Answer { status, location, text: answer.text().await.expect("a body") }, set)
        });
        for cookie in set {
            let pair = cookie.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').expect("a cookie");
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        answer
    }

    /// Goes to a provider and signs in there with an account. Returns the URL that the provider then
    /// leads to.
    pub(crate) fn sign_in_at_provider(&mut self, url: &str, account: &str) -> String {
        let mut url = Url::parse(&with_parameter(url, "login_hint", account)).expect("a URL");
        let provider = url.origin();
        for _ in 0..5 {
            let answer = self.get(url.as_str());
            assert_eq!(answer.status, 303, "{url}: {}", answer.text);
            url = url.join(&answer.location).expect("a URL");
            if url.origin() != provider {
                return url.into();
            }
        }
        panic!("the provider leads nowhere: {url}");
    }
}
