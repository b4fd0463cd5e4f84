//! What there is to know about a network beside its layers.

use featurize_kernels::Pooling;

use super::blueprint::Blueprint;
use crate::preprocess::Preprocessing;

/// What there is to know about a network. Of a pair, the first is Keras's, the second torchvision's.
pub(super) struct Facts {
    /// Name in SQL.
    pub(super) name: &'static str,
    /// Where Keras Applications publishes its weights, and the MD5 that it checks.
    pub(super) keras_folder: &'static str,
    pub(super) keras_file: &'static str,
    pub(super) keras_md5: Option<&'static str>,
    /// Height and width of the images that it was made for, and the least that it can take.
    pub(super) side: usize,
    pub(super) least_side: usize,
    /// Where none is given.
    pub(super) pooling: Pooling,
    pub(super) preprocessing: (Preprocessing, Preprocessing),
    /// What batch normalisation adds to the variance.
    pub(super) epsilon: (f64, f64),
    /// Whether Keras counts its layers instead of naming them.
    pub(super) counted: bool,
    pub(super) describe: fn(&mut Blueprint),
}
