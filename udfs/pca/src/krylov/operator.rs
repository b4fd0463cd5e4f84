//! What is asked of the method: of which matrix, which eigenpairs, in how much memory.

use crate::cancellation::Cancellation;
use crate::error::Result;
use crate::linalg::eigen::Eigen;
use crate::linalg::products::symmetric_product;
use crate::options::NComponents;
use faer::{Mat, MatRef};

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
            NComponents::All => Self::Count(usize::MAX),
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

    /// The leading pairs that are wanted; all if there are too few.
    pub(crate) fn leading(self, mut eigen: Eigen) -> Eigen {
        if let Some(count) = self.enough(&eigen.values) {
            eigen.values.truncate(count);
            eigen.vectors.truncate(eigen.vectors.nrows(), count);
        }
        eigen
    }

    /// True if the method may beat a full decomposition of a matrix of this dimension.
    pub(crate) fn pays_off(self, dimension: usize) -> bool {
        dimension >= 512
            && match self {
                Self::Count(k) => k <= dimension / 6,
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

/// A matrix whose products end when the fit is to stop.
pub(crate) struct Cancellable<'a, O> {
    pub(crate) operator: O,
    pub(crate) cancellation: &'a Cancellation,
}

impl<O: Operator> Operator for Cancellable<'_, O> {
    fn dimension(&self) -> usize {
        self.operator.dimension()
    }

    fn apply(&mut self, block: MatRef<'_, f64>) -> Result<Mat<f64>> {
        self.cancellation.check()?;
        self.operator.apply(block)
    }
}
