//! Signing in to `rapport serve` at a real OpenID provider: who gets in, and who does not.

use std::net::TcpListener;
use std::time::Duration;

use crate::support::action_project::project_with_gaps;
use crate::support::openid_provider::{
    Browser, CLIENT_SECRET, OpenIdProvider, has_provider, parameter, with_parameter,
};
use crate::support::page_server::{Answer, PageServer};
use crate::support::program::{Project, wait_until};

/// Where the provider sends people back to. The tests go to the same path of the server instead.
const REDIRECT_URL: &str = "https://rapport.example/sign-in/openid/callback";

/// Where it sends people after they signed out there.
const SIGNED_OUT_URL: &str = "https://rapport.example/sign-in/openid/signed-out";

/// Two people whom the provider knows, and what the program is called there.
fn access(issuer: &str, client: &str, claim: &str) -> String {
    let (ada, tom) = match claim {
        "sub" => ("u-ada", "u-tom"),
        _ => ("ada@example.com", "tom@example.com"),
    };
    format!(
        "[openid]\nname = \"Example\"\nissuer = \"{issuer}\"\nclient_id = \"{client}\"\n\
         client_secret = {{ file = \"client.secret\" }}\nredirect_url = \"{REDIRECT_URL}\"\n\
         post_logout_redirect_url = \"{SIGNED_OUT_URL}\"\n\
         claim = \"{claim}\"\n\
         [[people]]\nname = \"Ada\"\nrole = \"engineer\"\nlogin = \"{ada}\"\n\
         [[people]]\nname = \"Tom\"\nrole = \"leadership\"\nlogin = \"{tom}\"\n"
    )
}

/// Returns a project and the issuer of its provider, which does not run yet.
fn project(client: &str, claim: &str) -> (Project, String) {
    let project = project_with_gaps(|_, _| false);
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let issuer = format!("http://{}", free.local_addr().expect("an address"));
    let toml = std::fs::read_to_string(project.path("rapport.toml")).expect("a configuration");
    let toml = toml.replace("# sign_ins_per_minute = 20", "sign_ins_per_minute = 1000");
    project.write("rapport.toml", toml);
    project.write("client.secret", format!("{CLIENT_SECRET}\n"));
    project.write("access.toml", access(&issuer, client, claim));
    (project, issuer)
}

fn provider(project: &Project, issuer: &str) -> OpenIdProvider {
    OpenIdProvider::start(project, issuer, REDIRECT_URL, 0)
}

/// Begins to sign in. Returns the URL of the provider.
fn begin(browser: &mut Browser, server: &PageServer) -> String {
    let begun = browser.get(&format!("{}/sign-in/openid?return_to=%2Fhealth.html", server.address));
    assert_eq!(begun.status, 303, "{}", begun.text);
    begun.location
}

/// Comes back to the server from the provider.
fn finish(browser: &mut Browser, server: &PageServer, back: &str) -> Answer {
    assert!(back.starts_with(REDIRECT_URL), "{back}");
    browser.get(&back.replace("https://rapport.example", &server.address))
}

/// Signs in with an account of the provider.
fn sign_in(browser: &mut Browser, server: &PageServer, account: &str) -> Answer {
    let url = begin(browser, server);
    let back = browser.sign_in_at_provider(&url, account);
    finish(browser, server, &back)
}

/// Checks that nobody was let in, for a reason.
#[track_caller]
fn expect_refused(browser: &mut Browser, server: &PageServer, answer: &Answer, why: &str) {
    assert!((400..500).contains(&answer.status), "{} {}", answer.status, answer.text);
    assert!(answer.text.contains(why), "no \"{why}\" in {}", answer.text);
    assert!(answer.text.contains("Sign in with Example"), "{}", answer.text);
    assert_eq!(browser.get(&format!("{}/health.html", server.address)).status, 303);
}

