//! The networks that have names.

use std::fmt;

use featurize_kernels::Pooling;

use super::blueprint::Blueprint;
use super::choice::choose;
use super::facts::Facts;
use super::layer_kind::LayerKind;
use super::{inception_v3, mobilenet_v2, resnet50, vgg16};
use crate::error::{Error, Result};
use crate::library::Library;
use crate::preprocess::Preprocessing;

/// Largest image that a network is fed, in pixels a side: what its feature maps take grows with the
/// square.
pub const MOST_SIDE: usize = 1024;

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

    pub(super) const fn facts(self) -> &'static Facts {
        match self {
            Self::Vgg16 => &vgg16::FACTS,
            Self::MobileNetV2 => &mobilenet_v2::WIDTH_100,
            Self::ResNet50 => &resnet50::FACTS,
            Self::InceptionV3 => &inception_v3::FACTS,
            Self::MobileNetV2_035 => &mobilenet_v2::WIDTH_035,
            Self::MobileNetV2_050 => &mobilenet_v2::WIDTH_050,
            Self::MobileNetV2_075 => &mobilenet_v2::WIDTH_075,
            Self::MobileNetV2_130 => &mobilenet_v2::WIDTH_130,
            Self::MobileNetV2_140 => &mobilenet_v2::WIDTH_140,
        }
    }

    /// Name in SQL.
    pub fn name(self) -> &'static str {
        self.facts().name
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
        self.facts().side
    }

    /// The size of images to feed the network: `side`, or its own.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the network cannot take it.
    pub fn side(self, side: Option<usize>) -> Result<usize> {
        let least = self.facts().least_side;
        match side {
            Some(side) if !(least..=MOST_SIDE).contains(&side) => Err(Error::Argument(format!(
                "{self} takes images of {least} to {MOST_SIDE} pixels a side, found {side}"
            ))),
            side => Ok(side.unwrap_or_else(|| self.facts().side)),
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
        self.facts().pooling
    }

    /// Preprocessing that goes with weights of a library.
    pub fn preprocessing(self, library: Library) -> Preprocessing {
        match library {
            Library::Keras => self.facts().preprocessing.0,
            Library::Torchvision => self.facts().preprocessing.1,
        }
    }

    /// Folder and name of the weights file of Keras Applications, without the top.
    pub fn keras_file(self) -> (&'static str, &'static str) {
        (self.facts().keras_folder, self.facts().keras_file)
    }

    /// The MD5 that Keras checks, if it does.
    pub(crate) fn keras_md5(self) -> Option<&'static str> {
        self.facts().keras_md5
    }

    /// Whether Keras counts its layers instead of naming them.
    pub(crate) fn is_counted(self) -> bool {
        self.facts().counted
    }

    pub(super) fn blueprint(self, library: Library) -> Blueprint {
        let mut blueprint = Blueprint::new(library);
        (self.facts().describe)(&mut blueprint);
        blueprint
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
