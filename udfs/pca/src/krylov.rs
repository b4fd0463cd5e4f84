//! Leading eigenpairs of a symmetric positive semidefinite matrix by the block Lanczos method.
//!
//! Full decompositions cost O(n³) however few components are wanted. The block Krylov space
//! span{Q, AQ, A²Q, …} holds the leading eigenvectors to working precision long before it is the
//! whole space (G. H. Golub and R. Underwood, "The block Lanczos method for computing eigenvalues",
//! Mathematical Software III, 1977; Y. Saad, "Numerical Methods for Large Eigenvalue Problems", 2011,
//! chapter 6). The basis is kept orthonormal by orthogonalising every block twice against all of it,
//! and the iteration ends when the residual ‖A u − λ u‖ of every wanted pair is below a tolerance, and a
//! look from outside of them ([`crate::complement`]) sees nothing larger, so the result is verified, not
//! hoped for.

use crate::cancellation::{Cancellable, Cancellation};
use crate::checks::Checks;
use crate::complement;
use crate::eigen::{Eigen, self_adjoint};
use crate::error::Result;
use crate::options::NComponents;
use crate::orthogonal::{arbitrary, next_block, orthogonalise};
use crate::parallel::{product, symmetric_product};
use crate::restart::{compress, kept};
use faer::{Mat, MatRef};

/// Columns that are multiplied together if the matrix is in memory.
const BLOCK: usize = 16;

/// Smallest wanted eigenvalue, relative to the largest, up to which the method, whose errors are relative
/// to the largest, is as good as a full decomposition.
const GRADED: f64 = 1e-4;

/// Most times that missed eigenpairs may be found.
const LOOKS: usize = 100;

/// Which eigenpairs are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted {
    /// This many.
    Count(usize),
    /// The fewest whose eigenvalues add up to more than this.
    Sum(f64),
}

impl Wanted {
    /// The eigenpairs of a matrix of this trace that a fit needs.
    pub(crate) fn new(n_components: NComponents, trace: f64) -> Self {
        match n_components {
            NComponents::Count(k) => Self::Count(k),
            // A margin for the rounding of the sum: a pair too many does no harm.
            NComponents::Ratio(ratio) => Self::Sum(trace * ratio * (1.0 + 1e-12)),
        }
    }

    /// How many of the leading values are wanted, if these are enough.
    pub(crate) fn enough(self, values: &[f64]) -> Option<usize> {
        match self {
            Self::Count(k) => (values.len() >= k).then_some(k),
            Self::Sum(target) => {
                let mut sum = 0.0;
                let last = values.iter().position(|v| {
                    sum += v;
                    sum > target
                })?;
                Some(last + 1)
            }
        }
    }

    /// True if the method may beat a full decomposition of a matrix of this dimension.
    fn pays_off(self, dimension: usize) -> bool {
        dimension >= 512
            && match self {
                Self::Count(k) => k * 6 <= dimension,
                Self::Sum(_) => true,
            }
    }
}

/// A symmetric positive semidefinite matrix, of which only products are asked.
pub(crate) trait Operator {
    /// Rows of the matrix.
    fn dimension(&self) -> usize;

    /// The product with a block of columns.
    fn apply(&mut self, block: MatRef<'_, f64>) -> Result<Mat<f64>>;
}

/// A matrix in memory, full, not triangular.
impl Operator for MatRef<'_, f64> {
    fn dimension(&self) -> usize {
        self.nrows()
    }

    fn apply(&mut self, block: MatRef<'_, f64>) -> Result<Mat<f64>> {
        Ok(symmetric_product(*self, block))
    }
}

/// How far the Krylov space may grow, and by how much at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Space {
    /// Columns that are multiplied together. More need fewer products, fewer a space that converges
    /// at a lower dimension.
    pub(crate) block: usize,
    /// Dimension at which to start anew from the best of it, or to give up.
    pub(crate) largest: usize,
    /// How often to start anew.
    pub(crate) restarts: usize,
    /// Whether to look at the residuals after every product: because products are dear.
    pub(crate) eager: bool,
}

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

