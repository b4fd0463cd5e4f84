//! The networks: one file of layers and names each.

mod architecture;
mod blueprint;
mod candle;
mod choice;
mod facts;
mod inception_v3;
mod layer_kind;
mod load;
mod mobilenet_v2;
mod network;
pub mod onnx;
mod resnet50;
mod spec;
pub(crate) mod transformer;
mod vgg16;

pub use featurize_kernels::Pooling;

pub use self::architecture::{Architecture, MOST_SIDE};
pub use self::choice::parse_pooling;
pub(crate) use self::layer_kind::LayerKind;
pub(crate) use self::network::{Implementation, Network};
pub use self::onnx::OnnxSpec;
pub(crate) use self::spec::check_pooling;
pub use self::spec::{ModelSpec, TransformerSpec};
pub use self::transformer::Published;

#[cfg(test)]
mod tests;
