//! The leading eigenpairs of a matrix in memory.

use crate::cancellation::Cancellation;
use crate::error::Result;
use crate::krylov::lanczos::leading_of;
use crate::krylov::operator::{Cancellable, Space, Wanted};
use crate::linalg::eigen::Eigen;
use faer::MatRef;

/// Columns that are multiplied together if the matrix is in memory.
const BLOCK: usize = 16;

/// The wanted leading eigenpairs, with residuals of at most `tolerance` times the largest
/// eigenvalue; `None` if a full decomposition is likely to be cheaper: the matrix is small, or the
/// space has grown to half of its dimension without holding them. `matrix` is full, not triangular.
pub(crate) fn leading(
    matrix: MatRef<'_, f64>,
    wanted: Wanted,
    tolerance: f64,
    cancellation: &Cancellation,
) -> Result<Option<Eigen>> {
    let n = matrix.nrows();
    if !wanted.pays_off(n) {
        return Ok(None);
    }
    let space = Space {
        block: BLOCK,
        largest: n / 2,
        restarts: 0,
        eager: false,
    };
    let mut operator = Cancellable {
        operator: matrix,
        cancellation,
    };
    leading_of(&mut operator, wanted, tolerance, space)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::PcaError;
    use crate::krylov::lanczos::leading_of;
    use crate::krylov::operator::Space;
    use crate::options::NComponents;
    use faer::Mat;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn leading(matrix: MatRef<'_, f64>, wanted: Wanted, tolerance: f64) -> Result<Option<Eigen>> {
        super::leading(matrix, wanted, tolerance, &Cancellation::default())
    }

    /// A symmetric matrix with known eigenvalues: a reflection of a diagonal one.
    fn matrix(values: &[f64]) -> Mat<f64> {
        let n = values.len();
        let w = Mat::from_fn(n, 1, |i, _| ((i * 37 % 101) as f64 + 1.0).sqrt());
        let norm = w.col(0).squared_norm_l2();
        let h = Mat::from_fn(n, n, |i, j| {
            f64::from(u8::from(i == j)) - 2.0 * w[(i, 0)] * w[(j, 0)] / norm
        });
        let d = Mat::from_fn(n, n, |i, j| if i == j { values[i] } else { 0.0 });
        &h * &d * &h
    }

    #[test]
    fn leading_pairs_of_a_slowly_decaying_spectrum() {
        let values: Vec<f64> = (0..600).map(|i| 100.0 / (1.0 + i as f64)).collect();
        let a = matrix(&values);
        let found = leading(a.as_ref(), Wanted::Count(40), 1e-10)
            .unwrap()
            .unwrap();
        for (f, e) in found.values.iter().zip(&values) {
            assert!((f / e - 1.0).abs() < 1e-12, "{f} {e}");
        }
        let residual = &a * found.vectors.col(39) - found.vectors.col(39) * faer::Scale(values[39]);
        assert!(residual.norm_l2() < 1e-8);
    }

    #[test]
    fn as_many_as_a_sum_needs() {
        let values: Vec<f64> = (0..600).map(|i| 0.9_f64.powi(i)).collect();
        let trace = 10.0;
        let wanted = Wanted::new(NComponents::Ratio(0.95), trace);
        let found = leading(matrix(&values).as_ref(), wanted, 1e-12)
            .unwrap()
            .unwrap();
        // 1 − 0.9ᵏ > 0.95
        assert_eq!(found.values.len(), 29);
        assert!(
            found
                .values
                .iter()
                .zip(&values)
                .all(|(f, e)| (f - e).abs() < 1e-12)
        );
    }

    #[test]
    fn a_matrix_of_low_rank_does_not_break_down() {
        let mut values = vec![0.0; 600];
        values[..20].copy_from_slice(&(0..20).map(|i| 20.0 - i as f64).collect::<Vec<_>>());
        let a = matrix(&values);
        let space = Space {
            block: 16,
            largest: 300,
            restarts: 0,
            eager: true,
        };
        let found = leading_of(&mut a.as_ref(), Wanted::Count(50), 1e-12, space)
            .unwrap()
            .unwrap();
        for (f, e) in found.values.iter().zip(&values) {
            assert!((f - e).abs() < 1e-11, "{f} {e}");
        }
        // In memory, eigenvalues of very different sizes are better left to a full decomposition.
        let few = leading(a.as_ref(), Wanted::Count(50), 1e-12).unwrap();
        assert!(few.is_none());
        let gram = found.vectors.transpose() * &found.vectors;
        for i in 0..50 {
            for j in 0..50 {
                let expected = f64::from(u8::from(i == j));
                assert!((gram[(i, j)] - expected).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn equal_eigenvalues_are_all_found() {
        // More of them than a block has columns, with a tail that keeps the space from breaking down,
        // and without.
        for tail in [1e-7, 0.0] {
            let values: Vec<f64> = (0..300)
                .map(|i| if i < 70 { 10.0 } else { tail / f64::from(i) })
                .collect();
            let a = matrix(&values);
            for (largest, restarts) in [(140, 5), (300, 0)] {
                let space = Space {
                    block: 16,
                    largest,
                    restarts,
                    eager: true,
                };
                for wanted in [Wanted::Count(69), Wanted::Count(70), Wanted::Sum(695.0)] {
                    let found = leading_of(&mut a.as_ref(), wanted, 1e-12, space).unwrap();
                    let found = found.unwrap_or_else(|| panic!("{tail} {largest} {wanted:?}"));
                    assert!(found.values.len() >= 69);
                    assert!(
                        found.values.iter().all(|f| (f - 10.0).abs() < 1e-11),
                        "{wanted:?} {:?}",
                        found.values
                    );
                }
            }
        }
    }

    #[test]
    fn one_large_eigenvalue_does_not_hide_the_others() {
        let mut values: Vec<f64> = (0..600).map(|i| 1.0 / (1.0 + f64::from(i))).collect();
        values[0] = 1e12;
        // Along the axes, where the small ones have digits of their own.
        let a = Mat::from_fn(600, 600, |i, j| if i == j { values[i] } else { 0.0 });
        let space = Space {
            block: 16,
            largest: 300,
            restarts: 0,
            eager: true,
        };
        let found = leading_of(&mut a.as_ref(), Wanted::Count(20), 1e-12, space)
            .unwrap()
            .unwrap();
        for (f, e) in found.values.iter().zip(&values) {
            assert!((f - e).abs() < 1e-12 * 1e12, "{f} {e}");
        }
        let found = leading(a.as_ref(), Wanted::Count(20), 1e-14).unwrap();
        assert!(found.is_none(), "left to a full decomposition");
    }

    #[test]
    fn a_space_may_grow_to_the_whole() {
        let values: Vec<f64> = (0..50).map(|i| 50.0 - f64::from(i)).collect();
        let a = matrix(&values);
        let space = Space {
            block: 16,
            largest: 50,
            restarts: 0,
            eager: true,
        };
        let found = leading_of(&mut a.as_ref(), Wanted::Count(50), 1e-12, space)
            .unwrap()
            .unwrap();
        for (f, e) in found.values.iter().zip(&values) {
            assert!((f / e - 1.0).abs() < 1e-12, "{f} {e}");
        }
        let space = Space {
            largest: 20,
            ..space
        };
        assert!(
            leading_of(&mut a.as_ref(), Wanted::Count(10), 1e-12, space)
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn a_small_space_starts_anew() {
        let values: Vec<f64> = (0..600).map(|i| 100.0 / (1.0 + f64::from(i))).collect();
        let a = matrix(&values);
        let space = Space {
            block: 16,
            largest: 60,
            restarts: 100,
            eager: true,
        };
        let find = |wanted, space| leading_of(&mut a.as_ref(), wanted, 1e-12, space).unwrap();
        let once = Space {
            restarts: 0,
            ..space
        };
        assert!(find(Wanted::Count(20), once).is_none());
        let found = find(Wanted::Count(20), space).unwrap();
        assert_eq!(found.values.len(), 20);
        for (f, e) in found.values.iter().zip(&values) {
            assert!((f / e - 1.0).abs() < 1e-12, "{f} {e}");
        }
        let last = found.vectors.col(19);
        let residual = &a * last - last * faer::Scale(values[19]);
        assert!(residual.norm_l2() < 1e-9);
        // A sum that no space of this dimension reaches.
        assert!(find(Wanted::Sum(600.0), space).is_none());
    }

    #[test]
    fn a_flat_spectrum_is_left_to_the_full_decomposition() {
        let values: Vec<f64> = (0..600).map(|i| 1.0 + 1e-3 * ((600 - i) as f64)).collect();
        assert!(
            leading(matrix(&values).as_ref(), Wanted::Count(90), 1e-12)
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn it_stops_when_told_to() {
        let values: Vec<f64> = (0..600).map(|i| 100.0 / (1.0 + f64::from(i))).collect();
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let cancellation = Cancellation::new(Arc::new(move || {
            counter.fetch_add(1, Ordering::Relaxed) == 3
        }));
        let matrix = matrix(&values);
        let found = super::leading(matrix.as_ref(), Wanted::Count(40), 1e-10, &cancellation);
        assert!(matches!(found, Err(PcaError::Cancelled)));
        assert_eq!(asked.load(Ordering::Relaxed), 4);
    }
}