/// As [`leading`], of a matrix that is given by its products; `None` if the space has grown as far as
/// it may.
///
/// A space that is full is replaced by its leading Ritz vectors, about half of it, and grows again from
/// there (K. Wu and H. Simon, "Thick-restart Lanczos method for large symmetric eigenvalue problems",
/// SIAM Journal on Matrix Analysis and Applications 22, 2000): memory is bounded, products are not
/// wasted.
pub(crate) fn leading_of(
    operator: &mut impl Operator,
    wanted: Wanted,
    tolerance: f64,
    space: Space,
) -> Result<Option<Eigen>> {
    let n = operator.dimension();
    let largest = space.largest.min(n);
    // Memory is touched only as the space grows.
    let mut basis: Vec<f64> = Vec::with_capacity(n * largest);
    let mut projected = Mat::<f64>::zeros(largest, largest);
    let mut block = arbitrary(n, space.block.min(largest), 0)
        .qr()
        .compute_thin_Q();
    // Size of the matrix, as far as it has been seen.
    let mut size = 0.0_f64;
    let mut used = 0;
    let mut checks = Checks::new(wanted, tolerance, space);
    let mut restarts = space.restarts;
    let mut looks = 0;
    while used + block.ncols() <= largest && block.ncols() > 0 {
        let added = block.ncols();
        block
            .col_iter()
            .for_each(|column| basis.extend(column.iter()));
        used += added;
        let v = MatRef::from_column_major_slice(&basis, n, used);
        let mut next = operator.apply(block.as_ref())?;
        let coefficients = orthogonalise(&mut next, v, 2 * space.block);
        // V′AV, column block by column block.
        projected
            .as_mut()
            .submatrix_mut(0, used - added, used, added)
            .copy_from(&coefficients);
        projected
            .as_mut()
            .submatrix_mut(used - added, 0, added, used)
            .copy_from(coefficients.transpose());
        size = coefficients.norm_max().max(size);
        block = next_block(&next, v, size, space.block.min(n - used));
        let last = block.ncols() == 0 || used + block.ncols() > largest;

        if checks.due(used) || last {
            let ritz = self_adjoint(projected.submatrix(0, 0, used, used))?;
            let limit = tolerance * ritz.values.first().copied().unwrap_or(0.0);
            let residuals: Vec<f64> = if used == n {
                // The space is everything: nothing is left over.
                vec![0.0; n]
            } else {
                let ends = ritz.vectors.subrows(used - added, added);
                let residuals = product(next.as_ref(), ends);
                residuals.col_iter().map(|r| r.norm_l2()).collect()
            };
            let converged = residuals.iter().take_while(|r| **r <= limit).count();
            let held = ritz.values.get(..converged).unwrap_or_default();
            let reached = wanted.enough(&ritz.values);
            let held = wanted.enough(held);
            // Also if a space that is full does not hold enough: of what it holds, much may be smaller
            // than what it has missed.
            let full = (last && reached.is_none()).then_some(converged.min(largest / 2));
            let mut keep = None;
            if let Some(count) = held.or(full).filter(|count| *count > 0) {
                let values = ritz.values.get(..count).unwrap_or_default().to_vec();
                let greatest = values.first().copied().unwrap_or(0.0);
                let smallest = values.last().copied().unwrap_or(0.0);
                if !space.eager && smallest < greatest * GRADED {
                    return Ok(None);
                }
                let vectors = product(v, ritz.vectors.subcols(0, count));
                let missed = if used == n {
                    None
                } else {
                    let steps = if space.eager { 2 } else { 6 };
                    // Whatever is not among the pairs held is as large as the space has it, or is not
                    // in the space.
                    let next = ritz.values.get(count).copied().unwrap_or(0.0);
                    let least = if held.is_some() { smallest } else { next };
                    let ends = (greatest, least);
                    complement::missed(operator, vectors.as_ref(), ends, steps, used + looks)?
                };
                match missed {
                    Some(missed) => {
                        looks += 1;
                        if looks > LOOKS || count + missed.ncols() > largest {
                            return Ok(None);
                        }
                        keep = Some(count);
                        block = missed;
                    }
                    None if held.is_some() => return Ok(Some(Eigen { values, vectors })),
                    None => {}
                }
            }
            if keep.is_none() {
                let worst =
                    reached.map(|count| residuals.iter().take(count).fold(0.0, |w, r| r.max(w)));
                checks.plan(used, worst.map(|worst: f64| (worst / limit).ln()));
                if !space.eager && used > n / 4 && reached.is_none() {
                    return Ok(None);
                }
                if last {
                    if restarts == 0 {
                        return Ok(None);
                    }
                    restarts -= 1;
                    keep = kept(reached, &ritz.values, largest, block.ncols());
                    if keep.is_none() {
                        return Ok(None);
                    }
                }
            }
            if let Some(keep) = keep {
                checks.start_anew(keep);
                compress(&mut basis, n, ritz.vectors.subcols(0, keep));
                used = keep;
                projected.fill(0.0);
                for (i, value) in ritz.values.iter().enumerate().take(keep) {
                    projected[(i, i)] = *value;
                }
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::PcaError;
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