#[test]
fn people_sign_in_at_a_provider() {
    if !has_provider() {
        return;
    }
    let (project, issuer) = project("rapport", "email");
    let _provider = provider(&project, &issuer);
    let server = PageServer::start(&project);
    let health = format!("{}/health.html", server.address);
    let mut browser = Browser::new();
    let page = browser.get(&format!("{}/sign-in?return_to=%2Fhealth.html", server.address)).text;
    let link = "href=\"/sign-in/openid?return_to=%2Fhealth%2Ehtml\"";
    assert!(page.contains(link) && page.contains("Sign in with Example"), "{page}");
    assert!(page.contains("name=\"token\""), "a token counts too: {page}");
    let url = begin(&mut browser, &server);
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "rapport"),
        ("redirect_uri", REDIRECT_URL),
        ("scope", "openid email"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(parameter(&url, name).as_deref(), Some(value), "{url}");
    }
    let answer = sign_in(&mut browser, &server, "u-ada");
    assert_eq!((answer.status, answer.location.as_str()), (303, "/health.html"), "{}", answer.text);
    let page = browser.get(&health);
    assert!(page.status == 200 && page.text.contains("Sign out"), "{}", page.text);
    let sql =
        browser.post(&format!("{}/ask.csv", server.address), &[("sql", "SELECT 1 AS a")], None);
    assert_eq!((sql.status, sql.text.as_str()), (200, "a\n1\n"));
    // Whoever is taken out of the file is signed out.
    let without = access(&issuer, "rapport", "email").replace("ada@example.com", "eve@example.com");
    project.write("access.toml", without);
    wait_until("the end of the session", Duration::from_secs(60), || {
        browser.get(&health).status == 303
    });
    assert!(!server.program.messages_so_far().contains(CLIENT_SECRET));
}

#[test]
fn people_are_known_by_their_id_at_the_provider() {
    if !has_provider() {
        return;
    }
    // This client gets tokens that are signed by another kind of key.
    let (project, issuer) = project("rapport-curve", "sub");
    let _provider = provider(&project, &issuer);
    let server = PageServer::start(&project);
    let mut browser = Browser::new();
    let answer = sign_in(&mut browser, &server, "u-tom");
    assert_eq!((answer.status, answer.location.as_str()), (303, "/health.html"), "{}", answer.text);
    let page = browser.get(&format!("{}/health.html", server.address));
    assert_eq!(page.status, 200, "{}", page.text);
    browser.post(&format!("{}/sign-out", server.address), &[], None);
    assert_eq!(browser.get(&format!("{}/health.html", server.address)).status, 303);
}

/// Returns an attribute of a page, from the first place behind `start` on.
fn behind(page: &str, start: &str) -> String {
    let (_, rest) = page.split_once(start).unwrap_or_else(|| panic!("no {start} in {page}"));
    rest.split('"').next().unwrap_or_default().replace("&amp;", "&")
}

#[test]
fn whoever_signs_out_is_signed_out_at_the_provider_too() {
    if !has_provider() {
        return;
    }
    let (project, issuer) = project("rapport", "email");
    let provider = provider(&project, &issuer);
    let server = PageServer::start(&project);
    let mut browser = Browser::new();
    assert_eq!(sign_in(&mut browser, &server, "u-ada").status, 303);
    // The provider knows the browser and asks nothing.
    let url = begin(&mut browser, &server);
    assert!(browser.get(&url).location.starts_with(REDIRECT_URL));
    let page = browser.post(&format!("{}/sign-out", server.address), &[], None);
    assert!(page.status == 200 && page.text.contains("Sign out at Example"), "{}", page.text);
    assert_eq!(browser.get(&format!("{}/health.html", server.address)).status, 303);
    let end = behind(&page.text, "http-equiv=\"refresh\" content=\"0;url=");
    assert!(end.starts_with(&issuer), "{end}");
    assert_eq!(parameter(&end, "post_logout_redirect_uri").as_deref(), Some(SIGNED_OUT_URL));
    assert_eq!(parameter(&end, "id_token_hint").map(|token| token.split('.').count()), Some(3));
    let state = parameter(&end, "state").expect("a state");
    // The provider asks whether the person means it.
    let asked = browser.get(&end);
    assert_eq!(asked.status, 200, "{}", asked.text);
    let (confirm, xsrf) =
        (behind(&asked.text, "action=\""), behind(&asked.text, "name=\"xsrf\" value=\""));
    let left = browser.post(&confirm, &[("xsrf", &xsrf), ("logout", "yes")], None);
    assert_eq!(left.status, 303, "{}", left.text);
    assert_eq!(left.location, format!("{SIGNED_OUT_URL}?state={state}"));
    let back = left.location.replace("https://rapport.example", &server.address);
    // Another browser is told nothing.
    let stranger = Browser::new().get(&back);
    assert_eq!((stranger.status, stranger.location.as_str()), (303, "/sign-in"));
    let page = browser.get(&back);
    assert!(page.text.contains("signed out here and at Example"), "{}", page.text);
    let url = begin(&mut browser, &server);
    let asked = browser.get(&url);
    assert!(asked.location.contains("/interaction/"), "{}", asked.location);
    // While the provider is away, people sign out here.
    assert_eq!(sign_in(&mut browser, &server, "u-ada").status, 303);
    drop(provider);
    drop(server);
    let server = PageServer::start(&project);
    let left = browser.post(&format!("{}/sign-out", server.address), &[], None);
    assert_eq!((left.status, left.location.as_str()), (303, "/sign-in"), "{}", left.text);
    assert_eq!(browser.get(&format!("{}/health.html", server.address)).status, 303);
}

