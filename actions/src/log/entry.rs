//! One row of the log of actions.

use std::fmt;
use std::str::FromStr;

use domain::{ActionKind, Setting, UnknownName};
use serde::{Deserialize, Serialize};

/// What a row says of its change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A person agreed.
    Approved,
    /// A person refused.
    Rejected,
    /// Is written before a delivery is sent, so that a kill leaves a trace.
    Attempted,
    /// The receiver took it.
    Acknowledged,
    /// The receiver did not take it, and may take it later.
    Failed,
    /// The receiver will never take it.
    Refused,
    /// Nobody knows whether the receiver took it.
    Ambiguous,
    /// A guard stopped it at the last moment; a new plan may propose it again.
    Stopped,
    /// It waited too long.
    Lapsed,
    /// A grant ends later than it was to end.
    Extended,
    /// What is in force at the receiver is what was sent.
    Verified,
    /// Something else is in force at the receiver.
    Differs,
}

impl EntryKind {
    pub const ALL: [Self; 12] = [
        Self::Approved,
        Self::Rejected,
        Self::Attempted,
        Self::Acknowledged,
        Self::Failed,
        Self::Refused,
        Self::Ambiguous,
        Self::Stopped,
        Self::Lapsed,
        Self::Extended,
        Self::Verified,
        Self::Differs,
    ];

    /// The name in the column `entry`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Attempted => "attempted",
            Self::Acknowledged => "acknowledged",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Ambiguous => "ambiguous",
            Self::Stopped => "stopped",
            Self::Lapsed => "lapsed",
            Self::Extended => "extended",
            Self::Verified => "verified",
            Self::Differs => "differs",
        }
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for EntryKind {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| UnknownName {
            what: "entry of the log",
            given: text.to_owned(),
            known: Self::ALL.map(Self::name).join(", "),
        })
    }
}

/// Why a change is proposed at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A rule of the policy asks for it.
    #[default]
    Rule,
    /// A grant has ended.
    Expiry,
    /// An earlier plan is taken back.
    Rollback,
}

impl Origin {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Expiry => "expiry",
            Self::Rollback => "rollback",
        }
    }
}

impl FromStr for Origin {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Rule, Self::Expiry, Self::Rollback];
        all.into_iter().find(|origin| origin.name() == text).ok_or_else(|| UnknownName {
            what: "origin of a change",
            given: text.to_owned(),
            known: all.map(Self::name).join(", "),
        })
    }
}

/// A row of the log. Instants are µs UTC.
#[derive(Debug, Clone, PartialEq)]
pub struct LogEntry {
    pub at: i64,
    pub kind: EntryKind,
    pub plan_id: String,
    /// The idempotency key of the change.
    pub key: String,
    pub partner_id: String,
    pub action: ActionKind,
    pub origin: Origin,
    /// The id of the rule that asked for the change.
    pub rule_id: String,
    pub from: Option<Setting>,
    pub to: Option<Setting>,
    /// What is in force by the receiver's answer, where that is not `to`.
    pub in_force: Option<Setting>,
    /// When the change ends by itself.
    pub expires_at: Option<i64>,
    /// Of a raise: the quota to which the partner returns when the grant ends, calls a minute.
    pub base_per_minute: Option<i64>,
    /// When the stretch of the rule holding for the partner began.
    pub episode_start: Option<i64>,
    /// The channel that it goes to, once it is sent.
    pub channel: Option<String>,
    /// The number of the attempt, from 1; 0 in rows that are no attempt.
    pub attempt: u32,
    /// The earliest instant of the next attempt.
    pub next_at: Option<i64>,
    pub by: String,
    /// What the receiver or the guard said, without secrets.
    pub answer: Option<String>,
    pub policy_version: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for kind in EntryKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        for origin in [Origin::Rule, Origin::Expiry, Origin::Rollback] {
            assert_eq!(origin.name().parse(), Ok(origin));
        }
        assert!("sent".parse::<EntryKind>().is_err());
    }
}
