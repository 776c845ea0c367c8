//! The checks of who may sign in to the served pages: `access.toml` and its OpenID provider.

use domain::counted;
use serve::{Access, OpenIdSettings, check_provider};

use super::checks::CheckList;
use crate::commands::serve::access;
use crate::config::{Config, ServeSettings};

/// Checks the file of access, if there is one, and asks the provider that it names. The secret of the
/// client is read, not sent.
pub(super) async fn check(config: &Config, checks: &mut CheckList) {
    let settings = config.serve();
    if settings.access.is_none() {
        return;
    }
    let access = access(&settings);
    let found = |access: &Access| match access {
        Access::People(people) => format!("{} of people", counted(people.len(), "entry")),
        Access::Owner(_) => "nobody needs to sign in".to_owned(),
    };
    if let Some(Access::People(people)) = checks.result("access.toml", access, found)
        && let Some(openid) = people.openid()
    {
        check_openid(openid, &settings, checks).await;
    }
}

async fn check_openid(openid: &OpenIdSettings, settings: &ServeSettings, checks: &mut CheckList) {
    const NAME: &str = "openid";
    match check_provider(openid).await {
        Err(error) => checks.fail(
            NAME,
            format!("{} can't be asked: {error}", openid.name),
            "compare issuer in [openid] with the URL that the provider calls itself, and let this \
             machine reach it",
        ),
        Ok(offer) if offer.keys == 0 => checks.fail(
            NAME,
            format!("{} signs with no key", openid.issuer),
            "its jwks_uri lists none: nobody can sign in before it does",
        ),
        Ok(offer) => {
            let keys = counted(offer.keys, "key");
            checks.ok(NAME, format!("{} answers, and signs with {keys}", openid.issuer));
            if offer.has_sign_out && openid.post_logout_redirect_url.is_none() {
                checks.warn(
                    NAME,
                    "people who sign out are left on a page of the provider",
                    "set post_logout_redirect_url in [openid], and register it at the provider",
                );
            }
        }
    }
    let public = settings.public_url.as_deref();
    if let Some(public) = public.filter(|public| !openid.leads_to(public)) {
        checks.warn(
            NAME,
            format!(
                "redirect_url {} is not below [serve] public_url {public}",
                openid.redirect_url
            ),
            "people come back to another address than the one that they began at: mend one of them",
        );
    }
}
