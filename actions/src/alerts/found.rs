//! What an evaluation of an alert found.

use super::rule::AlertRule;

/// Something that an alert is about now.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundAlert<'a> {
    pub rule: &'a AlertRule,
    /// Empty: it is about no partner.
    pub partner_id: String,
    /// The values of the other columns of `per`, such as an API version; empty without any.
    pub detail: String,
    /// What it says, the values of the row filled in.
    pub text: String,
}

impl FoundAlert<'_> {
    /// Returns the id of the alert in the log and in episodes: that of the rule, and what it is about
    /// besides a partner.
    pub fn id(&self) -> String {
        match self.detail.as_str() {
            "" => self.rule.id.clone(),
            detail => format!("{}:{detail}", self.rule.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::rule_id_of;
    use crate::policy::{DEFAULT_POLICY, Policy};

    #[test]
    fn an_id_carries_what_it_is_about() {
        let policy = Policy::parse(DEFAULT_POLICY).expect("the default policy");
        let rule = &policy.alerts[0];
        let found = |detail: &str| FoundAlert {
            rule,
            partner_id: "p".to_owned(),
            detail: detail.to_owned(),
            text: String::new(),
        };
        assert_eq!(found("").id(), rule.id);
        assert_eq!(found("a:b").id(), format!("{}:a:b", rule.id));
        assert_eq!(rule_id_of(&found("a:b").id()), rule.id);
        assert_eq!(rule_id_of(&found("").id()), rule.id);
    }
}
