//! `thumbnail(content, side)`

use std::sync::Arc;

use arrow::array::{Array, AsArray, BinaryViewArray};
use arrow::datatypes::{DataType, Int64Type};
use datafusion_common::types::{NativeType, logical_int64};
use datafusion_common::utils::take_function_args;
use datafusion_common::{Result, exec_err};
use datafusion_expr::{
    Coercion, ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature,
    TypeSignatureClass, Volatility,
};
use datafusion_macros::user_doc;

use super::each_image::{columnar, each_image, rows};
use crate::thumbnail::thumbnail;

/// Most pixels of a side: what is larger is no thumbnail.
const MOST: i64 = 4096;

#[user_doc(
    doc_section(label = "Image Functions"),
    description = "A small picture of an image: the bytes of a JPEG whose longest side has at most `side` pixels, in the proportions of the image. A smaller image keeps its size. NULL in gives NULL out, and so does an image that cannot be decoded: `image_info` says why.",
    syntax_example = "thumbnail(content, side)",
    sql_example = r#"```sql
> COPY (SELECT path, thumbnail(content, 64) AS picture FROM images) TO 'pictures.parquet';
```"#,
    argument(
        name = "content",
        description = "The encoded image, of any binary type."
    ),
    argument(
        name = "side",
        description = "Most pixels of the longest side, from 1 to 4,096."
    ),
    related_udf(name = "image_info")
)]
/// The `thumbnail` function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ThumbnailOf {
    signature: Signature,
}

impl Default for ThumbnailOf {
    fn default() -> Self {
        Self::new()
    }
}

impl ThumbnailOf {
    /// The function.
    pub fn new() -> Self {
        let content = Coercion::new_exact(TypeSignatureClass::Binary);
        let side = Coercion::new_implicit(
            TypeSignatureClass::Native(logical_int64()),
            vec![TypeSignatureClass::Integer],
            NativeType::Int64,
        );
        let mut signature = Signature::coercible(vec![content, side], Volatility::Immutable);
        signature.parameter_names = Some(vec!["content".to_owned(), "side".to_owned()]);
        Self { signature }
    }
}

impl ScalarUDFImpl for ThumbnailOf {
    fn name(&self) -> &str {
        "thumbnail"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::BinaryView)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [_, side] = take_function_args(self.name(), &args.args)?;
        let sides = side.to_array(rows(&args))?;
        let sides = sides.as_primitive::<Int64Type>();
        if let Some(side) = sides
            .iter()
            .flatten()
            .find(|side| !(1..=MOST).contains(side))
        {
            let name = self.name();
            return exec_err!("{name}: 'side' must be from 1 to {MOST} pixels, found {side}");
        }
        let work = |row, bytes: &[u8], options| {
            let side = sides.is_valid(row).then(|| sides.value(row))?;
            thumbnail(bytes, side as usize, options).ok()
        };
        let thumbnails = each_image(self.name(), &args, work, Option::is_some)?;
        let thumbnails: BinaryViewArray = thumbnails.into_iter().map(Option::flatten).collect();
        columnar(&args, Arc::new(thumbnails))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}
