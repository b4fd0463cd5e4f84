//! `image_info(content)`

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray, StructArray, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion_common::instant::Instant;
use datafusion_common::utils::take_function_args;
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::{
    Coercion, ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl,
    Signature, TypeSignatureClass, Volatility,
};
use datafusion_macros::user_doc;
use rayon::prelude::*;

use super::arguments::Images;
use crate::cancel;
use crate::counters;
use crate::decode::{Inspection, Limits, inspect};
use crate::error::Error;
use crate::pool::ComputePool;
use crate::settings::Settings;

#[user_doc(
    doc_section(label = "Image Functions"),
    description = "Decodes an image completely and returns a struct of its `format`, `width`, `height`, `color` and `error`. `error` is NULL for a good image and says otherwise why `featurize` would refuse it; the other fields hold what could still be learnt. NULL in gives NULL out.",
    syntax_example = "image_info(content)",
    sql_example = r#"```sql
> SELECT path, image_info(content)['error'] FROM images WHERE image_info(content)['error'] IS NOT NULL;
```"#,
    argument(
        name = "content",
        description = "The encoded image, of any binary type."
    ),
    related_udf(name = "featurize"),
    related_udf(name = "try_featurize")
)]
/// The `image_info` function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ImageInfo {
    signature: Signature,
}

impl Default for ImageInfo {
    fn default() -> Self {
        Self::new()
    }
}

impl ImageInfo {
    /// The function.
    pub fn new() -> Self {
        let content = Coercion::new_exact(TypeSignatureClass::Binary);
        let mut signature = Signature::coercible(vec![content], Volatility::Immutable);
        signature.parameter_names = Some(vec!["content".to_owned()]);
        Self { signature }
    }
}

impl ScalarUDFImpl for ImageInfo {
    fn name(&self) -> &str {
        "image_info"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(fields()))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        let data_type = DataType::Struct(fields());
        Ok(Arc::new(Field::new(self.name(), data_type, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let settings = Settings::try_from_config(&args.config_options)?;
        let [content] = take_function_args(self.name(), &args.args)?;
        let scalar = matches!(content, ColumnarValue::Scalar(_));
        let content = content.to_array(if scalar { 1 } else { args.number_rows })?;
        let images = Images::try_new(&content)?;
        let limits = Limits {
            max_pixels: settings.max_pixels,
        };
        let pool = ComputePool::shared(settings.threads)
            .map_err(|error| error.in_function(self.name()))?;
        let cancel = cancel::current();
        let started = Instant::now();
        let inspections: Result<Vec<Option<Inspection>>, Error> = pool.run(|| {
            images
                .rows()
                .into_par_iter()
                .map(|image| {
                    cancel.check().map_err(|_| Error::Cancelled)?;
                    Ok(image.map(|bytes| inspect(bytes, limits)))
                })
                .collect()
        });
        let inspections = inspections.map_err(|error| error.in_function(self.name()))?;
        let images = inspections.iter().flatten();
        let (good, bad): (Vec<_>, Vec<_>) = images.partition(|image| image.error.is_none());
        counters::add_decoded(good.len(), bad.len(), started.elapsed());
        let info = struct_array(&inspections)?;
        if scalar {
            let value = ScalarValue::try_from_array(&info, 0)?;
            Ok(ColumnarValue::Scalar(value))
        } else {
            Ok(ColumnarValue::Array(Arc::new(info)))
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn fields() -> Fields {
    Fields::from(vec![
        Field::new("format", DataType::Utf8, true),
        Field::new("width", DataType::UInt32, true),
        Field::new("height", DataType::UInt32, true),
        Field::new("color", DataType::Utf8, true),
        Field::new("error", DataType::Utf8, true),
    ])
}

fn struct_array(inspections: &[Option<Inspection>]) -> Result<StructArray> {
    let each = || inspections.iter().map(Option::as_ref);
    let header = || each().map(|inspection| inspection?.header.as_ref());
    let format: StringArray = each()
        .map(|inspection| Some(inspection?.format?.to_string()))
        .collect();
    let width: UInt32Array = header().map(|header| Some(header?.width)).collect();
    let height: UInt32Array = header().map(|header| Some(header?.height)).collect();
    let color: StringArray = header()
        .map(|header| Some(header?.color.as_str()))
        .collect();
    let error: StringArray = each()
        .map(|inspection| Some(inspection?.error.as_ref()?.to_string()))
        .collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(format),
        Arc::new(width),
        Arc::new(height),
        Arc::new(color),
        Arc::new(error),
    ];
    let nulls: NullBuffer = inspections.iter().map(Option::is_some).collect();
    Ok(StructArray::try_new(fields(), columns, Some(nulls))?)
}
