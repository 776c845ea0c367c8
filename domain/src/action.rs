//! What a plan changes of a partner: the kinds of actions, and the settings they set.

use serde::{Deserialize, Serialize};

use crate::named_enum::named_enum;

/// What an action does. The order is the order of a partner's changes in a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    RouteSupport,
    SetQuota,
    ApproveProduction,
    Notify,
}

impl ActionKind {
    pub const ALL: [Self; 4] =
        [Self::RouteSupport, Self::SetQuota, Self::ApproveProduction, Self::Notify];

    /// The name in a plan.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RouteSupport => "route_support",
            Self::SetQuota => "set_quota",
            Self::ApproveProduction => "approve_production",
            Self::Notify => "notify",
        }
    }
}

named_enum!(ActionKind, "action");

/// What a change goes from or to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Setting {
    Support(SupportRoute),
    Quota {
        /// Calls a minute.
        per_minute: i64,
    },
    /// May call production.
    Production {
        approved: bool,
    },
    Notify {
        /// The recipient: `manager`, `partner`, or a name.
        who: String,
        /// What it is about, in a few words.
        about: String,
    },
}

/// Where the support requests of a partner go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SupportRoute {
    pub queue: String,
    /// 1 is the most urgent.
    pub priority: u32,
    /// Hours to a first answer.
    pub sla_hours: u32,
}
