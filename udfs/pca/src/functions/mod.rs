//! The SQL functions, one file each.

mod accumulator;
mod apply;
mod constant;
mod fit_arguments;
mod models;
mod notices;
mod pca_components;
mod pca_explained_variance;
mod pca_explained_variance_ratio;
pub mod pca_fit;
mod pca_info;
mod pca_inverse_transform;
mod pca_mean;
mod pca_n_components;
mod pca_n_samples;
mod pca_reconstruction_error;
mod pca_scale;
mod pca_scree;
mod pca_transform;
mod pca_truncate;
pub mod scaler_fit;
mod scaler_transform;
mod session;
mod signature;
mod udf;

pub use self::session::CancellationSource;
use self::udf::Udf;
use datafusion_expr::{AggregateUDF, ScalarUDF};
use datafusion_functions::make_udf_function;
use datafusion_functions_aggregate::create_func;
use std::sync::Arc;

make_udf_function!(Udf<pca_components::PcaComponents>, pca_components);
make_udf_function!(
    Udf<pca_explained_variance::PcaExplainedVariance>,
    pca_explained_variance
);
make_udf_function!(
    Udf<pca_explained_variance_ratio::PcaExplainedVarianceRatio>,
    pca_explained_variance_ratio
);
make_udf_function!(Udf<pca_info::PcaInfo>, pca_info);
make_udf_function!(
    Udf<pca_inverse_transform::PcaInverseTransform>,
    pca_inverse_transform
);
make_udf_function!(Udf<pca_mean::PcaMean>, pca_mean);
make_udf_function!(Udf<pca_n_components::PcaNComponents>, pca_n_components);
make_udf_function!(Udf<pca_n_samples::PcaNSamples>, pca_n_samples);
make_udf_function!(
    Udf<pca_reconstruction_error::PcaReconstructionError>,
    pca_reconstruction_error
);
make_udf_function!(Udf<pca_scale::PcaScale>, pca_scale);
make_udf_function!(Udf<pca_scree::PcaScree>, pca_scree);
make_udf_function!(Udf<pca_transform::PcaTransform>, pca_transform);
make_udf_function!(pca_truncate::PcaTruncate, pca_truncate);
make_udf_function!(Udf<scaler_transform::ScalerTransform>, scaler_transform);
create_func!(pca_fit::PcaFit, pca_fit_udaf);
create_func!(scaler_fit::ScalerFit, scaler_fit_udaf);

/// The functions as builders of expressions.
pub mod expr_fn {
    use datafusion_expr::Expr;
    use datafusion_functions::export_functions;

    /// Fits a model; `args` are `features` and optionally `n_components`, `scale`, `convention`,
    /// `memory_limit` and `with_mean`.
    pub fn pca_fit(args: Vec<Expr>) -> Expr {
        super::pca_fit_udaf().call(args)
    }

    /// Fits a scaler; `args` are `features` and optionally `convention`, `scale` and
    /// `with_mean`.
    pub fn scaler_fit(args: Vec<Expr>) -> Expr {
        super::scaler_fit_udaf().call(args)
    }

    export_functions!(
        (pca_components, "Components of a model, a list of lists.", model),
        (pca_explained_variance, "Variance along each component of a model.", model),
        (
            pca_explained_variance_ratio,
            "Share of each component of a model in the total variance.",
            model
        ),
        (pca_info, "One struct per component of a model.", model),
        (pca_inverse_transform, "Turns scores back into features.", components model),
        (pca_mean, "Mean of each column of a model.", model),
        (pca_n_components, "Number of components of a model.", model),
        (pca_n_samples, "Number of rows that a model was fitted on.", model),
        (pca_reconstruction_error, "Mean squared error of the reconstruction of standardised features.", features model),
        (pca_scale, "What a model divides each column by.", model),
        (pca_scree, "Scree plot of a model as text.", model),
        (pca_transform, "Projects features on the components of a model.", features model),
        (pca_truncate, "The model of the first components of a model.", model n_components),
        (scaler_transform, "Standardises features.", features model)
    );
}

/// The scalar functions.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        pca_components(),
        pca_explained_variance(),
        pca_explained_variance_ratio(),
        pca_info(),
        pca_inverse_transform(),
        pca_mean(),
        pca_n_components(),
        pca_n_samples(),
        pca_reconstruction_error(),
        pca_scale(),
        pca_scree(),
        pca_transform(),
        pca_truncate(),
        scaler_transform(),
    ]
}

/// The aggregate functions.
pub(crate) fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    vec![pca_fit_udaf(), scaler_fit_udaf()]
}

/// True for a function whose fit may take long and stops when its query is cancelled: whatever its name in
/// the session, or on whichever machine.
pub fn looks_for_cancellation(function: &AggregateUDF) -> bool {
    function.inner().is::<pca_fit::PcaFit>()
}
