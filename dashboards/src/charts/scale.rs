//! Scales from values to px, and the two to four grid lines of an axis.

/// A linear or logarithmic map from a domain of values to px.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    from: (f64, f64),
    to: (f64, f64),
    log: bool,
}

impl Scale {
    /// Returns a linear scale from the domain `from` to the px `to`.
    pub(crate) fn linear(from: (f64, f64), to: (f64, f64)) -> Self {
        Self { from, to, log: false }
    }

    /// Returns a logarithmic scale. Both ends of the domain must be above 0.
    pub(crate) fn log(from: (f64, f64), to: (f64, f64)) -> Self {
        Self { from: (from.0.ln(), from.1.ln()), to, log: true }
    }

    /// Returns the px of a value. On a logarithmic scale 0, and what lies below its domain, stands at
    /// its foot.
    pub(crate) fn px(&self, value: f64) -> f64 {
        let value = if self.log { value.ln().max(self.from.0) } else { value };
        let span = self.from.1 - self.from.0;
        if span.abs() < 1e-12 {
            return self.to.0;
        }
        self.to.0 + (value - self.from.0) / span * (self.to.1 - self.to.0)
    }
}

/// Returns round values from 0 up to `max`, with two to four grid lines above 0.
pub(crate) fn ticks(max: f64) -> Vec<f64> {
    if max <= 0.0 || !max.is_finite() {
        return vec![0.0];
    }
    let raw = max / 4.0;
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|f| f * power)
        .find(|step| *step >= raw * 0.999_999)
        .unwrap_or(10.0 * power);
    let count = (max / step + 1e-9).floor().max(1.0) as usize;
    (0..=count).map(|i| i as f64 * step).collect()
}

/// Returns the values with their labels. A value with the same label as the one before is left out,
/// so that an axis of small counts has whole steps.
pub(crate) fn labelled(marks: Vec<f64>, axis: &dyn Fn(f64) -> String) -> Vec<(f64, String)> {
    let mut out: Vec<(f64, String)> = Vec::new();
    for mark in marks {
        let label = axis(mark);
        if out.last().is_none_or(|(_, before)| *before != label) {
            out.push((mark, label));
        }
    }
    out
}

/// Returns the powers of `base` that span `min` to `max`, at least two.
pub(crate) fn log_ticks((min, max): (f64, f64), base: f64) -> Vec<f64> {
    let low = (min.max(1e-9).ln() / base.ln() + 1e-9).floor();
    let high = (max.max(1e-9).ln() / base.ln() - 1e-9).ceil().max(low + 1.0);
    let mut at = low;
    let mut out = Vec::new();
    while at <= high {
        out.push(base.powf(at));
        at += 1.0;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        #[track_caller]
        fn check(max: f64, expected: &[f64]) {
            assert_eq!(ticks(max), expected);
        }
        check(248.0, &[0.0, 100.0, 200.0]);
        check(12.6, &[0.0, 5.0, 10.0]);
        check(3.0, &[0.0, 1.0, 2.0, 3.0]);
        check(3480.0, &[0.0, 1000.0, 2000.0, 3000.0]);
        check(0.0, &[0.0]);
        assert_eq!(log_ticks((0.9, 33.0), 2.0), [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]);
    }

    #[test]
    fn labels_do_not_repeat() {
        let whole = |v: f64| format!("{}", v as i64);
        let marks: Vec<f64> = labelled(ticks(1.0), &whole).into_iter().map(|m| m.0).collect();
        assert_eq!(marks, [0.0, 1.0]);
    }

    #[test]
    fn scales_map_their_ends() {
        let linear = Scale::linear((0.0, 10.0), (100.0, 0.0));
        assert_eq!((linear.px(0.0), linear.px(5.0)), (100.0, 50.0));
        let log = Scale::log((1.0, 16.0), (0.0, 4.0));
        assert!((log.px(4.0) - 2.0).abs() < 1e-9);
        assert_eq!((log.px(0.0), log.px(0.5)), (0.0, 0.0));
        assert_eq!(Scale::linear((1.0, 1.0), (7.0, 9.0)).px(3.0), 7.0);
    }
}
