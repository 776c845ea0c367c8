//! Who may ask in SQL from a BI tool: the people of `access.toml` with a database user, whose failed
//! attempts to sign in count as those on the pages do.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::access::rate_limits::{Limited, Requester};
use crate::access::role::Permission;
use crate::access::scram::ScramVerifier;
use crate::server::App;

/// The sign-in of BI tools, by the people whom the server lets in at that moment.
#[derive(Clone)]
pub struct DatabaseAccess(Arc<App>);

impl DatabaseAccess {
    pub(crate) fn new(app: Arc<App>) -> Self {
        Self(app)
    }

    /// Returns the verifier of a user. A user who does not exist, or may not ask in SQL, has one that
    /// no password fits.
    pub fn verifier(&self, user: &str) -> ScramVerifier {
        self.known(user).map_or_else(
            || ScramVerifier::of_nobody(&self.0.database_key, user),
            |(verifier, _)| verifier,
        )
    }

    /// Returns the name of the person with this user and verifier, who may be gone since.
    pub fn person(&self, user: &str, verifier: &ScramVerifier) -> Option<String> {
        self.known(user).filter(|(known, _)| known == verifier).map(|(_, name)| name)
    }

    /// Counts a failed attempt. Returns after which time the next one is answered, if there were too
    /// many.
    pub fn count_failure(&self, user: &str, address: IpAddr) -> Result<(), Duration> {
        let of_user = Requester::Person(format!("database user {user}"));
        let by_user = self.0.limits.check(Limited::SignIn, &of_user);
        self.0.limits.check(Limited::SignIn, &Requester::of_address(address)).and(by_user)
    }

    fn known(&self, user: &str) -> Option<(ScramVerifier, String)> {
        let today = chrono::Utc::now().date_naive();
        self.0
            .find_person(|people| {
                let person = people.of_database_user(user, today)?;
                let verifier = person.database_verifier.clone()?;
                person.role.may(Permission::Sql).then(|| (verifier, person.name.clone()))
            })
            .flatten()
    }
}
