//! Isotonic regression by pooling adjacent violators (Barlow et al. 1972): the ascending step
//! function nearest to points in weighted least squares. The crate of the field is under the LGPL,
//! which the licences of this workspace leave out.

/// A point of the regression, or a block of points that were pooled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct WeightedPoint {
    /// Of a block, the weighted mean.
    pub x: f64,
    /// Of a block, the weighted mean.
    pub y: f64,
    /// Of a block, the sum. More than 0.
    pub weight: f64,
}

impl WeightedPoint {
    fn pooled_with(self, other: Self) -> Self {
        let weight = self.weight + other.weight;
        let mean = |a: f64, b: f64| (a * self.weight + b * other.weight) / weight;
        Self { x: mean(self.x, other.x), y: mean(self.y, other.y), weight }
    }
}

/// Returns the blocks of the ascending fit, ascending in `x` and in `y`. The points may come in any
/// order; those of one `x` are one point.
pub(crate) fn isotonic_regression(mut points: Vec<WeightedPoint>) -> Vec<WeightedPoint> {
    points.sort_by(|a, b| a.x.total_cmp(&b.x));
    let distinct = points.chunk_by(|a, b| a.x == b.x);
    let distinct = distinct.filter_map(|same| {
        let pooled = same.iter().copied().reduce(WeightedPoint::pooled_with)?;
        // A mean of equal numbers may miss them by a last digit.
        Some(WeightedPoint { x: same[0].x, ..pooled })
    });
    let mut blocks: Vec<WeightedPoint> = Vec::new();
    for mut block in distinct {
        while let Some(before) = blocks.pop_if(|before| before.y >= block.y) {
            block = before.pooled_with(block);
        }
        blocks.push(block);
    }
    blocks
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn point(&(x, y, weight): &(f64, f64, f64)) -> WeightedPoint {
        WeightedPoint { x, y, weight }
    }

    #[test]
    fn blocks_by_hand() {
        #[track_caller]
        fn check(points: &[(f64, f64, f64)], expected: &[(f64, f64, f64)]) {
            let found = isotonic_regression(points.iter().map(point).collect());
            assert_eq!(found, expected.iter().map(point).collect::<Vec<_>>());
        }
        check(&[], &[]);
        check(&[(1.0, 5.0, 2.0)], &[(1.0, 5.0, 2.0)]);
        // What ascends stays; the order of the input does not matter.
        let ascending = [(1.0, 0.0, 1.0), (2.0, 0.5, 1.0), (3.0, 1.0, 1.0)];
        check(&ascending, &ascending);
        check(&[ascending[2], ascending[0], ascending[1]], &ascending);
        // The last point pulls both before it into one block.
        let points = [(1.0, 2.0, 1.0), (2.0, 3.0, 1.0), (3.0, 1.0, 1.0)];
        check(&points, &[(2.0, 2.0, 3.0)]);
        // Weights: (1 · 4 + 3 · 0) / 4 = 1 at (1 · 0 + 3 · 4) / 4 = 3.
        check(&[(0.0, 4.0, 1.0), (4.0, 0.0, 3.0)], &[(3.0, 1.0, 4.0)]);
        // Points of one x are one point, whatever their order says of y.
        check(
            &[(1.0, 1.0, 1.0), (1.0, 0.0, 1.0), (2.0, 0.75, 1.0)],
            &[(1.0, 0.5, 2.0), (2.0, 0.75, 1.0)],
        );
    }

    #[test]
    fn blocks_ascend_and_keep_weight_and_mean() {
        const MOMENTS: [fn(&WeightedPoint) -> f64; 3] =
            [|p| p.weight, |p| p.weight * p.x, |p| p.weight * p.y];
        let mut random = ChaCha8Rng::seed_from_u64(3);
        for _ in 0..50 {
            let mut draw = || random.random_range(0.0..1.0);
            let points: Vec<_> = (0..200).map(|_| point(&(draw(), draw(), draw() + 0.1))).collect();
            let blocks = isotonic_regression(points.clone());
            assert!(blocks.windows(2).all(|two| two[0].x < two[1].x && two[0].y < two[1].y));
            for sum in MOMENTS {
                let (found, expected): (f64, f64) =
                    (blocks.iter().map(sum).sum(), points.iter().map(sum).sum());
                assert!((found - expected).abs() < 1e-9);
            }
        }
    }
}
