//! Folds over small logs.

use std::collections::BTreeMap;

use domain::ActionKind;

use super::{Grant, History, Progress};
use crate::input::QuotaChange;
use crate::log::{EntryKind, LogEntry, Origin};
use crate::test_log::{entry, quota_entry};

const DAY: i64 = domain::MICROS_PER_DAY;

#[test]
fn progress_follows_the_rows() {
    #[track_caller]
    fn check(kinds: &[EntryKind], expected: Progress) {
        let rows: Vec<LogEntry> = kinds.iter().map(|kind| entry("k", *kind)).collect();
        let history = History::of(&rows);
        assert_eq!(history.change("k").map(|change| change.progress), Some(expected));
    }
    use EntryKind::{
        Acknowledged, Ambiguous, Approved, Attempted, Failed, Lapsed, Refused, Rejected, Stopped,
    };
    let attempt = 1;
    check(&[Approved], Progress::Waiting);
    check(&[Approved, Rejected], Progress::Rejected);
    check(&[Rejected, Approved], Progress::Waiting);
    check(&[Attempted], Progress::Open { attempt, at: 0 });
    check(&[Attempted, Failed], Progress::Failed { attempt, next_at: 0 });
    check(&[Attempted, Failed, Attempted], Progress::Open { attempt, at: 0 });
    check(&[Attempted, Ambiguous], Progress::Ambiguous { attempt, at: 0 });
    check(&[Attempted, Ambiguous, Acknowledged], Progress::Acknowledged);
    check(&[Attempted, Refused], Progress::Ended(Refused));
    check(&[Stopped], Progress::Ended(Stopped));
    check(&[Lapsed], Progress::Ended(Lapsed));
    // What was acknowledged stays so.
    check(&[Attempted, Acknowledged, Stopped, Rejected], Progress::Acknowledged);
    check(&[Attempted, Acknowledged, Failed], Progress::Acknowledged);
    check(&[Attempted, Acknowledged, Ambiguous], Progress::Acknowledged);
    check(&[Attempted, Acknowledged, Attempted], Progress::Acknowledged);
    // A person who refuses what was sent already does not make it known.
    check(&[Attempted, Rejected], Progress::Open { attempt, at: 0 });
    check(&[Attempted, Rejected, Approved], Progress::Open { attempt, at: 0 });
    check(&[Attempted, Ambiguous, Rejected], Progress::Ambiguous { attempt, at: 0 });
    check(&[Attempted, Rejected, Failed], Progress::Rejected);
    check(&[Attempted, Failed, Rejected, Approved], Progress::Failed { attempt, next_at: 0 });
    // What ended stays so in its plan, unless nobody knows any more.
    check(&[Attempted, Stopped, Failed], Progress::Ended(Stopped));
    check(&[Attempted, Stopped, Ambiguous], Progress::Ambiguous { attempt, at: 0 });
}

#[test]
fn a_further_raise_keeps_the_first_base() {
    let mut first = quota_entry("a", 100, 150, 1);
    (first.base_per_minute, first.expires_at) = (Some(100), Some(30 * DAY));
    let mut second = quota_entry("b", 150, 200, 2);
    (second.base_per_minute, second.expires_at) = (Some(100), Some(31 * DAY));
    let history = History::of([&first, &second]);
    let grant = Grant { base: 100, per_minute: 200, expires_at: 31 * DAY, raised_at: 2 };
    assert_eq!(history.grant_of("p"), Some(&grant));
    let mut end = quota_entry("c", 200, 100, 3);
    end.origin = Origin::Expiry;
    assert_eq!(History::of([&first, &second, &end]).grant_of("p"), None);
}

#[test]
fn an_outside_change_ends_a_grant() {
    let mut raise = quota_entry("a", 100, 150, 10);
    (raise.base_per_minute, raise.expires_at) = (Some(100), Some(30 * DAY));
    let check = |at, per_minute, is_left| {
        let mut history = History::of([&raise]);
        let events = BTreeMap::from([("p".to_owned(), vec![QuotaChange { at, per_minute }])]);
        history.end_grants_changed_outside(&events);
        assert_eq!(history.grant_of("p").is_some(), is_left, "{per_minute} at {at}");
    };
    // The platform reports our own change, an older one, and one of somebody else.
    check(11, 150, true);
    check(9, 100, true);
    check(11, 400, false);
}

#[test]
fn an_open_change_blocks_others_of_its_partner() {
    for action in ActionKind::ALL {
        let rows = [LogEntry { action, ..entry("k", EntryKind::Attempted) }];
        let history = History::of(&rows);
        let blocks = (action != ActionKind::Notify).then_some("k");
        assert_eq!(history.unconfirmed("p", "other"), blocks, "{action:?}");
        assert_eq!(history.unconfirmed("p", "k"), None);
        assert_eq!(history.unconfirmed("q", "other"), None);
    }
}
