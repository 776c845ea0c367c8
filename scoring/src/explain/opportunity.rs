//! Opportunities: what a partner may be ready for, each with its evidence.

use domain::format::{plain_percent, plain_percent_with_places, plain_signed_percent};

/// The share of the quota in the busiest minute from which a larger quota is worth a talk.
const BUSY_MINUTE: f64 = 0.8;

/// Something a partner may be ready for.
#[derive(Debug, Clone, PartialEq)]
pub enum Opportunity {
    /// The busiest minute of 28 days over the quota, a ratio.
    LargerQuota { utilisation: f64 },
    /// The change of weekly calls, and the upper quartile of that of its segment, ratios.
    Growth { change: f64, upper_quartile: f64 },
    /// A product first used in the last 28 days, after another one.
    NewProduct { product: String },
}

impl Opportunity {
    /// Returns the opportunities in the evidence. `growth` is the change of weekly calls and the
    /// upper quartile of that of the segment.
    pub fn of(
        utilisation: Option<f64>,
        growth: Option<(f64, f64)>,
        new_product: Option<&str>,
    ) -> Vec<Self> {
        let busy = utilisation.filter(|utilisation| *utilisation >= BUSY_MINUTE);
        let growing = growth.filter(|(change, usual)| *change > usual.max(0.0));
        let found = [
            busy.map(|utilisation| Self::LargerQuota { utilisation }),
            growing.map(|(change, upper_quartile)| Self::Growth { change, upper_quartile }),
            new_product.map(|product| Self::NewProduct { product: product.to_owned() }),
        ];
        found.into_iter().flatten().collect()
    }

    /// The name in data formats.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::LargerQuota { .. } => "larger_quota",
            Self::Growth { .. } => "growth",
            Self::NewProduct { .. } => "new_product",
        }
    }

    /// Returns the evidence as a sentence.
    pub fn sentence(&self) -> String {
        match self {
            Self::LargerQuota { utilisation } => {
                let share = plain_percent_with_places(*utilisation, 0);
                format!("Its busiest minute used {share} of the quota")
            }
            Self::Growth { change, upper_quartile } => {
                let change = plain_signed_percent(*change);
                let usual = match *upper_quartile {
                    fall if fall < 0.0 => "a quarter of its peers fall less".to_owned(),
                    rise => {
                        format!("a quarter of its peers grow by {} or more", plain_percent(rise))
                    }
                };
                format!("Calls {change} in four weeks; {usual}")
            }
            Self::NewProduct { product } => format!("Took up another product: {product}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_beyond_its_threshold_is_told() {
        #[track_caller]
        fn check(
            utilisation: Option<f64>,
            growth: Option<(f64, f64)>,
            product: Option<&str>,
            expected: &[&str],
        ) {
            let found = Opportunity::of(utilisation, growth, product);
            let told: Vec<String> = found.iter().map(Opportunity::sentence).collect();
            assert_eq!(told, expected);
        }
        check(None, None, None, &[]);
        check(Some(0.79), Some((0.1, 0.1)), None, &[]);
        check(Some(0.8), None, None, &["Its busiest minute used 80 % of the quota"]);
        check(Some(1.2), None, None, &["Its busiest minute used 120 % of the quota"]);
        let grown = "Calls +38 % in four weeks; a quarter of its peers grow by 12 % or more";
        check(None, Some((0.38, 0.12)), None, &[grown]);
        // A fall is no opportunity, even where the peers fall more.
        check(None, Some((-0.1, -0.3)), None, &[]);
        check(
            None,
            Some((0.1, -0.3)),
            None,
            &["Calls +10 % in four weeks; a quarter of its peers fall less"],
        );
        check(None, None, Some("payments"), &["Took up another product: payments"]);
    }
}
