//! `scaler_fit(features [, convention [, scale [, with_mean]]])`

use super::constant::Arguments;
use super::fit_arguments;
use super::signature::{example_features, listed};
use crate::error::{Counted, PcaError, check_counts};
use crate::features::{self, Features, Precision};
use crate::fit::standard::Statistics;
use crate::model::scaler::ScalerFitter;
use crate::model::transform::BLOCK_ROWS;
use crate::scaling::Scaling;
use crate::value::{Value, check_row};
use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, UInt64Type};
use datafusion_common::utils::SingleRowListArrayBuilder;
use datafusion_common::{Result, ScalarValue, internal_err};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion_expr::{Accumulator, AggregateUDFImpl, Documentation, Signature};
use datafusion_macros::user_doc;
use std::sync::Arc;

const NAME: &str = "scaler_fit";

const ARGUMENTS: Arguments = Arguments {
    function: NAME,
    names: &["features", "convention", "scale", "with_mean"],
};

#[user_doc(
    doc_section(label = "PCA Functions"),
    description = "Computes mean and standard deviation of each column, as the StandardScaler of scikit-learn or Spark ML, and returns them as one value for `scaler_transform`. `pca_fit` standardises by itself; this is for standardising alone. NULL rows are ignored.",
    syntax_example = "scaler_fit(features [, convention [, scale [, with_mean]]])",
    sql_example = r#"```sql
> CREATE TABLE scaler AS SELECT scaler_fit(features) AS scaler FROM features;
> SELECT scaler_transform(features, (SELECT scaler FROM scaler)) FROM features;
```"#,
    argument(
        name = "features",
        description = "List of numbers, of the same length in every row. NaN, infinity and NULL inside a list are errors; a NULL list is ignored."
    ),
    argument(
        name = "convention",
        description = "Constant: 'scikit-learn' (default; the standard deviation divides by n, a constant column has scale 1), or 'spark' (it divides by n - 1, a constant column becomes 0)."
    ),
    argument(
        name = "scale",
        description = "Constant: whether to divide by the standard deviation, `with_std` of the originals. Default true."
    ),
    argument(
        name = "with_mean",
        description = "Constant: whether to subtract the mean. Default true, but false in the convention 'spark'. As for `pca_fit`, the last argument may be a struct of options: `scaler_fit(features, {with_mean: false})`."
    )
)]
/// The SQL function `scaler_fit`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ScalerFit {
    signature: Signature,
}

impl Default for ScalerFit {
    fn default() -> Self {
        Self::new()
    }
}

impl ScalerFit {
    /// The function.
    #[must_use]
    pub fn new() -> Self {
        Self {
            signature: listed(
                ARGUMENTS.names,
                vec![
                    vec![example_features()],
                    vec![
                        example_features(),
                        DataType::Utf8,
                        DataType::Boolean,
                        DataType::Boolean,
                    ],
                ],
            ),
        }
    }
}

impl AggregateUDFImpl for ScalerFit {
    fit_arguments::methods!();

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(ScalerAccumulator {
            fitter: ScalerFitter::new(),
            scaling: fit_arguments::scaling(&ARGUMENTS, &args)?,
        }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let list = DataType::new_list(DataType::Float64, true);
        let fields = [
            ("count", DataType::UInt64),
            ("nulls", DataType::UInt64),
            ("shift", list.clone()),
            ("mean", list.clone()),
            ("squares", list),
        ];
        let field =
            |(name, data_type)| Field::new(format_state_name(args.name, name), data_type, true);
        Ok(fields.into_iter().map(field).map(Arc::new).collect())
    }
}

/// Accumulates rows of one group in one partition.
#[derive(Debug)]
struct ScalerAccumulator {
    fitter: ScalerFitter,
    scaling: Scaling,
}

impl ScalerAccumulator {
    fn update<T: Value>(&mut self, features: &ArrayRef) -> Result<()> {
        let features = Features::<T>::try_new(features)?;
        let ScalerFitter { seen, null_rows } = &mut self.fitter;
        let mut rows: Vec<&[T]> = Vec::with_capacity(features.len());
        for i in 0..features.len() {
            let number = seen.rows + *null_rows + rows.len() as u64;
            let row = features.row(i, number).and_then(|row| {
                let before = rows.first().map(|row| row.len());
                row.map(|row| check_row(row, number, seen.width().or(before)).map(|()| row))
                    .transpose()
            });
            match row.map_err(|e| e.in_rows(NAME, Counted::Aggregated))? {
                Some(row) => rows.push(row),
                None => *null_rows += 1,
            }
        }
        rows.chunks(BLOCK_ROWS)
            .for_each(|block| seen.add(block, false));
        Ok(())
    }

    /// Statistics that another accumulator has sent.
    fn merge(&mut self, null_rows: u64, other: &Statistics) -> Result<(), PcaError> {
        let ScalerFitter {
            seen,
            null_rows: nulls,
        } = &mut self.fitter;
        check_counts(&[seen.rows, *nulls, other.rows, null_rows])?;
        other.check()?;
        *nulls += null_rows;
        match (self.fitter.seen.width(), other.width()) {
            (Some(expected), Some(found)) if expected != found => {
                Err(PcaError::PartialWidth { expected, found })
            }
            _ => {
                self.fitter.seen.merge(other);
                Ok(())
            }
        }
    }
}

impl Accumulator for ScalerAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(features) = values.first() else {
            return internal_err!("{NAME} without features");
        };
        match features::precision(features.data_type())? {
            Precision::Single => self.update::<f32>(features),
            Precision::Double => self.update::<f64>(features),
        }
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let fitted = self.fitter.fit(self.scaling);
        let scaler = fitted.map_err(|e| e.in_function(NAME))?;
        Ok(ScalarValue::BinaryView(Some(scaler.encode())))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.fitter.seen.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let ScalerFitter { seen, null_rows } = std::mem::take(&mut self.fitter);
        let list = |values: Vec<f64>| {
            SingleRowListArrayBuilder::new(Arc::new(Float64Array::from(values))).build_list_scalar()
        };
        Ok(vec![
            ScalarValue::UInt64(Some(seen.rows)),
            ScalarValue::UInt64(Some(null_rows)),
            list(seen.shift),
            list(seen.mean),
            list(seen.squares),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [rows, nulls, shift, mean, squares] = states else {
            return internal_err!("{NAME}: {} state columns instead of 5", states.len());
        };
        let [rows, nulls] = [rows, nulls].map(|a| a.as_primitive::<UInt64Type>());
        for i in 0..rows.len() {
            if states.iter().any(|column| column.is_null(i)) {
                continue;
            }
            let floats = |column: &ArrayRef| {
                let list = column.as_list::<i32>().value(i);
                list.as_primitive::<Float64Type>().values().to_vec()
            };
            let other = Statistics {
                rows: rows.value(i),
                shift: floats(shift),
                mean: floats(mean),
                squares: floats(squares),
            };
            self.merge(nulls.value(i), &other)
                .map_err(|e| e.in_function(NAME))?;
        }
        Ok(())
    }
}
