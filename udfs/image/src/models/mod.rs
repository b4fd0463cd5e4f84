//! The networks: one file of layers and names each.

mod blueprint;
mod candle;
mod inception_v3;
mod load;
mod mobilenet_v2;
pub mod onnx;
mod resnet50;
mod spec;
pub(crate) mod transformer;
mod vgg16;

use std::fmt;

use candle_core::{Device, Error as TensorError};
use candle_nn::VarBuilder;
use featurize_kernels::Graph;
pub use featurize_kernels::Pooling;

use self::blueprint::Blueprint;
use self::candle::Planes;
pub use self::onnx::OnnxSpec;
pub(crate) use self::spec::check_pooling;
pub use self::spec::{ModelSpec, TransformerSpec};
pub use self::transformer::Published;
use crate::conventions::{Conventions, Library};
use crate::error::{Error, Result};
use crate::pool::Workers;
use crate::preprocess::Preprocessing;

/// What there is to know about a network. Of a pair, the first is Keras's, the second torchvision's.
struct Spec {
    /// Name in SQL.
    name: &'static str,
    /// Where Keras Applications publishes its weights, and the MD5 that it checks.
    keras_folder: &'static str,
    keras_file: &'static str,
    keras_md5: Option<&'static str>,
    /// Height and width of the images that it was made for, and the least that it can take.
    side: usize,
    least_side: usize,
    /// Where none is given.
    pooling: Pooling,
    preprocessing: (Preprocessing, Preprocessing),
    /// What batch normalisation adds to the variance.
    epsilon: (f64, f64),
    /// Whether Keras counts its layers instead of naming them.
    counted: bool,
    describe: fn(&mut Blueprint),
}

/// A network this crate knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Architecture {
    /// Simonyan and Zisserman, "Very deep convolutional networks for large-scale image
    /// recognition", ICLR 2015, configuration D.
    Vgg16,
    /// Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018, with
    /// alpha 1.0.
    MobileNetV2,
    /// He et al., "Deep residual learning for image recognition", CVPR 2016: Keras's first version.
    ResNet50,
    /// Szegedy et al., "Rethinking the inception architecture for computer vision", CVPR 2016.
    InceptionV3,
    /// MobileNetV2 with alpha 0.35.
    MobileNetV2_035,
    /// MobileNetV2 with alpha 0.5.
    MobileNetV2_050,
    /// MobileNetV2 with alpha 0.75.
    MobileNetV2_075,
    /// MobileNetV2 with alpha 1.3.
    MobileNetV2_130,
    /// MobileNetV2 with alpha 1.4.
    MobileNetV2_140,
}

impl Architecture {
    /// Every network, in the order in which messages list them.
    pub const ALL: [Self; 9] = [
        Self::Vgg16,
        Self::MobileNetV2,
        Self::ResNet50,
        Self::InceptionV3,
        Self::MobileNetV2_035,
        Self::MobileNetV2_050,
        Self::MobileNetV2_075,
        Self::MobileNetV2_130,
        Self::MobileNetV2_140,
    ];

