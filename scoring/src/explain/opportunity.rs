//! Opportunities: what a partner may be ready for, each with its evidence.

use domain::format::{plain_percent, plain_percent_with_places, plain_signed_percent};

use crate::paying::PayingLikelihood;

/// The share of the quota in the busiest minute from which a larger quota is worth a talk.
const BUSY_MINUTE: f64 = 0.8;

/// How likely a partner must become paying before it is worth a talk, and how much more likely than
/// all partners do.
const LIKELY: f64 = 0.5;
const TIMES_AS_LIKELY: f64 = 2.0;

/// Something a partner may be ready for.
#[derive(Debug, Clone, PartialEq)]
pub enum Opportunity {
    /// The busiest minute of 28 days over the quota, a ratio.
    LargerQuota { utilisation: f64 },
    /// The change of weekly calls, and the upper quartile of that of its segment, ratios.
    Growth { change: f64, upper_quartile: f64 },
    /// A product first used in the last 28 days, after another one.
    NewProduct { product: String },
    /// It has not paid, and looks like partners that became paying: with which likelihood, 0–1.
    UnpaidPartner { likelihood: f64 },
}

impl Opportunity {
    /// Returns the opportunities in the evidence. `growth` is the change of weekly calls and the
    /// upper quartile of that of the segment; `paying` is known of partners that have not paid.
    pub fn of(
        utilisation: Option<f64>,
        growth: Option<(f64, f64)>,
        new_product: Option<&str>,
        paying: Option<PayingLikelihood>,
    ) -> Vec<Self> {
        let busy = utilisation.filter(|utilisation| *utilisation >= BUSY_MINUTE);
        let growing = growth.filter(|(change, usual)| *change > usual.max(0.0));
        let likely = paying.filter(|paying| {
            let least = LIKELY.max(TIMES_AS_LIKELY * paying.base_rate);
            paying.likelihood >= least
        });
        let found = [
            busy.map(|utilisation| Self::LargerQuota { utilisation }),
            growing.map(|(change, upper_quartile)| Self::Growth { change, upper_quartile }),
            new_product.map(|product| Self::NewProduct { product: product.to_owned() }),
            likely.map(|paying| Self::UnpaidPartner { likelihood: paying.likelihood }),
        ];
        found.into_iter().flatten().collect()
    }

    /// The name in data formats.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::LargerQuota { .. } => "larger_quota",
            Self::Growth { .. } => "growth",
            Self::NewProduct { .. } => "new_product",
            Self::UnpaidPartner { .. } => "unpaid_partner",
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
            Self::UnpaidPartner { likelihood } => {
                // Nearly all are not all.
                let share = plain_percent_with_places(likelihood.min(0.99), 0);
                format!(
                    "Its first 28 days look like those of partners of which {share} became paying"
                )
            }
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
            let found = Opportunity::of(utilisation, growth, product, None);
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

    #[test]
    fn an_unpaid_partner_must_be_likely_and_more_so_than_others() {
        #[track_caller]
        fn check(likelihood: f64, base_rate: f64, expected: &[&str]) {
            let paying = Some(PayingLikelihood { likelihood, base_rate });
            let found = Opportunity::of(None, None, None, paying);
            let told: Vec<String> = found.iter().map(Opportunity::sentence).collect();
            assert_eq!(told, expected);
        }
        let sentence = "Its first 28 days look like those of partners of which 62 % became paying";
        check(0.62, 0.31, &[sentence]);
        check(0.624, 0.1, &[sentence]);
        check(0.62, 0.311, &[]);
        check(0.49, 0.1, &[]);
        check(0.999, 0.51, &[]);
        let half = "Its first 28 days look like those of partners of which 50 % became paying";
        check(0.5, 0.01, &[half]);
        let nearly_all =
            "Its first 28 days look like those of partners of which 99 % became paying";
        check(0.999, 0.2, &[nearly_all]);
    }
}
