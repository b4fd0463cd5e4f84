//! `pca_fit(features, n_components [, scale [, convention [, memory_limit]]])`

use super::constant::constant;
use crate::error::PcaError;
use crate::features::{self, Features, Precision};
use crate::fit::PcaFitter;
use crate::options::{Convention, DEFAULT_MEMORY_LIMIT, FitOptions, NComponents};
use crate::settings;
use crate::state;
use crate::value::Value;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::{Result, ScalarValue, internal_err, plan_datafusion_err, plan_err};
use datafusion_expr::expr::AggregateFunction;
use datafusion_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs,
};
use datafusion_expr::utils::AggregateOrderSensitivity;
use datafusion_expr::{Accumulator, AggregateUDFImpl, Documentation, Expr, Signature, lit};
use datafusion_macros::user_doc;

const NAME: &str = "pca_fit";

const ARGUMENTS: [&str; 5] = [
    "features",
    "n_components",
    "scale",
    "convention",
    "memory_limit",
];

#[user_doc(
    doc_section(label = "PCA Functions"),
    description = "Fits a principal component analysis to the rows of a group and returns it as one value, to be given to `pca_transform` or stored in a table. The rows are standardised first unless `scale` is false. Definitions are those of scikit-learn's StandardScaler and PCA, computed in 64-bit floats: the standard deviation divides by n, explained variances by n - 1, a constant column has scale 1, and the largest entry of each component is positive. NULL rows are ignored. The value is in the safetensors layout (tensors `mean`, `scale`, `components`, `explained_variance`, `explained_variance_ratio`).

With fewer rows than columns the rows are kept, and the eigenvectors of their n × n Gram matrix taken (Sirovich 1987); with more, only the d × d moments are kept (Chan, Golub and LeVeque 1979), so that memory does not depend on the number of rows. Moments take 8 d² bytes and are kept if that is at most half of `memory_limit`; rows that fit neither way are an error. If few components are wanted, they are computed by the block Lanczos method (Golub and Underwood 1977) to a verified residual. Partial results of partitions and machines merge exactly.",
    syntax_example = "pca_fit(features, n_components [, scale [, convention [, memory_limit]]])",
    sql_example = r#"```sql