#[test]
fn doctor_asks_the_provider() {
    if !has_provider() {
        return;
    }
    let (project, issuer) = project("rapport", "email");
    let doctor = || project.run(&["doctor"]).stdout_text();
    let away = doctor();
    assert!(away.contains("openid") && away.contains("can't be asked"), "{away}");
    assert!(away.contains("ok    access.toml     2 entries of people"), "{away}");
    let running = provider(&project, &issuer);
    let there = doctor();
    assert!(there.contains(&format!("{issuer} answers, and signs with 2 keys")), "{there}");
    assert!(!there.contains(CLIENT_SECRET) && !there.contains("left on a page"), "{there}");
    // The provider calls itself otherwise.
    let text = access(&issuer.replace("127.0.0.1", "localhost"), "rapport", "email");
    project.write("access.toml", text);
    let other = doctor();
    assert!(other.contains(&format!("is of the issuer {issuer}, not")), "{other}");
    let text = access(&issuer, "rapport", "email");
    let back = format!("post_logout_redirect_url = \"{SIGNED_OUT_URL}\"\n");
    project.write("access.toml", text.replace(&back, ""));
    let toml = std::fs::read_to_string(project.path("rapport.toml")).expect("a configuration");
    let public = "public_url = \"https://pages.example\"";
    project.write("rapport.toml", toml.replace("# public_url = \"\"", public));
    let warned = doctor();
    assert!(warned.contains("left on a page of the provider"), "{warned}");
    assert!(warned.contains("is not below [serve] public_url https://pages.example"), "{warned}");
    std::fs::remove_file(project.path("client.secret")).expect("a file");
    let missing = project.run(&["doctor"]);
    assert_eq!(missing.code, Some(3), "{missing}");
    assert!(missing.stdout_text().contains("client_secret"), "{missing}");
    drop(running);
}

#[test]
fn answers_that_do_not_count_let_nobody_in() {
    if !has_provider() {
        return;
    }
    let (project, issuer) = project("rapport", "email");
    let provider = provider(&project, &issuer);
    let server = PageServer::start(&project);
    let refused = |account: &str, why: &str, change: &dyn Fn(&mut Browser, &str) -> Answer| {
        let mut browser = Browser::new();
        let url = begin(&mut browser, &server);
        let answer = change(&mut browser, &with_parameter(&url, "login_hint", account));
        expect_refused(&mut browser, &server, &answer, why);
    };
    let go = |account: &'static str| {
        let server = &server;
        move |browser: &mut Browser, url: &str| {
            let back = browser.sign_in_at_provider(url, account);
            finish(browser, server, &back)
        }
    };
    refused("u-stranger", "nobody here has the login stranger@example.com", &go("u-stranger"));
    refused("u-tom", "tom@example.com is not verified", &go("u-tom"));
    refused("u-ada", "another attempt (nonce)", &|browser, url| {
        let back = browser.sign_in_at_provider(&with_parameter(url, "nonce", "n-2"), "u-ada");
        finish(browser, &server, &back)
    });
    let elsewhere = "begun in another browser or too long ago";
    refused("u-ada", elsewhere, &|browser, url| {
        let back = browser.sign_in_at_provider(&with_parameter(url, "state", "s-2"), "u-ada");
        finish(browser, &server, &back)
    });
    // Somebody is led to another one's answer.
    refused("u-ada", elsewhere, &|browser, url| {
        let back = browser.sign_in_at_provider(url, "u-ada");
        finish(&mut Browser::new(), &server, &back)
    });
    refused("u-ada", "another program", &|browser, url| {
        let nonce = parameter(url, "nonce").expect("a nonce");
        provider.sign_in_elsewhere(REDIRECT_URL, "u-ada", &nonce);
        let back = browser.sign_in_at_provider(url, "u-ada");
        finish(browser, &server, &back)
    });
    refused("u-ada", "does not accept the code (invalid_grant)", &|browser, url| {
        let back = browser.sign_in_at_provider(url, "u-ada");
        finish(browser, &server, &with_parameter(&back, "code", "guess"))
    });
    refused("u-ada", "of another provider", &|browser, url| {
        let back = browser.sign_in_at_provider(url, "u-ada");
        finish(browser, &server, &with_parameter(&back, "iss", "https://evil.example"))
    });
    refused("u-ada", "it says access_denied", &|browser, url| {
        let state = parameter(url, "state").expect("a state");
        let back = format!("{REDIRECT_URL}?error=access_denied&state={state}");
        finish(browser, &server, &back)
    });
    // The same account gets in where nothing is wrong.
    assert_eq!(sign_in(&mut Browser::new(), &server, "u-ada").status, 303);
}

