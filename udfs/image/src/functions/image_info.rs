//! `image_info(content)`

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray, StructArray, UInt8Array, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion_common::Result;
use datafusion_expr::{
    Coercion, ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl,
    Signature, TypeSignatureClass, Volatility,
};
use datafusion_macros::user_doc;

use super::each_image::{columnar, each_image};
use crate::decode::{Inspection, inspect};

#[user_doc(
    doc_section(label = "Image Functions"),
    description = "Decodes an image completely and returns a struct of its `format`, `width`, `height`, `color` and `error`. `error` is NULL for a good image and says otherwise why `featurize` would refuse it; the other fields hold what could still be learnt: `frames` (the first is taken), `orientation` (EXIF's 1 to 8; applied to TIFF always, to others with `featurize.exif_orientation`), `bits` of a channel, `icc_profile` (`ignored` if there is one) and `transparency` (`dropped` if there is any: colours are taken as they are stored). NULL in gives NULL out.",
    syntax_example = "image_info(content)",
    sql_example = r#"```sql
> SELECT path, image_info(content)['error'] FROM images WHERE image_info(content)['error'] IS NOT NULL;
```"#,
    argument(
        name = "content",
        description = "The encoded image, of any binary type."
    ),
    related_udf(name = "featurize"),
    related_udf(name = "try_featurize"),
    related_udf(name = "image_hash"),
    related_udf(name = "thumbnail")
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
        let work = |_, bytes: &[u8], options| inspect(bytes, options);
        let is_good = |image: &Inspection| image.error.is_none();
        let inspections = each_image(self.name(), &args, work, is_good)?;
        columnar(&args, Arc::new(struct_array(&inspections)?))
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
        Field::new("frames", DataType::UInt32, true),
        Field::new("orientation", DataType::UInt8, true),
        Field::new("bits", DataType::UInt8, true),
        Field::new("icc_profile", DataType::Utf8, true),
        Field::new("transparency", DataType::Utf8, true),
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
    let details = || each().map(|inspection| inspection?.details.as_ref());
    let frames: UInt32Array = details().map(|details| Some(details?.frames)).collect();
    let orientation: UInt8Array = details()
        .map(|details| Some(details?.orientation))
        .collect();
    let bits: UInt8Array = details().map(|details| Some(details?.bits)).collect();
    let icc_profile: StringArray = details()
        .map(|details| details?.icc_profile.then_some("ignored"))
        .collect();
    let transparency: StringArray = details()
        .map(|details| details?.transparency.then_some("dropped"))
        .collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(format),
        Arc::new(width),
        Arc::new(height),
        Arc::new(color),
        Arc::new(error),
        Arc::new(frames),
        Arc::new(orientation),
        Arc::new(bits),
        Arc::new(icc_profile),
        Arc::new(transparency),
    ];
    let nulls: NullBuffer = inspections.iter().map(Option::is_some).collect();
    Ok(StructArray::try_new(fields(), columns, Some(nulls))?)
}
