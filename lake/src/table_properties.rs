//! The properties that every table of a lake carries in its log.

use std::collections::HashMap;

/// The version of the lake's layout, [`crate::FORMAT_VERSION`].
pub(crate) const FORMAT_PROPERTY: &str = "rapport.formatVersion";

/// The table version from which on every file has a checksum; 0 when the property is absent.
pub(crate) const CHECKED_PROPERTY: &str = "rapport.checkedFrom";

/// The fingerprint of the lake's key.
pub(crate) const KEY_PROPERTY: &str = "rapport.keyFingerprint";

/// Delta's property by which other programs delete log entries. It is `false` in every table:
/// followers rely on the order in which entries are deleted (see `log::follower`).
pub(crate) const CLEAN_UP_PROPERTY: &str = "delta.enableExpiredLogCleanup";

/// Returns the version of the lake's layout, or 0 when the property is absent.
pub(crate) fn format_of(properties: &HashMap<String, String>) -> u32 {
    properties.get(FORMAT_PROPERTY).and_then(|v| v.parse().ok()).unwrap_or_default()
}

/// Returns the table version from which on every file has a checksum; `None` for an older format,
/// whose files have none.
pub(crate) fn checked_from(properties: &HashMap<String, String>) -> Option<u64> {
    if format_of(properties) < 3 {
        return None;
    }
    Some(properties.get(CHECKED_PROPERTY).and_then(|v| v.parse().ok()).unwrap_or_default())
}
