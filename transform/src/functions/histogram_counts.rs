//! The counts of one histogram, few as pairs and many as an array.

use datafusion::common::{Result, exec_err};

/// From so many buckets on an array is considered; it may then have so many times as many places.
const MANY: usize = 32;
const SPREAD: usize = 4;

/// Places of an array: there are 3,776 buckets.
const MOST: usize = 4_096;

/// How many values fall into each bucket.
#[derive(Debug, Clone)]
pub(super) enum Histogram {
    /// By bucket.
    Few(Vec<(i32, i64)>),
    /// Of the buckets from the first on, some of them 0.
    Many { first: i32, counts: Vec<i64> },
}

impl Default for Histogram {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Histogram {
    pub(super) fn add(&mut self, bucket: i32, count: i64) -> Result<()> {
        match self {
            Self::Few(pairs) => match pairs.binary_search_by_key(&bucket, |(b, _)| *b) {
                Ok(at) => add_to(&mut pairs[at].1, count),
                Err(at) => {
                    pairs.insert(at, (bucket, count));
                    self.spread_out();
                    Ok(())
                }
            },
            Self::Many { first, counts } => {
                if let Some(found) = place(*first, bucket).and_then(|at| counts.get_mut(at)) {
                    return add_to(found, count);
                }
                self.reach(bucket);
                self.add(bucket, count)
            }
        }
    }

    /// As many buckets as counts.
    pub(super) fn add_all(&mut self, buckets: &[i32], counts: &[i64]) -> Result<()> {
        let mut pairs = buckets.iter().copied().zip(counts.iter().copied());
        match self {
            Self::Few(few) if few.is_empty() && buckets.is_sorted_by(|a, b| a < b) => {
                few.extend(pairs);
                Ok(())
            }
            _ => pairs.try_for_each(|(bucket, count)| self.add(bucket, count)),
        }
    }

    /// The buckets that are not empty.
    pub(super) fn iter(&self) -> impl Iterator<Item = (i32, i64)> {
        let (pairs, first, counts) = match self {
            Self::Few(pairs) => (pairs.as_slice(), 0, [].as_slice()),
            Self::Many { first, counts } => ([].as_slice(), *first, counts.as_slice()),
        };
        let numbered = (0..).zip(counts).map(move |(at, count)| (first + at, *count));
        pairs.iter().copied().chain(numbered).filter(|(_, count)| *count != 0)
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Few(pairs) => pairs.capacity() * size_of::<(i32, i64)>(),
            Self::Many { counts, .. } => counts.capacity() * size_of::<i64>(),
        }
    }

    /// As an array, where the buckets are many and near each other.
    fn spread_out(&mut self) {
        let Self::Few(pairs) = self else { return };
        let [(first, _), .., (last, _)] = *pairs.as_slice() else { return };
        let Some(places) = place(first, last).map(|at| at + 1) else { return };
        if pairs.len() < MANY || places > SPREAD * pairs.len() || places > MOST {
            return;
        }
        let mut counts = vec![0; places];
        for (bucket, count) in pairs {
            if let Some(found) = place(first, *bucket).and_then(|at| counts.get_mut(at)) {
                *found = *count;
            }
        }
        *self = Self::Many { first, counts };
    }

    /// Makes a place for a bucket outside of the array, or gives the array up.
    fn reach(&mut self, bucket: i32) {
        let Self::Many { first, counts } = self else { return };
        let last = i64::from(*first) + counts.len() as i64 - 1;
        let (from, to) = (bucket.min(*first), i64::from(bucket).max(last));
        let places = usize::try_from(to - i64::from(from) + 1).unwrap_or(usize::MAX);
        if places > MOST {
            *self = Self::Few(self.iter().collect());
            return;
        }
        let before = place(from, *first).unwrap_or_default();
        counts.splice(0..0, std::iter::repeat_n(0, before));
        counts.resize(places, 0);
        *first = from;
    }
}

/// Where a bucket is in an array.
fn place(first: i32, bucket: i32) -> Option<usize> {
    usize::try_from(i64::from(bucket) - i64::from(first)).ok()
}

fn add_to(found: &mut i64, count: i64) -> Result<()> {
    match found.checked_add(count) {
        Some(sum) => *found = sum,
        None => return exec_err!("a histogram's count does not fit 64 bits"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pairs_and_arrays_count_the_same(
            // Mostly near each other, now and then anywhere.
            added in prop::collection::vec(
                (prop_oneof![9 => 400..600, 1 => 0..3_776, 1 => any::<i32>()], 0..5i64),
                0..400,
            ),
            at_once in 1..200usize,
            sorted in any::<bool>(),
        ) {
            let (mut histogram, mut expected) = (Histogram::default(), BTreeMap::new());
            for part in added.chunks(at_once) {
                let mut part = part.to_vec();
                if sorted {
                    part.sort_unstable();
                }
                let (buckets, counts): (Vec<i32>, Vec<i64>) = part.into_iter().unzip();
                histogram.add_all(&buckets, &counts).expect("small counts");
                for (bucket, count) in buckets.into_iter().zip(counts) {
                    *expected.entry(bucket).or_default() += count;
                }
                prop_assert!(histogram.bytes() <= 2 * MOST * size_of::<(i32, i64)>());
            }
            expected.retain(|_, count| *count != 0);
            prop_assert!(histogram.iter().eq(expected));
        }
    }

    #[test]
    fn many_near_each_other_are_an_array() {
        let mut histogram = Histogram::default();
        (100..100 + MANY as i32).for_each(|b| histogram.add(b, 1).expect("a count"));
        assert!(matches!(histogram, Histogram::Many { first: 100, .. }));
        histogram.add(90, 1).expect("a count");
        assert!(matches!(histogram, Histogram::Many { first: 90, .. }));
        let full = histogram.add(95, i64::MAX).and_then(|()| histogram.add(95, 1));
        assert!(full.expect_err("too many").to_string().contains("64 bits"));
    }
}
