//! Episodes: stretches of a rule holding for a subject. A notice is sent once an episode, and a
//! condition that flickers begins none anew.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use domain::UnknownName;

/// Evaluations without its condition after which an episode ends.
pub const EPISODE_MISSES: u32 = 7;

/// What a row of the table of episodes says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpisodeEvent {
    Started,
    /// An evaluation did not find the condition.
    Missed,
    /// An evaluation found it again.
    Seen,
    Ended,
}

impl EpisodeEvent {
    pub const ALL: [Self; 4] = [Self::Started, Self::Missed, Self::Seen, Self::Ended];

    /// The name in the column `event`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Missed => "missed",
            Self::Seen => "seen",
            Self::Ended => "ended",
        }
    }
}

impl FromStr for EpisodeEvent {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|event| event.name() == text).ok_or_else(|| UnknownName {
            what: "event of an episode",
            given: text.to_owned(),
            known: Self::ALL.map(Self::name).join(", "),
        })
    }
}

/// A row of the table of episodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpisodeRow {
    /// The end of the window that was evaluated, µs.
    pub as_of: i64,
    pub rule_id: String,
    /// A partner id, or what else a rule speaks of.
    pub subject: String,
    /// When the episode began, µs: as it was first written.
    pub started_at: i64,
    pub event: EpisodeEvent,
    /// Of an alert that began: what it said.
    pub about: Option<String>,
}

/// An open episode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Episode {
    /// µs.
    pub started_at: i64,
    /// Evaluations without the condition since it was last found.
    pub misses: u32,
    /// The newest evaluation, µs.
    pub evaluated: i64,
    /// Of an alert: what it said when it began.
    pub about: Option<String>,
}

/// The subjects for which each rule holds.
pub type Holding<'a> = BTreeMap<&'a str, BTreeSet<String>>;

/// A fold over the table of episodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Episodes {
    open: BTreeMap<(String, String), Episode>,
}

