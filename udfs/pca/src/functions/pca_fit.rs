//! `pca_fit(features [, n_components [, scale [, convention [, memory_limit [, with_mean]]]]])`

use super::accumulator::PcaAccumulator;
use super::constant::fields;
use super::fit_arguments::{self, ARGUMENTS, NAME};
use super::session::{CancellationSource, Session};
use super::signature::listed;
use crate::features::{self, Precision};
use crate::fit::spill::Disk;
use crate::fit::state;
use crate::options::DEFAULT_MEMORY_LIMIT;
use crate::scaling::Convention;
use crate::settings;
use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::{Result, ScalarValue, internal_err};
use datafusion_execution::disk_manager::DiskManager;
use datafusion_execution::memory_pool::MemoryPool;
use datafusion_expr::expr::AggregateFunction;
use datafusion_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs,
};
use datafusion_expr::utils::AggregateOrderSensitivity;
use datafusion_expr::{Accumulator, AggregateUDFImpl, Documentation, Expr, Signature, lit};
use datafusion_macros::user_doc;
use std::sync::Arc;

#[user_doc(
    doc_section(label = "PCA Functions"),
    description = "Fits a principal component analysis to the rows of a group and returns it as one value, to be given to `pca_transform` or stored in a table. Without `n_components` it keeps all of them: look at `pca_info`, then cut the model with `pca_truncate`. The rows are standardised first unless `scale` is false. Definitions are those of scikit-learn's StandardScaler and PCA, or of Spark ML's with `{convention: 'spark'}`, computed in 64-bit floats: the standard deviation divides by n, explained variances by n - 1, a constant column has scale 1, and the largest entry of each component is positive. NULL rows are ignored. The value is in the safetensors layout (tensors `mean`, `scale`, `components`, `explained_variance`, `explained_variance_ratio`).

With n rows of d values, the fit takes the first of three routes that fits in `memory_limit`. (1) n > d, and a d × d matrix of 8 d² bytes takes at most half of it: only count, means and second moments (half of that matrix) are kept, block by block (Chan, Golub and LeVeque 1979), so that memory does not depend on n. (2) The rows, kept as they came, take at most half of it, and fit with their n × n Gram matrix, 16 n² bytes: its eigenvectors give the components (Sirovich 1987). A large Gram matrix is computed in 32-bit floats first, which only select the subspace; variances and components are computed from the rows in 64 bits. (3) Otherwise rows beyond half of the limit go to temporary files of DataFusion's disk manager, and the block Lanczos method reads them once for every 64 dimensions of its space (Halko, Martinsson, Shkolnisky and Tygert 2011); that takes about 8 d (3 k + 500) bytes. Routes 1 and 2 use the block Lanczos method (Golub and Underwood 1977) instead of a full decomposition if few components are wanted, whose variances span less than four decades. It always ends on residuals of the components and on a look for larger ones that it may have missed, so that results are verified. Partial results of partitions merge exactly, and so do those of machines, except that rows on the disk of one machine cannot be read by another, which is an error.",
    syntax_example = "pca_fit(features [, n_components [, scale [, convention [, memory_limit [, with_mean]]]]])",
    sql_example = r#"```sql
