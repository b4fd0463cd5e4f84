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

create_func!(pca_fit::PcaFit, pca_fit_udaf);
create_func!(scaler_fit::ScalerFit, scaler_fit_udaf);

/// From one list: the functions of DataFusion, the builders of expressions, and the list itself.
macro_rules! scalar_functions {
    ($($name:ident($($argument:ident),*): $function:ty, $description:literal;)*) => {
        $(make_udf_function!($function, $name);)*

        /// The functions as builders of expressions.
        pub mod expr_fn {
            use datafusion_expr::Expr;

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

            datafusion_functions::export_functions!($(($name, $description, $($argument)*)),*);
        }

        /// The scalar functions.
        pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
            vec![$($name()),*]
        }
    };
}

scalar_functions! {
    pca_components(model): Udf<pca_components::PcaComponents>, "Components of a model, a list of lists.";
    pca_explained_variance(model): Udf<pca_explained_variance::PcaExplainedVariance>, "Variance along each component of a model.";
    pca_explained_variance_ratio(model): Udf<pca_explained_variance_ratio::PcaExplainedVarianceRatio>, "Share of each component of a model in the total variance.";
    pca_info(model): Udf<pca_info::PcaInfo>, "One struct per component of a model.";
    pca_inverse_transform(components, model): Udf<pca_inverse_transform::PcaInverseTransform>, "Turns scores back into features.";
    pca_mean(model): Udf<pca_mean::PcaMean>, "Mean of each column of a model.";
    pca_n_components(model): Udf<pca_n_components::PcaNComponents>, "Number of components of a model.";
    pca_n_samples(model): Udf<pca_n_samples::PcaNSamples>, "Number of rows that a model was fitted on.";
    pca_reconstruction_error(features, model): Udf<pca_reconstruction_error::PcaReconstructionError>, "Mean squared error of the reconstruction of standardised features.";
    pca_scale(model): Udf<pca_scale::PcaScale>, "What a model divides each column by.";
    pca_scree(model): Udf<pca_scree::PcaScree>, "Scree plot of a model as text.";
    pca_transform(features, model): Udf<pca_transform::PcaTransform>, "Projects features on the components of a model.";
    pca_truncate(model, n_components): pca_truncate::PcaTruncate, "The model of the first components of a model.";
    scaler_transform(features, model): Udf<scaler_transform::ScalerTransform>, "Standardises features.";
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
