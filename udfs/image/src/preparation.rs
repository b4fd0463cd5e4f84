//! From a picture of any size to the numbers that a network is fed.
//!
//! What a folder's `preprocessor_config.json` says is done as the image processors of transformers do it that
//! work with Pillow (`PilBackend` of version 5, the slow processors of version 4): Pillow's resize, the
//! centre cut out, black around what is smaller, then arithmetic in `f32`.

mod described;
mod levels;
mod processor;
mod steps;

pub use self::described::check;
pub(crate) use self::described::{Description, Fixed};
pub use self::steps::Preparation;