impl Episodes {
    /// Folds rows in the order of the table.
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a EpisodeRow>) -> Self {
        let mut episodes = Self::default();
        for row in rows {
            episodes.add(row);
        }
        episodes
    }

    fn add(&mut self, row: &EpisodeRow) {
        let key = (row.rule_id.clone(), row.subject.clone());
        let (started_at, evaluated) = (row.started_at, row.as_of);
        match row.event {
            EpisodeEvent::Started => {
                let about = row.about.clone();
                let episode = Episode { started_at, misses: 0, evaluated, about };
                self.open.entry(key).or_insert(episode);
            }
            EpisodeEvent::Ended => {
                self.open.remove(&key);
            }
            EpisodeEvent::Missed | EpisodeEvent::Seen => {
                if let Some(episode) = self.open.get_mut(&key) {
                    let is_missed = row.event == EpisodeEvent::Missed;
                    episode.misses = if is_missed { episode.misses + 1 } else { 0 };
                    episode.evaluated = episode.evaluated.max(evaluated);
                }
            }
        }
    }

    /// Returns the rows that an evaluation adds, and adds them. A window that was evaluated before
    /// counts no miss twice. Rules that are no longer there hold for nobody.
    pub fn evaluate(&mut self, as_of: i64, now: i64, holding: &Holding<'_>) -> Vec<EpisodeRow> {
        self.evaluate_some(as_of, now, holding, &|_| true)
    }

    /// Does the same for some rules; the episodes of all others stay as they are. `is_evaluated` tells
    /// by its id whether a rule was looked at.
    pub fn evaluate_some(
        &mut self,
        as_of: i64,
        now: i64,
        holding: &Holding<'_>,
        is_evaluated: &dyn Fn(&str) -> bool,
    ) -> Vec<EpisodeRow> {
        let mut rows = Vec::new();
        let evaluated = self.open.iter().filter(|((rule_id, _), _)| is_evaluated(rule_id));
        for ((rule_id, subject), episode) in evaluated {
            let holds = holding.get(rule_id.as_str()).is_some_and(|ids| ids.contains(subject));
            let event = match (holds, episode.misses) {
                _ if as_of <= episode.evaluated => continue,
                (true, 0) => continue,
                (true, _) => EpisodeEvent::Seen,
                (false, misses) if misses + 1 >= EPISODE_MISSES => EpisodeEvent::Ended,
                (false, _) => EpisodeEvent::Missed,
            };
            rows.push(EpisodeRow {
                as_of,
                rule_id: rule_id.clone(),
                subject: subject.clone(),
                started_at: episode.started_at,
                event,
                about: None,
            });
        }
        for (rule_id, subjects) in holding {
            for subject in subjects {
                if self.open.contains_key(&((*rule_id).to_owned(), subject.clone())) {
                    continue;
                }
                rows.push(EpisodeRow {
                    as_of,
                    rule_id: (*rule_id).to_owned(),
                    subject: subject.clone(),
                    started_at: now,
                    event: EpisodeEvent::Started,
                    about: None,
                });
            }
        }
        for row in &rows {
            self.add(row);
        }
        rows
    }

    /// Returns the open episode of a rule and a subject.
    pub fn open(&self, rule_id: &str, subject: &str) -> Option<&Episode> {
        self.open.get(&(rule_id.to_owned(), subject.to_owned()))
    }

    /// Returns all open episodes with their rule and subject.
    pub fn all_open(&self) -> impl Iterator<Item = (&str, &str, &Episode)> {
        self.open.iter().map(|((rule, subject), episode)| (&**rule, &**subject, episode))
    }

    /// Returns the subjects of a rule's open episodes.
    pub fn subjects<'a>(&'a self, rule_id: &'a str) -> impl Iterator<Item = &'a str> {
        let of_rule = self.open.keys().filter(move |(rule, _)| rule == rule_id);
        of_rule.map(|(_, subject)| subject.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(ids: &[&str]) -> Holding<'static> {
        Holding::from([("r", ids.iter().map(|id| (*id).to_owned()).collect())])
    }

    #[test]
    fn an_episode_ends_after_seven_misses_in_a_row() {
        let mut episodes = Episodes::default();
        let first = episodes.evaluate(1, 100, &holding(&["p"]));
        assert_eq!(first[0].event, EpisodeEvent::Started);
        for day in 2..8 {
            let rows = episodes.evaluate(day, 100 + day, &holding(&[]));
            assert_eq!(rows[0].event, EpisodeEvent::Missed);
        }
        assert_eq!(episodes.evaluate(8, 108, &holding(&["p"]))[0].event, EpisodeEvent::Seen);
        for day in 9..15 {
            episodes.evaluate(day, 100 + day, &holding(&[]));
        }
        assert_eq!(episodes.open("r", "p").map(|e| (e.started_at, e.misses)), Some((100, 6)));
        let last = episodes.evaluate(15, 115, &holding(&[]));
        assert_eq!((last[0].event, last[0].started_at), (EpisodeEvent::Ended, 100));
        assert_eq!(episodes.open("r", "p"), None);
        let again = episodes.evaluate(16, 116, &holding(&["p"]));
        assert_eq!((again[0].event, again[0].started_at), (EpisodeEvent::Started, 116));
    }

    #[test]
    fn a_condition_that_flickers_is_one_episode() {
        let mut episodes = Episodes::default();
        let mut started = 0;
        for day in 1..60 {
            let rows =
                episodes.evaluate(day, day, &holding(if day % 2 == 0 { &[] } else { &["p"] }));
            started += rows.iter().filter(|row| row.event == EpisodeEvent::Started).count();
        }
        assert_eq!(started, 1);
    }

    #[test]
    fn one_window_counts_once() {
        let mut episodes = Episodes::default();
        episodes.evaluate(1, 1, &holding(&["p"]));
        assert_eq!(episodes.evaluate(2, 2, &holding(&[])).len(), 1);
        for now in 3..20 {
            assert_eq!(episodes.evaluate(2, now, &holding(&[])), []);
        }
        assert!(episodes.open("r", "p").is_some());
    }

    #[test]
    fn rows_fold_to_the_same_episodes() {
        let mut episodes = Episodes::default();
        let mut rows = Vec::new();
        for day in 1..40 {
            let ids: &[&str] = match day % 11 {
                0..4 => &["p", "q"],
                4 => &["q"],
                _ => &[],
            };
            rows.extend(episodes.evaluate(day, day * 10, &holding(ids)));
        }
        assert_eq!(Episodes::of(&rows), episodes);
    }

    #[test]
    fn rules_that_are_not_looked_at_keep_their_episodes() {
        let mut episodes = Episodes::default();
        episodes.evaluate(1, 1, &holding(&["p"]));
        for day in 2..20 {
            let rows = episodes.evaluate_some(day, day, &Holding::new(), &|id| id != "r");
            assert_eq!(rows, []);
        }
        assert_eq!(episodes.open("r", "p").map(|episode| episode.misses), Some(0));
    }

    #[test]
    fn a_rule_that_is_gone_holds_for_nobody() {
        let mut episodes = Episodes::default();
        episodes.evaluate(1, 1, &holding(&["p"]));
        for day in 2..9 {
            episodes.evaluate(day, day, &Holding::new());
        }
        assert_eq!(episodes.subjects("r").count(), 0);
    }
}
