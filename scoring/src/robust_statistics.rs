//! Statistics that outliers do not move: median, median absolute deviation, Theil–Sen slope.

/// Scales the MAD of normally distributed values to their standard deviation (Rousseeuw & Croux
/// 1993).
pub(crate) const MAD_TO_SIGMA: f64 = 1.4826;

/// Returns the middle value, or the mean of the middle two, or `None` of no values.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// Returns the same as [`median`], in time linear in the number of values, which it reorders.
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

/// Returns the median distance from the median (MAD), or `None` of no values.
pub(crate) fn median_absolute_deviation(values: &[f64]) -> Option<f64> {
    let centre = median(values)?;
    median(&values.iter().map(|v| (v - centre).abs()).collect::<Vec<_>>())
}

/// Returns the Theil–Sen slope, which is the median slope over all pairs of the points (0, y₀),
/// (1, y₁) … (Sen 1968), or `None` with fewer than two points.
pub(crate) fn theil_sen(ys: &[f64]) -> Option<f64> {
    let mut slopes = Vec::with_capacity(ys.len() * ys.len().saturating_sub(1) / 2);
    for (i, from) in ys.iter().enumerate() {
        for (j, to) in ys.iter().enumerate().skip(i + 1) {
            slopes.push((to - from) / (j - i) as f64);
        }
    }
    median(&slopes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_deviations() {
        #[track_caller]
        fn check(values: &[f64], middle: Option<f64>, deviation: Option<f64>) {
            assert_eq!(median(values), middle);
            assert_eq!(median_absolute_deviation(values), deviation);
        }
        check(&[], None, None);
        check(&[5.0], Some(5.0), Some(0.0));
        check(&[1.0, 3.0], Some(2.0), Some(1.0));
        check(&[1.0, 1.0, 2.0, 2.0, 4.0, 6.0, 9.0], Some(2.0), Some(1.0));
        check(&[7.0, 7.0, 7.0, 900.0], Some(7.0), Some(0.0));
    }

    #[test]
    fn an_outlier_does_not_tilt_the_slope() {
        #[track_caller]
        fn check(ys: &[f64], slope: Option<f64>) {
            assert_eq!(theil_sen(ys), slope);
        }
        check(&[], None);
        check(&[3.0], None);
        check(&[3.0, 5.0], Some(2.0));
        check(&[1.0, 2.0, 3.0, 400.0, 5.0, 6.0, 7.0], Some(1.0));
        check(&[4.0, 4.0, 4.0], Some(0.0));
    }
}