> CREATE TABLE model AS SELECT pca_fit(features, 0.9) AS pca FROM features;
> SELECT pca_n_components(pca), pca_n_samples(pca) FROM model;
+-----------------------------+--------------------------+
| pca_n_components(model.pca) | pca_n_samples(model.pca) |
+-----------------------------+--------------------------+
| 123                         | 22688                    |
+-----------------------------+--------------------------+
> SELECT pca_fit(features, 1280, {convention: 'spark', with_mean: true}) FROM features;
```"#,
    argument(
        name = "features",
        description = "List of numbers, of the same length in every row. NaN, infinity and NULL inside a list are errors; a NULL list is ignored."
    ),
    argument(
        name = "n_components",
        description = "Constant: an integer of at least 1 and at most min(rows, columns) (in the convention 'spark' more are as good as that, with a notice), or a ratio strictly between 0 and 1 for the fewest components whose cumulative explained variance ratio is strictly above it. Default, and NULL: all, min(rows, columns)."
    ),
    argument(
        name = "scale",
        description = "Constant: whether to divide each column by its standard deviation. Default true."
    ),
    argument(
        name = "convention",
        description = "Constant: 'scikit-learn' (default), or 'spark' for Spark ML's StandardScaler and PCA: the standard deviation divides by n - 1, a constant column becomes 0, `pca_transform` subtracts the mean only `with_mean`, and `n_components` may be larger than what exists. DataFusion's named arguments leave no gaps; instead of them the last argument may be a struct of any of these: `pca_fit(features, 0.9, {convention: 'spark'})`, `pca_fit(features, {scale: false})`."
    ),
    argument(
        name = "memory_limit",
        description = "Constant: bytes of memory that the rows or moments of each group may take in each partition, such as 2147483648 or '2G'; components and the model come on top. Default `featurize.pca_memory_limit`, or 1G."
    ),
    argument(
        name = "with_mean",
        description = "Constant: whether the scaler subtracts the mean, which is `withMean` of Spark's StandardScaler. Default false in the convention 'spark'. In that of scikit-learn it changes nothing, as PCA itself subtracts the mean."
    )
)]
/// The SQL function `pca_fit`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PcaFit {
    signature: Signature,
    session: Session,
}

impl Default for PcaFit {
    fn default() -> Self {
        Self::new()
    }
}

impl PcaFit {
    /// The function. Rows that do not fit in memory go to the temporary folder of the system.
    #[must_use]
    pub fn new() -> Self {
        Self {
            signature: listed(ARGUMENTS.names, fit_arguments::examples()),
            session: Session::default(),
        }
    }

    /// Sets where rows go that do not fit in memory. A session that registers the function hands its
    /// own over, since an accumulator does not see the session.
    #[must_use]
    pub fn with_disk_manager(mut self, manager: Arc<DiskManager>) -> Self {
        self.session.disk = Disk::new(manager);
        self
    }

    /// Sets the pool that is asked for the memory of a fit. What is held before is reported by the
    /// accumulator, as by any other.
    #[must_use]
    pub fn with_memory_pool(mut self, pool: Arc<dyn MemoryPool>) -> Self {
        self.session.pool = Some(pool);
        self
    }

    /// Sets how a fit learns that its query was cancelled. The source is called when a fit starts, on
    /// the thread that polls the aggregate.
    #[must_use]
    pub fn with_cancellation(mut self, source: CancellationSource) -> Self {
        self.session.cancellation = Some(source);
        self
    }
}

impl AggregateUDFImpl for PcaFit {
    fit_arguments::methods!();

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let options = fit_arguments::options(&args)?;
        let Some(features) = args.expr_fields.first() else {
            return internal_err!("{NAME} without arguments");
        };
        Ok(match features::precision(features.data_type())? {
            Precision::Single => {
                Box::new(PcaAccumulator::<f32>::new(options, self.session.clone()))
            }
            Precision::Double => {
                Box::new(PcaAccumulator::<f64>::new(options, self.session.clone()))
            }
        })
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(state::fields(args.name))
    }

    /// Turns the session's memory limit into an argument. An accumulator does not see the session,
    /// and an argument travels to the machines of a cluster.
    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        Some(Box::new(|mut function: AggregateFunction, context| {
            let limit = settings::memory_limit(context.config_options())?;
            if let Some(limit) = limit.filter(|l| *l != DEFAULT_MEMORY_LIMIT) {
                let constants = function.params.args.split_off(1);
                function.params.args.extend(with_limit(constants, limit)?);
            }
            Ok(Expr::AggregateFunction(function))
        }))
    }
}

/// All constants by position, the memory limit among them.
fn with_limit(constants: Vec<Expr>, limit: usize) -> Result<Vec<Expr>> {
    let mut given = ARGUMENTS.named(constants, |last| match last {
        Expr::Literal(value, metadata) => match fields(value) {
            Ok(options) => Ok(options
                .into_iter()
                .map(|(name, v)| (name, lit(v)))
                .collect()),
            Err(value) => Err(Expr::Literal(value, metadata)),
        },
        other => Err(other),
    })?;
    let is_null = |value: &Expr| matches!(value, Expr::Literal(value, _) if value.is_null());
    given.retain(|(_, value)| !is_null(value));
    let by_position = ARGUMENTS.names.iter().skip(1).map(|name| {
        let found = given.iter().position(|(given, _)| given == name);
        let default = || match *name {
            "scale" => lit(true),
            "convention" => lit(Convention::default().name()),
            "memory_limit" => lit(limit as u64),
            _ => lit(ScalarValue::Null),
        };
        found.map_or_else(default, |index| given.swap_remove(index).1)
    });
    let mut constants: Vec<Expr> = by_position.collect();
    while constants.last().is_some_and(is_null) {
        constants.pop();
    }
    Ok(constants)
}
