//! PCA from the moments of the rows: the eigendecomposition of their covariance (or correlation) matrix.

use crate::cancellation::Cancellation;
use crate::error::Result;
use crate::fit::moments::Moments;
use crate::krylov::leading::leading;
use crate::krylov::operator::Wanted;
use crate::linalg::eigen::self_adjoint;
use crate::model::pca::PcaModel;
use crate::options::FitOptions;

/// Residual of eigenpairs, relative to the largest eigenvalue: that of a full decomposition, so that
/// rounding, which differs with the partitioning, is not amplified.
const TOLERANCE: f64 = 1e-14;

/// Eigendecomposition of the covariance (or correlation) matrix, but for its divisor.
pub(crate) fn fit(
    moments: &Moments,
    null_rows: u64,
    options: &FitOptions,
    cancellation: &Cancellation,
) -> Result<PcaModel> {
    let standard = moments.standard(options)?;
    let products = moments.products(&standard.scale);
    let wanted = Wanted::new(options.n_components, standard.total);
    let leading = leading(products.as_ref(), wanted, TOLERANCE, cancellation)?;
    let eigen = match leading {
        Some(eigen) => eigen,
        None => self_adjoint(products.as_ref())?,
    };
    drop(products);
    standard.model(&eigen.values, eigen.vectors.as_ref(), null_rows, options)
}
