//! The quota ladder of a target that knows only some quotas, such as groups with fixed limits.

use serde::{Deserialize, Serialize};

/// One quota of a ladder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    /// What the target calls it.
    pub name: String,
    /// Calls a minute.
    pub per_minute: i64,
}

/// Returns the rung for a quota.
///
/// A raise rounds down, so that nobody gets more than was decided. Anything else rounds up where
/// it can, because a rung below would take more from the partner than was decided.
///
/// # Errors
/// A sentence, where a raise would end below the quota in force or no rung fits.
pub(super) fn rung_for(ladder: &[Rung], from: Option<i64>, to: i64) -> Result<&Rung, String> {
    let below = ladder.iter().filter(|rung| rung.per_minute <= to).max_by_key(|r| r.per_minute);
    let above = ladder.iter().filter(|rung| rung.per_minute >= to).min_by_key(|r| r.per_minute);
    let is_decrease = from.is_some_and(|from| to < from);
    if is_decrease {
        return above.or(below).ok_or_else(|| "the quota ladder is empty".to_owned());
    }
    let lowest = ladder.iter().map(|rung| rung.per_minute).min().unwrap_or(0);
    let rung = below.ok_or_else(|| {
        format!("{to} a minute is below the lowest rung of the quota ladder, {lowest}")
    })?;
    match from {
        Some(from) if rung.per_minute < from => Err(format!(
            "the raise from {from} to {to} a minute rounds down to the rung \"{}\" with {}, which \
             would take from the partner; add a rung between them",
            rung.name, rung.per_minute
        )),
        _ => Ok(rung),
    }
}

/// Fails on a ladder that would not be one.
///
/// # Errors
/// A sentence on two rungs of one name or one quota, or a rung without calls.
pub(super) fn check(ladder: &[Rung]) -> Result<(), String> {
    for (index, rung) in ladder.iter().enumerate() {
        if rung.per_minute <= 0 || rung.name.is_empty() {
            return Err("quota_ladder: each rung has a name and a quota above 0".to_owned());
        }
        let same = |other: &Rung| other.name == rung.name || other.per_minute == rung.per_minute;
        if ladder[..index].iter().any(same) {
            return Err(format!(
                "quota_ladder: the rung \"{}\" has the name or the quota of another",
                rung.name
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ladder() -> Vec<Rung> {
        [("gold", 1_200), ("bronze", 300), ("silver", 600)]
            .map(|(name, per_minute)| Rung { name: name.to_owned(), per_minute })
            .to_vec()
    }

    #[test]
    fn a_raise_rounds_down_and_a_decrease_up() {
        let check_rung = |from: Option<i64>, to: i64, expected: Result<&str, &str>| {
            let ladder = ladder();
            match (rung_for(&ladder, from, to), expected) {
                (Ok(rung), Ok(name)) => assert_eq!(rung.name, name, "{from:?} to {to}"),
                (Err(error), Err(words)) => assert!(error.contains(words), "{error}"),
                (found, _) => panic!("{from:?} to {to}: {found:?}"),
            }
        };
        check_rung(Some(600), 900, Ok("silver"));
        check_rung(Some(600), 1_200, Ok("gold"));
        check_rung(Some(600), 5_000, Ok("gold"));
        check_rung(None, 300, Ok("bronze"));
        check_rung(None, 299, Err("below the lowest rung of the quota ladder, 300"));
        check_rung(Some(700), 900, Err("would take from the partner"));
        check_rung(Some(1_200), 900, Ok("gold"));
        check_rung(Some(1_200), 600, Ok("silver"));
        check_rung(Some(1_200), 100, Ok("bronze"));
        check_rung(Some(9_000), 5_000, Ok("gold"));
    }

    #[test]
    fn a_ladder_has_different_rungs() {
        assert_eq!(check(&ladder()), Ok(()));
        let mut twice = ladder();
        twice.push(Rung { name: "gold".to_owned(), per_minute: 5 });
        assert!(check(&twice).is_err());
        assert!(check(&[Rung { name: "none".to_owned(), per_minute: 0 }]).is_err());
    }
}
