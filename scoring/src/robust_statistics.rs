//! The median, a statistic that outliers do not move.

/// Returns the middle value, or the mean of the middle two, or `None` of no values, in time linear in
/// the number of values, which it reorders.
pub(crate) fn median_of(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let odd = values.len() % 2 == 1;
    let (below, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let upper = *upper;
    if odd {
        return Some(upper);
    }
    let lower = below.iter().copied().max_by(f64::total_cmp)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_value_or_the_mean_of_two() {
        #[track_caller]
        fn check(values: &[f64], middle: Option<f64>) {
            assert_eq!(median_of(&mut values.to_vec()), middle);
        }
        check(&[], None);
        check(&[5.0], Some(5.0));
        check(&[3.0, 1.0], Some(2.0));
        check(&[9.0, 1.0, 2.0, 6.0, 1.0, 2.0, 4.0], Some(2.0));
        check(&[7.0, 900.0, 7.0, 7.0], Some(7.0));
    }
}