    const fn spec(self) -> &'static Spec {
        match self {
            Self::Vgg16 => &vgg16::SPEC,
            Self::MobileNetV2 => &mobilenet_v2::WIDTH_100,
            Self::ResNet50 => &resnet50::SPEC,
            Self::InceptionV3 => &inception_v3::SPEC,
            Self::MobileNetV2_035 => &mobilenet_v2::WIDTH_035,
            Self::MobileNetV2_050 => &mobilenet_v2::WIDTH_050,
            Self::MobileNetV2_075 => &mobilenet_v2::WIDTH_075,
            Self::MobileNetV2_130 => &mobilenet_v2::WIDTH_130,
            Self::MobileNetV2_140 => &mobilenet_v2::WIDTH_140,
        }
    }

    /// Name in SQL.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// The network of this name.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] that lists the names and suggests the nearest.
    pub fn parse(text: &str) -> Result<Self> {
        choose(
            "model",
            text,
            &Self::ALL.map(|each| (each.name(), each)),
            "",
        )
    }

    /// Height and width of the images that the network was made for.
    pub fn image_side(self) -> usize {
        self.spec().side
    }

    /// The size of images to feed the network: `side`, or its own.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the network cannot take it.
    pub fn side(self, side: Option<usize>) -> Result<usize> {
        let least = self.spec().least_side;
        match side {
            Some(side) if !(least..=MOST_SIDE).contains(&side) => Err(Error::Argument(format!(
                "{self} takes images of {least} to {MOST_SIDE} pixels a side, found {side}"
            ))),
            side => Ok(side.unwrap_or_else(|| self.spec().side)),
        }
    }

    /// Shape (height, width, channels) of the last feature map for images of this side, which is the
    /// same by all conventions.
    pub fn feature_map(self, side: usize) -> (usize, usize, usize) {
        self.blueprint(Library::Keras)
            .feature_map(side)
            .unwrap_or_default()
    }

    /// What `pooling` means where it is not given.
    pub fn default_pooling(self) -> Pooling {
        self.spec().pooling
    }

    /// Preprocessing that goes with weights of a library.
    pub fn preprocessing(self, library: Library) -> Preprocessing {
        match library {
            Library::Keras => self.spec().preprocessing.0,
            Library::Torchvision => self.spec().preprocessing.1,
        }
    }

    /// Folder and name of the weights file of Keras Applications, without the top.
    pub fn keras_file(self) -> (&'static str, &'static str) {
        (self.spec().keras_folder, self.spec().keras_file)
    }

    /// The MD5 that Keras checks, if it does.
    pub(crate) fn keras_md5(self) -> Option<&'static str> {
        self.spec().keras_md5
    }

    /// Whether Keras counts its layers instead of naming them.
    pub(crate) fn is_counted(self) -> bool {
        self.spec().counted
    }

    fn blueprint(self, library: Library) -> Blueprint {
        let mut blueprint = Blueprint::new(library);
        (self.spec().describe)(&mut blueprint);
        blueprint
    }

    /// Builds the network for images of this side from its variables, which are read into memory.
    pub(crate) fn build(
        self,
        variables: &VarBuilder<'_>,
        conventions: Conventions,
        side: usize,
        implementation: Implementation,
    ) -> candle_core::Result<Network> {
        let blueprint = self.blueprint(conventions.library);
        let (keras, torchvision) = self.spec().epsilon;
        let epsilon = blueprint.either(keras, torchvision);
        let (graph, parameter_count) = load::load(&blueprint, variables, epsilon)?;
        Network::new(graph, parameter_count, side, implementation)
    }

    /// Name of the layer number `ordinal` (from 0) of its kind.
    pub(crate) fn layer(self, kind: LayerKind, ordinal: usize) -> Option<String> {
        let blueprint = self.blueprint(Library::Keras);
        let layers = blueprint.layers().into_iter();
        let mut of_kind = layers.filter(|(other, _)| *other == kind);
        of_kind.nth(ordinal).map(|(_, (name, _))| name.clone())
    }

    /// The layers with variables, by their names in Keras and in torchvision.
    pub(crate) fn layer_names(self) -> Vec<(String, String)> {
        let blueprint = self.blueprint(Library::Keras);
        let layers = blueprint.layers().into_iter();
        layers.map(|(_, names)| names.clone()).collect()
    }

    /// The variables with their shapes, by the names of Keras.
    pub(crate) fn variables(self, library: Library) -> Vec<(String, Vec<usize>)> {
        let blueprint = self.blueprint(library);
        let units = blueprint.units().into_iter();
        units.flat_map(|unit| unit.variables()).collect()
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Largest image that a network is fed, in pixels a side: what its feature maps take grows with the
/// square.
pub const MOST_SIDE: usize = 1024;

/// Who does the arithmetic.
#[derive(Debug, Clone)]
pub(crate) enum Implementation {
    /// The CPU kernels of `featurize_kernels`.
    Kernels,
    /// Candle's own operations, on any device.
    Candle(Device),
}

/// A network without its classifier, ready to run.
#[derive(Debug)]
pub(crate) struct Network {
    /// Trainable and other variables, as `model.summary()` counts them in Keras.
    pub(crate) parameter_count: usize,
    /// Height and width of an image.
    pub(crate) side: usize,
    /// Height, width and channels of what poolings read.
    shapes: Vec<(Pooling, (usize, usize, usize))>,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Kernels(Box<featurize_kernels::Network>),
    Candle(Planes),
    #[cfg(feature = "onnx")]
    Onnx(onnx::OnnxNetwork),
}

impl Network {
    /// Makes a graph ready for images of this side.
    pub(crate) fn new(
        graph: Graph,
        parameter_count: usize,
        side: usize,
        implementation: Implementation,
    ) -> candle_core::Result<Self> {
        let shapes = graph.shapes((side, side)).map_err(TensorError::wrap)?;
        let read = |pooling| {
            let (node, skip) = graph.reading(pooling)?;
            let (height, width, channels) = *shapes.get(graph.index(node))?;
            Some((pooling, (height, width.checked_sub(skip)?, channels)))
        };
        let shapes: Vec<_> = Pooling::ALL.into_iter().filter_map(read).collect();
        let body = match implementation {
            Implementation::Kernels => {
                let network = graph.plan((side, side)).map_err(TensorError::wrap)?;
                log::debug!(
                    "{side} pixels: {} MB of packed weights, {} MB for each worker, {:?}",
                    network.packed_bytes() >> 20,
                    network.workspace_bytes() >> 20,
                    network.isa()
                );
                Body::Kernels(Box::new(network))
            }
            Implementation::Candle(device) => Body::Candle(Planes::new(graph, device)?),
        };
        Ok(Self {
            parameter_count,
            side,
            shapes,
            body,
        })
    }

    /// One output of an ONNX file: nothing but [`Pooling::None`] reads it.
    #[cfg(feature = "onnx")]
    pub(crate) fn of_onnx(network: onnx::OnnxNetwork, parameter_count: usize) -> Self {
        Self {
            parameter_count,
            side: network.side(),
            shapes: vec![(Pooling::None, (1, 1, network.values()))],
            body: Body::Onnx(network),
        }
    }

    /// Height, width and channels of what a pooling reads, if there is something.
    pub(crate) fn shape(&self, pooling: Pooling) -> Option<(usize, usize, usize)> {
        let mut shapes = self.shapes.iter();
        let (_, shape) = shapes.find(|(other, _)| *other == pooling)?;
        Some(*shape)
    }

    /// The poolings that there are.
    pub(crate) fn poolings(&self) -> Vec<Pooling> {
        self.shapes.iter().map(|(pooling, _)| *pooling).collect()
    }

    /// Computes preprocessed images (n, height, width, 3), row-major, into the values that `pooling`
    /// makes of each, on `workers`, until they are told to stop.
    pub(crate) fn run(
        &self,
        images: &[f32],
        count: usize,
        pooling: Pooling,
        out: &mut [f32],
        workers: Workers<'_>,
    ) -> candle_core::Result<()> {
        match &self.body {
            Body::Kernels(network) => {
                let Workers { pool, cancel } = workers;
                let done = network.run(images, count, pooling, out, pool.kernels(), cancel);
                done.map_err(TensorError::wrap)
            }
            Body::Candle(planes) => {
                let shape = (count, self.side, self.side, 3);
                planes.run(images, shape, pooling, out, workers)
            }
            #[cfg(feature = "onnx")]
            Body::Onnx(network) => network.run(images, out, workers),
        }
    }
}

/// Kinds of layers that have variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum LayerKind {
    Conv2d,
    DepthwiseConv2d,
    BatchNormalization,
}

