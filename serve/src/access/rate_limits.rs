//! How often somebody may try to sign in, and ask in SQL: by person, and by the address of the client.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use governor::clock::Clock;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

/// After so many requests those who have not asked for a while are forgotten.
const CHECKS_BETWEEN_CLEANING: u32 = 1_024;

/// How often each person and each address may do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitSettings {
    pub sign_ins_per_minute: NonZeroU32,
    pub sql_per_minute: NonZeroU32,
}

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limited {
    SignIn,
    Sql,
}

/// Whose requests are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Requester {
    /// A person, by the name in `access.toml`.
    Person(String),
    /// The network of a client.
    Network(IpAddr),
}

impl Requester {
    /// Returns the network of an address. Whoever has an IPv6 address mostly has all of its /64.
    pub(crate) fn of_address(address: IpAddr) -> Self {
        Self::Network(match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() & !u128::from(u64::MAX);
                Ipv6Addr::from_bits(network).into()
            }
            address => address,
        })
    }
}

/// A clock that tests set.
#[derive(Clone)]
pub(crate) struct LimitClock(Arc<dyn Fn() -> Instant + Send + Sync>);

impl LimitClock {
    pub(crate) fn new(now: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }
}

impl Clock for LimitClock {
    type Instant = Instant;

    fn now(&self) -> Instant {
        (self.0)()
    }
}

type Limiter = RateLimiter<Requester, HashMapStateStore<Requester>, LimitClock>;

/// Counts what is limited.
pub(crate) struct RateLimits {
    sign_in: Limiter,
    sql: Limiter,
    clock: LimitClock,
    checks: AtomicU32,
}

impl RateLimits {
    pub(crate) fn new(settings: LimitSettings, clock: LimitClock) -> Self {
        let limiter = |per_minute| {
            RateLimiter::hashmap_with_clock(Quota::per_minute(per_minute), clock.clone())
        };
        Self {
            sign_in: limiter(settings.sign_ins_per_minute),
            sql: limiter(settings.sql_per_minute),
            checks: AtomicU32::new(0),
            clock,
        }
    }

    /// Counts a request. Returns after which time the next one is answered, if this one comes too
    /// early.
    pub(crate) fn check(&self, what: Limited, by: &Requester) -> Result<(), Duration> {
        if self.checks.fetch_add(1, Ordering::Relaxed).is_multiple_of(CHECKS_BETWEEN_CLEANING) {
            self.sign_in.retain_recent();
            self.sql.retain_recent();
        }
        let limiter = match what {
            Limited::SignIn => &self.sign_in,
            Limited::Sql => &self.sql,
        };
        limiter.check_key(by).map_err(|early| early.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn each_requester_has_a_limit_that_refills() {
        let begun = Instant::now();
        let passed = Arc::new(Mutex::new(Duration::ZERO));
        let clock = {
            let passed = Arc::clone(&passed);
            LimitClock::new(move || begun + *passed.lock().expect("a lock"))
        };
        let [sign_ins_per_minute, sql_per_minute] =
            [2, 3].map(|n| NonZeroU32::new(n).expect("a number above 0"));
        let limits = RateLimits::new(LimitSettings { sign_ins_per_minute, sql_per_minute }, clock);
        let ada = Requester::Person("ada".to_owned());
        let tom = Requester::Person("tom".to_owned());
        let check = |what, by: &Requester| limits.check(what, by);
        assert_eq!(check(Limited::SignIn, &ada), Ok(()));
        assert_eq!(check(Limited::SignIn, &ada), Ok(()));
        assert_eq!(check(Limited::SignIn, &ada), Err(Duration::from_secs(30)));
        assert_eq!(check(Limited::SignIn, &tom), Ok(()));
        assert_eq!(check(Limited::Sql, &ada), Ok(()));
        *passed.lock().expect("a lock") = Duration::from_secs(29);
        assert_eq!(check(Limited::SignIn, &ada), Err(Duration::from_secs(1)));
        *passed.lock().expect("a lock") = Duration::from_secs(30);
        assert_eq!(check(Limited::SignIn, &ada), Ok(()));
        assert_eq!(check(Limited::SignIn, &ada), Err(Duration::from_secs(30)));
        // Whoever has not asked for a while is forgotten.
        *passed.lock().expect("a lock") = Duration::from_secs(600);
        for _ in 0..=CHECKS_BETWEEN_CLEANING {
            let _ = check(Limited::Sql, &tom);
        }
        assert!(limits.sign_in.is_empty());
        assert_eq!(limits.sql.len(), 1);
    }

    #[test]
    fn addresses_of_one_network_count_together() {
        let of = |text: &str| Requester::of_address(text.parse().expect("an address"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("10.0.0.7"), of("::ffff:10.0.0.7"));
        assert_ne!(of("10.0.0.7"), of("10.0.0.8"));
    }
}
