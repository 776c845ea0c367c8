//! The counts of one histogram: sorted pairs while it is small, an array when it is dense.

use datafusion::common::{Result, exec_err};

/// A histogram of at least this many buckets may become an array.
const DENSE_MIN_BUCKETS: usize = 32;

/// An array has at most this many slots for each bucket that is not empty.
const DENSE_MAX_SLOTS_PER_BUCKET: usize = 4;

/// The most slots of an array; a histogram of u64 values has 3,776 buckets.
const DENSE_MAX_SLOTS: usize = 4_096;

/// The number of values in each bucket.
#[derive(Debug, Clone)]
pub(super) enum Histogram {
    /// Pairs of bucket and count, sorted by bucket.
    Sparse(Vec<(i32, i64)>),
    /// The counts of consecutive buckets from `first` on; some of them are 0.
    Dense { first: i32, counts: Vec<i64> },
}

impl Default for Histogram {
    fn default() -> Self {
        Self::Sparse(Vec::new())
    }
}

impl Histogram {
    pub(super) fn add(&mut self, bucket: i32, count: i64) -> Result<()> {
        match self {
            Self::Sparse(pairs) => match pairs.binary_search_by_key(&bucket, |(b, _)| *b) {
                Ok(at) => add_to(&mut pairs[at].1, count),
                Err(at) => {
                    pairs.insert(at, (bucket, count));
                    self.make_dense();
                    Ok(())
                }
            },
            Self::Dense { first, counts } => {
                if let Some(found) = slot_of(*first, bucket).and_then(|at| counts.get_mut(at)) {
                    return add_to(found, count);
                }
                self.extend_to(bucket);
                self.add(bucket, count)
            }
        }
    }

    /// Adds pairs of bucket and count; both slices have the same length.
    pub(super) fn add_all(&mut self, buckets: &[i32], counts: &[i64]) -> Result<()> {
        let mut pairs = buckets.iter().copied().zip(counts.iter().copied());
        match self {
            Self::Sparse(present) if present.is_empty() && buckets.is_sorted_by(|a, b| a < b) => {
                present.extend(pairs);
                Ok(())
            }
            _ => pairs.try_for_each(|(bucket, count)| self.add(bucket, count)),
        }
    }

    /// Returns the buckets that are not empty, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (i32, i64)> {
        let (pairs, first, counts) = match self {
            Self::Sparse(pairs) => (pairs.as_slice(), 0, [].as_slice()),
            Self::Dense { first, counts } => ([].as_slice(), *first, counts.as_slice()),
        };
        let numbered = (0..).zip(counts).map(move |(at, count)| (first + at, *count));
        pairs.iter().copied().chain(numbered).filter(|(_, count)| *count != 0)
    }

    /// Returns the bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Sparse(pairs) => pairs.capacity() * size_of::<(i32, i64)>(),
            Self::Dense { counts, .. } => counts.capacity() * size_of::<i64>(),
        }
    }

    /// Turns pairs into an array where the buckets are many and close to each other.
    fn make_dense(&mut self) {
        let Self::Sparse(pairs) = self else { return };
        let [(first, _), .., (last, _)] = *pairs.as_slice() else { return };
        let Some(slots) = slot_of(first, last).map(|at| at + 1) else { return };
        if pairs.len() < DENSE_MIN_BUCKETS
            || slots > DENSE_MAX_SLOTS_PER_BUCKET * pairs.len()
            || slots > DENSE_MAX_SLOTS
        {
            return;
        }
        let mut counts = vec![0; slots];
        for (bucket, count) in pairs {
            if let Some(found) = slot_of(first, *bucket).and_then(|at| counts.get_mut(at)) {
                *found = *count;
            }
        }
        *self = Self::Dense { first, counts };
    }

    /// Extends the array to a bucket outside of it; an array that would become too long turns back
    /// into pairs.
    fn extend_to(&mut self, bucket: i32) {
        let Self::Dense { first, counts } = self else { return };
        let last = i64::from(*first) + counts.len() as i64 - 1;
        let (from, to) = (bucket.min(*first), i64::from(bucket).max(last));
        let slots = usize::try_from(to - i64::from(from) + 1).unwrap_or(usize::MAX);
        if slots > DENSE_MAX_SLOTS {
            *self = Self::Sparse(self.iter().collect());
            return;
        }
        let before = slot_of(from, *first).unwrap_or_default();
        counts.splice(0..0, std::iter::repeat_n(0, before));
        counts.resize(slots, 0);
        *first = from;
    }
}

/// Returns the index of a bucket in an array that begins at `first`.
fn slot_of(first: i32, bucket: i32) -> Option<usize> {
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
                prop_assert!(histogram.heap_bytes() <= 2 * DENSE_MAX_SLOTS * size_of::<(i32, i64)>());
            }
            expected.retain(|_, count| *count != 0);
            prop_assert!(histogram.iter().eq(expected));
        }
    }

    #[test]
    fn many_near_each_other_are_an_array() {
        let mut histogram = Histogram::default();
        (100..100 + DENSE_MIN_BUCKETS as i32).for_each(|b| histogram.add(b, 1).expect("a count"));
        assert!(matches!(histogram, Histogram::Dense { first: 100, .. }));
        histogram.add(90, 1).expect("a count");
        assert!(matches!(histogram, Histogram::Dense { first: 90, .. }));
        let full = histogram.add(95, i64::MAX).and_then(|()| histogram.add(95, 1));
        assert!(full.expect_err("too many").to_string().contains("64 bits"));
    }
}