#[test]
fn a_token_that_has_expired_lets_nobody_in() {
    if !has_provider() {
        return;
    }
    let (project, issuer) = project("rapport", "email");
    let _provider = OpenIdProvider::start(&project, &issuer, REDIRECT_URL, -3_600);
    let server = PageServer::start(&project);
    let mut browser = Browser::new();
    let answer = sign_in(&mut browser, &server, "u-ada");
    expect_refused(&mut browser, &server, &answer, "it has expired");
}

#[test]
fn a_provider_that_is_away_keeps_nobody_else_out() {
    if !has_provider() {
        return;
    }
    let (project, issuer) = project("rapport", "email");
    let made =
        project.run(&["serve", "--new-token", "leadership", "--name", "Zoë"]).expect_success();
    let token = made.stderr.split_whitespace().find(|word| word.starts_with("rapport_"));
    let token = token.expect("a token").to_owned();
    let people = format!("{}{}", access(&issuer, "rapport", "email"), made.stdout_text());
    project.write("access.toml", people);
    let server = PageServer::start(&project);
    let mut browser = Browser::new();
    let begun = browser.get(&format!("{}/sign-in/openid", server.address));
    assert!(begun.status == 503 && begun.text.contains("asked at the moment"), "{}", begun.text);
    let form = [("token", token.as_str()), ("return_to", "/health.html")];
    let answer = browser.post(&format!("{}/sign-in", server.address), &form, None);
    assert_eq!(answer.status, 303, "{}", answer.text);
    assert!(server.program.messages_so_far().contains(&issuer), "the log says who is away");
    // Once it is there, people sign in.
    let running = provider(&project, &issuer);
    let mut ada = Browser::new();
    assert_eq!(sign_in(&mut ada, &server, "u-ada").status, 303);
    // It goes away while somebody signs in.
    let mut late = Browser::new();
    let url = begin(&mut late, &server);
    let back = late.sign_in_at_provider(&url, "u-ada");
    drop(running);
    let answer = finish(&mut late, &server, &back);
    assert!(answer.status == 503 && answer.text.contains("asked at the moment"), "{}", answer.text);
    // Whoever is in stays in.
    let page = ada.get(&format!("{}/health.html", server.address));
    assert_eq!(page.status, 200, "{}", page.text);
    // It comes back with new keys.
    let _running = provider(&project, &issuer);
    wait_until("the new keys", Duration::from_secs(90), || {
        sign_in(&mut Browser::new(), &server, "u-ada").status == 303
    });
}

#[test]
fn mistakes_of_the_settings_are_told_without_secrets() {
    let project = Project::new();
    let refused = |change: (&str, &str), words: &[&str]| {
        let text = access("https://login.example.com", "rapport", "email");
        assert!(text.contains(change.0), "{text}");
        project.write("access.toml", text.replace(change.0, change.1));
        let result = project.run(&["serve", "--listen", "127.0.0.1:0"]);
        result.expect_error(2, words);
        assert!(!result.stderr.contains("hunter2"), "{result}");
    };
    let secret = "{ file = \"client.secret\" }";
    refused((secret, "\"hunter2-hunter2\""), &["access.toml", "client_secret", "env ="]);
    refused((secret, "{ env = \"RAPPORT_NO_SUCH\" }"), &["client_secret", "RAPPORT_NO_SUCH"]);
    refused((secret, secret), &["client_secret", "client.secret can't be read"]);
    refused(("https://login", "http://login"), &["[openid]", "issuer", "https://"]);
    refused(("/sign-in/openid/signed-out", "/"), &["post_logout_redirect_url", "signed-out"]);
    refused(("/sign-in/openid/callback", "/back"), &["redirect_url", "/sign-in/openid/callback"]);
    refused(("claim = \"email\"", "claim = \"phone\""), &["claim", "email", "sub"]);
}