> CREATE TABLE model AS SELECT pca_fit(features, 0.9) AS pca FROM features;
> SELECT pca_n_components(pca), pca_n_samples(pca) FROM model;
+-----------------------------+--------------------------+
| pca_n_components(model.pca) | pca_n_samples(model.pca) |
+-----------------------------+--------------------------+
| 123                         | 22688                    |
+-----------------------------+--------------------------+
```"#,
    argument(
        name = "features",
        description = "List of numbers, of the same length in every row. NaN, infinity and NULL inside a list are errors; a NULL list is ignored."
    ),
    argument(
        name = "n_components",
        description = "Constant: an integer of at least 1 and at most min(rows, columns), or a ratio strictly between 0 and 1 for the fewest components whose cumulative explained variance ratio is strictly above it."
    ),
    argument(
        name = "scale",
        description = "Constant: whether to divide each column by its standard deviation. Default true."
    ),
    argument(
        name = "convention",
        description = "Constant: 'scikit-learn' (default), or 'spark' for Spark ML's StandardScaler and PCA: the standard deviation divides by n - 1, a constant column becomes 0, and `pca_transform` does not subtract the mean."
    ),
    argument(
        name = "memory_limit",
        description = "Constant: bytes that each partition may hold, such as 2147483648 or '2G'. Default `featurize.pca_memory_limit`, or 1G."
    )
)]
/// The SQL function `pca_fit`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PcaFit {
    signature: Signature,
}

impl Default for PcaFit {
    fn default() -> Self {
        Self::new()
    }
}

impl PcaFit {
    /// The function.
    #[must_use]
    pub fn new() -> Self {
        Self {
            signature: super::named(&ARGUMENTS),
        }
    }
}

impl AggregateUDFImpl for PcaFit {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [features, n_components, options @ ..] = arg_types else {
            return arity(arg_types.len());
        };
        // Not coerced to one type: 1 and 1.0 mean different things.
        if !n_components.is_numeric() && !n_components.is_null() {
            return plan_err!(
                "{NAME}: n_components must be an integer or a ratio, got {n_components}"
            );
        }
        if options.len() > ARGUMENTS.len() - 2 {
            return arity(arg_types.len());
        }
        let mut coerced = vec![
            features::coerce(NAME, "features", features)?,
            n_components.clone(),
        ];
        for (option, name) in options.iter().zip(&ARGUMENTS[2..]) {
            let (fits, expected) = match *name {
                "scale" => (*option == DataType::Boolean, "true or false"),
                "convention" => (option.is_string(), "'scikit-learn' or 'spark'"),
                _ => (
                    option.is_integer() || option.is_string(),
                    "a number of bytes",
                ),
            };
            if !fits && !option.is_null() {
                return plan_err!("{NAME}: {name} must be {expected}, got {option}");
            }
            coerced.push(option.clone());
        }
        Ok(coerced)
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::BinaryView)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return plan_err!(
                "{NAME} does not support DISTINCT: select the distinct rows in a subquery"
            );
        }
        let options = fit_options(&args)?;
        let Some(features) = args.expr_fields.first() else {
            return internal_err!("{NAME} without arguments");
        };
        Ok(match features::precision(features.data_type())? {
            Precision::Single => Box::new(PcaAccumulator::<f32>::new(options)),
            Precision::Double => Box::new(PcaAccumulator::<f64>::new(options)),
        })
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(state::fields(args.name))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    /// Turns the session's memory limit into an argument. An accumulator does not see the session,
    /// and an argument travels to the machines of a cluster.
    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        Some(Box::new(|mut function: AggregateFunction, context| {
            let args = &mut function.params.args;
            let limit = settings::memory_limit(context.config_options())?;
            if let Some(limit) = limit.filter(|l| *l != DEFAULT_MEMORY_LIMIT)
                && (2..ARGUMENTS.len()).contains(&args.len())
            {
                let defaults = [
                    lit(true),
                    lit(Convention::default().name()),
                    lit(limit as u64),
                ];
                let missing = defaults.into_iter().skip(args.len() - 2);
                args.extend(missing);
            }
            Ok(Expr::AggregateFunction(function))
        }))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn arity<T>(found: usize) -> Result<T> {
    plan_err!(
        "{NAME} takes 2 to 5 arguments (features, n_components [, scale [, convention \
         [, memory_limit]]]), got {found}"
    )
}

/// Reads the constant arguments.
fn fit_options(args: &AccumulatorArgs) -> Result<FitOptions> {
    let n_components = n_components(&constant(NAME, args, 1, "n_components")?)?;
    let mut options = FitOptions::new(n_components);
    for (index, name) in ARGUMENTS.iter().enumerate().take(args.exprs.len()).skip(2) {
        let value = constant(NAME, args, index, name)?;
        options = match (*name, value) {
            ("scale", ScalarValue::Boolean(Some(scale))) => options.with_scale(scale),
            ("convention", value) if text(&value).is_some() => {
                let convention = Convention::try_from_name(text(&value).unwrap_or_default());
                options.with_convention(convention.map_err(|e| e.in_function(NAME))?)
            }
            ("memory_limit", value) => match settings::parse_bytes(&value.to_string()) {
                Some(bytes) => options.with_memory_limit(bytes),
                None => {
                    return plan_err!(
                        "{NAME}: memory_limit must be a number of bytes such as 1073741824, \
                         '512M' or '2G', got {value}"
                    );
                }
            },
            ("scale", value) => {
                return plan_err!("{NAME}: scale must be true or false, got {value}");
            }
            (_, value) => {
                return plan_err!(
                    "{NAME}: convention must be 'scikit-learn' or 'spark', got {value}"
                );
            }
        };
    }
    Ok(options)
}

fn text(value: &ScalarValue) -> Option<&str> {
    value.try_as_str().flatten()
}

/// An integer of any width is a count; a float or a decimal is a ratio.
fn n_components(value: &ScalarValue) -> Result<NComponents> {
    if value.is_null() {
        return plan_err!(
            "{NAME}: n_components must be an integer or a ratio strictly between 0 and 1, got NULL"
        );
    }
    let data_type = value.data_type();
    let number = |target: &DataType| {
        value
            .cast_to(target)
            .map_err(|e| plan_datafusion_err!("{NAME}: n_components = {value} cannot be used: {e}"))
    };
    let parsed = match number(if data_type.is_integer() {
        &DataType::Decimal128(38, 0)
    } else {
        &DataType::Float64
    })? {
        ScalarValue::Decimal128(Some(count), _, _) => NComponents::try_from_count(count),
        ScalarValue::Float64(Some(ratio)) => NComponents::try_from_ratio(ratio),
        other => return internal_err!("{NAME}: n_components became {other}"),
    };
    parsed.map_err(|e| e.in_function(NAME))
}

/// Accumulates rows of one group in one partition.
#[derive(Debug)]
struct PcaAccumulator<T: Value> {
    fitter: PcaFitter<T>,
}

impl<T: Value> PcaAccumulator<T> {
    fn new(options: FitOptions) -> Self {
        Self {
            fitter: PcaFitter::new(options),
        }
    }

    fn update(&mut self, features: &Features<T>) -> Result<(), PcaError> {
        for i in 0..features.len() {
            match features.row(i, self.fitter.next_row())? {
                Some(row) => self.fitter.push(row)?,
                None => self.fitter.push_nulls(1),
            }
        }
        Ok(())
    }
}

impl<T: Value> Accumulator for PcaAccumulator<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(features) = values.first() else {
            return internal_err!("{NAME} without features");
        };
        self.update(&Features::try_new(features)?)
            .map_err(|e| e.in_function(NAME))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let model = self.fitter.fit().map_err(|e| e.in_function(NAME))?;
        Ok(ScalarValue::BinaryView(Some(model.encode())))
    }

    fn size(&self) -> usize {
        self.fitter.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        state::encode(self.fitter.take_parts()).map_err(|e| e.in_function(NAME))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [headers, blocks] = states else {
            return internal_err!("{NAME}: {} state columns instead of 2", states.len());
        };
        let (Some(headers), Some(blocks)) =
            (headers.as_binary_view_opt(), blocks.as_list_opt::<i32>())
        else {
            return internal_err!(
                "{NAME}: a state of {} and {}",
                headers.data_type(),
                blocks.data_type()
            );
        };
        for i in 0..headers.len() {
            if headers.is_null(i) || blocks.is_null(i) {
                continue;
            }
            let block = blocks.value(i);
            let Some(block) = block.as_binary_view_opt() else {
                return internal_err!("{NAME}: a state of {}", block.data_type());
            };
            state::decode(headers.value(i), block)
                .and_then(|parts| self.fitter.merge_parts(parts))
                .map_err(|e| e.in_function(NAME))?;
        }
        Ok(())
    }
}
