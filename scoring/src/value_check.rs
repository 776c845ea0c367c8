//! A value of the policy compared with its allowed range.

/// A value of the policy, and whether it is allowed.
pub(crate) struct ValueCheck {
    /// `table.key`.
    pub key: String,
    pub given: String,
    /// What the value must be: `0 or more`.
    pub expected: &'static str,
    pub is_allowed: bool,
}

pub(crate) fn value_check(
    key: &str,
    given: &dyn ToString,
    expected: &'static str,
    is_allowed: bool,
) -> ValueCheck {
    ValueCheck { key: key.to_owned(), given: given.to_string(), expected, is_allowed }
}

/// Returns whether a value is finite and more than 0.
pub(crate) fn is_positive(value: f64) -> bool {
    value.is_finite() && value > 0.0
}
