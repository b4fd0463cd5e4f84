//! The SQL functions, one to a file.

mod arguments;
mod each_image;
pub mod featurize;
pub mod featurize_model_info;
mod hidden;
pub mod image_hash;
pub mod image_info;
mod images;
mod planned;
mod reading;
pub mod thumbnail;
pub mod try_featurize;

use std::sync::Arc;

use datafusion_expr::ScalarUDF;
use datafusion_functions::make_udf_function;

pub use self::planned::{loads_network, planned_settings, with_planned_settings};
use crate::weights::WeightsAccess;

make_udf_function!(featurize::Featurize, featurize);
make_udf_function!(try_featurize::TryFeaturize, try_featurize);
make_udf_function!(image_info::ImageInfo, image_info);
make_udf_function!(image_hash::ImageHash, image_hash);
make_udf_function!(thumbnail::ThumbnailOf, thumbnail);
make_udf_function!(
    featurize_model_info::FeaturizeModelInfo,
    featurize_model_info
);

/// Functions that build expressions.
pub mod expr_fn {
    use datafusion_functions::export_functions;

    export_functions!(
        (
            featurize,
            "Features of an image: `content`, then optionally model, weights, pooling and input_size",
            args,
        ),
        (
            try_featurize,
            "Features of an image, NULL if it cannot be decoded: `content`, then optionally model, weights, pooling and input_size",
            args,
        ),
        (
            image_info,
            "Format, size, colour mode and decoding error of an image",
            content
        ),
        (image_hash, "Perceptual hash of an image", content),
        (thumbnail, "A small JPEG of an image", content side),
        (
            featurize_model_info,
            "What `featurize` computes with: the network's name, dimension, parameters, weights and conventions",
            args,
        )
    );
}

/// True for a function that computes for long and stops when the token of [`crate::cancel`] is
/// triggered: whatever its name in the session, or on whichever machine.
pub fn looks_for_cancellation(function: &ScalarUDF) -> bool {
    let function = function.inner();
    function.is::<featurize::Featurize>()
        || function.is::<try_featurize::TryFeaturize>()
        || function.is::<image_info::ImageInfo>()
        || function.is::<image_hash::ImageHash>()
        || function.is::<thumbnail::ThumbnailOf>()
        || function.is::<featurize_model_info::FeaturizeModelInfo>()
}

/// All functions of this package.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        featurize(),
        try_featurize(),
        image_info(),
        image_hash(),
        thumbnail(),
        featurize_model_info(),
    ]
}

/// All functions of this package, those that load weights with this access to them.
pub fn functions_with(access: &WeightsAccess) -> Vec<Arc<ScalarUDF>> {
    let access = || access.clone();
    vec![
        Arc::new(featurize::Featurize::with_access(access()).into()),
        Arc::new(try_featurize::TryFeaturize::with_access(access()).into()),
        image_info(),
        image_hash(),
        thumbnail(),
        Arc::new(featurize_model_info::FeaturizeModelInfo::with_access(access()).into()),
    ]
}

#[cfg(test)]
mod tests;
