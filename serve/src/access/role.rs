//! The roles, and what each may do.

use serde::Deserialize;

/// What a person is here for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads all pages.
    Leadership,
    /// Reads the pages of its own partners, and decides on these.
    Manager,
    /// Reads all pages, and asks in SQL.
    Engineer,
    /// Reads the usage of one partner.
    Partner,
    /// Does everything: whoever started the server, on the same machine. It is no role of
    /// `access.toml`.
    #[serde(skip_deserializing)]
    Owner,
}

/// Something that a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Read the pages, their data and the JSON API.
    Read,
    /// Decide on partners and plans.
    Decide,
    /// Ask in SQL.
    Sql,
    /// Read the figures of the server.
    Operate,
    /// Read the usage page of a partner.
    Usage,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 5] = [Self::Read, Self::Decide, Self::Sql, Self::Operate, Self::Usage];
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] =
        [Self::Leadership, Self::Manager, Self::Engineer, Self::Partner, Self::Owner];

    /// Returns whether the role has a permission.
    pub fn may(self, permission: Permission) -> bool {
        match self {
            Self::Owner => true,
            Self::Leadership => matches!(permission, Permission::Read | Permission::Usage),
            Self::Manager => {
                matches!(permission, Permission::Read | Permission::Decide | Permission::Usage)
            }
            Self::Engineer => !matches!(permission, Permission::Decide),
            Self::Partner => matches!(permission, Permission::Usage),
        }
    }

    /// Returns the name. All but that of the owner may stand in `access.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Leadership => "leadership",
            Self::Manager => "manager",
            Self::Engineer => "engineer",
            Self::Partner => "partner",
            Self::Owner => "owner",
        }
    }
}