impl LayerKind {
    /// The kind of a Keras class in snake case.
    pub(crate) fn of_class(class: &str) -> Option<Self> {
        match class {
            "conv2d" => Some(Self::Conv2d),
            "depthwise_conv2d" => Some(Self::DepthwiseConv2d),
            "batch_normalization" => Some(Self::BatchNormalization),
            _ => None,
        }
    }

    /// Names of its variables, in the order in which Keras stores them.
    pub(crate) fn variables(self) -> &'static [&'static str] {
        match self {
            Self::Conv2d => &["kernel", "bias"],
            Self::DepthwiseConv2d => &["depthwise_kernel", "bias"],
            Self::BatchNormalization => &["gamma", "beta", "moving_mean", "moving_variance"],
        }
    }
}

/// Parses the `pooling` argument.
///
/// # Errors
///
/// [`Error::Argument`] that lists the names and suggests the nearest.
pub fn parse_pooling(text: &str) -> Result<Pooling> {
    choose(
        "pooling",
        text,
        &Pooling::ALL.map(|each| (each.name(), each)),
        "",
    )
}

/// Finds `text` among `choices`, or says which they are, what `more` there is, and which is nearest.
fn choose<T: Copy>(argument: &str, text: &str, choices: &[(&str, T)], more: &str) -> Result<T> {
    use datafusion_common::utils::datafusion_strsim::levenshtein;

    if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == text) {
        return Ok(*choice);
    }
    let names: Vec<String> = choices
        .iter()
        .map(|(name, _)| format!("'{name}'"))
        .collect();
    let nearest = choices
        .iter()
        .map(|(name, _)| (levenshtein(&text.to_lowercase(), name), name))
        .filter(|(distance, name)| *distance <= text.len().max(name.len()).div_ceil(2))
        .min()
        .map(|(_, name)| format!("; did you mean '{name}'?"))
        .unwrap_or_default();
    Err(Error::Argument(format!(
        "unknown {argument} '{text}', expected one of {}{}{nearest}",
        names.join(", "),
        more
    )))
}

#[cfg(test)]
mod tests;
