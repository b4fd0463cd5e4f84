//! Networks in ONNX files, run by ONNX Runtime, with the crate feature `onnx`.
//!
//! The library is not part of the build: `ORT_DYLIB_PATH` names it (`libonnxruntime.so`, `onnxruntime.dll`,
//! `libonnxruntime.dylib`), else the system's loader looks for it. Version 1.18 and all later ones will do.
//! The wheel of Python has it: `pip install onnxruntime`, then
//! `site-packages/onnxruntime/capi/libonnxruntime.so.<version>`.
//!
//! # What is asked of a file
//!
//! * One input of f32, N×3×H×W or N×H×W×3, which is told from where the 3 is. N is free or 1. H and W are equal
//!   or free; free ones are what `input_size` or the preprocessing says.
//! * One output of f32 of two dimensions, or the name of an output in the place of `pooling`. Of more dimensions,
//!   it is flattened in the graph's order.
//! * Weights in the file, or in files beside it (`mine.onnx.data`) that it names.
//! * A `preprocessor_config.json` beside it, or the setting `featurize.onnx_preprocessing` with the same fields,
//!   which goes first. Without `image_processor_type`, no field has a default: nothing is guessed.
//!
//! Where it is not so, an error says what was found. The file is identified by its SHA-256; with files beside it,
//! by that of what `sha256sum` prints of all of them, in the order of their names.
//!
//! # Threads
//!
//! A file has one session in a process for each number of threads (`featurize.threads`), which all queries
//! share. It runs one image at a time on that many threads: features do not depend on how images are batched,
//! memory does not grow with batches, and whoever cancels waits for one image. Callers take turns by the
//! micro-batch.
//!
//! # Trust
//!
//! A graph is what its author made it: it is run within ONNX Runtime, in this process, and may ask for as much
//! memory and time as it likes. Take files from whom you trust, as with any program.

#[cfg(feature = "onnx")]
mod library;
#[cfg(feature = "onnx")]
mod network;
#[cfg(feature = "onnx")]
mod ports;
#[cfg(feature = "onnx")]
mod session;
mod spec;

#[cfg(feature = "onnx")]
pub(crate) use network::OnnxNetwork;
#[cfg(feature = "onnx")]
pub(crate) use session::Opened;
pub use spec::OnnxSpec;
