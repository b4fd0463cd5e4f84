//! Where the numbers of a network come from.
//!
//! One interface over every source: [`Weights`] hands out a [`VarBuilder`](candle_nn::VarBuilder) and says which
//! conventions go with the numbers and how they are identified. Tensors are asked for by the
//! names of Keras layers (`block1_conv1.kernel`, `block1_conv1.bias`) and in Keras's layout
//! (kernels are height, width, input channel, output channel), whatever the file holds. No format
//! that can run code (pickle) is read.
//!
//! What is not on this machine is downloaded into a [`WeightsFolder`], through the object stores of
//! a [`WeightsAccess`].

mod access;
mod address;
mod cached;
mod catalog;
mod content;
mod digest;
mod download;
mod file;
mod fingerprint;
mod folder;
mod hdf5;
mod imagenet;
mod model_folder;
#[cfg(feature = "onnx")]
mod onnx_file;
#[cfg(feature = "onnx")]
mod onnx_scan;
mod place;
mod read;
mod safetensors;
mod seeded;
mod shards;
mod slot;
mod spec;
mod strangers;
mod url;
#[cfg(feature = "http")]
mod web;
#[cfg(not(feature = "http"))]
#[path = "web_elsewhere.rs"]
mod web;

pub use self::access::{OnProgress, Progress, Stage, WebStores, WeightsAccess, WeightsStores};
pub use self::address::FolderAddress;
pub use self::cached::{CachedWeights, FileState, FileStatus, Verdict};
pub(crate) use self::fingerprint::Fingerprint;
pub use self::folder::WeightsFolder;
pub use self::imagenet::{BASE_URL_VARIABLE, DEFAULT_BASE_URL};
pub(crate) use self::model_folder::{LoadedFolder, ModelFolder};
#[cfg(feature = "onnx")]
pub(crate) use self::onnx_file::{LoadedOnnx, OnnxFile};
pub use self::read::Weights;
#[cfg(test)]
pub(crate) use self::shards::NumbersOf;
pub use self::spec::WeightsSpec;
pub use self::url::WeightsUrl;
#[cfg(feature = "http")]
pub use self::web::hub;
