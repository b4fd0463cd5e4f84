//! Layers of a file that the network has not asked for: a classifier, or a sign that the file
//! belongs to another network.
//!
//! VGG19 has every layer of VGG16, and three more in between. Whoever takes the ones he knows gets
//! numbers that look like features and are none. So whatever a network leaves in a file needs a
//! reason to be there, and there is one: the classifier, which these features do without. How it is
//! told is [`Layout`]'s, in one place.

use std::collections::HashSet;
use std::fmt::Write;

use super::file::{Layout, OpenFile, Variable};
use crate::models::Architecture;

/// Layers that a message names.
const MOST_NAMED: usize = 6;

/// A layer of a file.
#[derive(Debug)]
struct Layer<'a> {
    name: &'a str,
    /// Those that were read, and those that were not.
    read: Vec<&'a Variable>,
    unread: Vec<&'a Variable>,
}

impl Layer<'_> {
    /// Sizes of the matrix of a fully connected layer, which has one and perhaps a vector to add.
    fn matrix(&self) -> Option<[usize; 2]> {
        let mut shapes = self.unread.iter().map(|v| v.shape.as_slice());
        let matrix = shapes.find_map(|shape| <[usize; 2]>::try_from(shape).ok());
        matrix.filter(|_| self.is_fully_connected())
    }

    fn is_fully_connected(&self) -> bool {
        let axes = |count| {
            let variables = self.unread.iter();
            variables.filter(|v| v.shape.len() == count).count()
        };
        axes(2) == 1 && axes(1) <= 1 && self.unread.len() == axes(2) + axes(1)
    }

    fn has_convolution(&self) -> bool {
        self.unread.iter().any(|v| v.shape.len() > 2)
    }
}

/// What tells a classifier from a layer in the middle of another network.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// It comes after every layer that was read.
    after: bool,
    /// It is fully connected and takes the features, or what another such layer makes of them. Those
    /// of squeeze and excitation take the channels of the maps in between.
    takes_features: bool,
    /// It is a part of a module of which something was read.
    within: bool,
}

impl Layout {
    /// Whether a layer of which nothing was read may be there.
    fn is_classifier(self, layer: &Layer<'_>, place: Place) -> bool {
        match self {
            Self::Ordered => place.after && !layer.has_convolution(),
            Self::Unordered => place.takes_features,
            Self::Torchvision => match module(layer.name) {
                "features" => false,
                // The second is timm's, which has convolutions of the size of the last map there.
                "classifier" | "pre_logits" | "head" => true,
                // InceptionV3's second classifier, which is only trained with.
                "AuxLogits" => true,
                _ => place.takes_features && !place.within,
            },
        }
    }
}

/// The outermost module of a layer.
fn module(layer: &str) -> &str {
    layer.split('.').next().unwrap_or(layer)
}

/// Which layers are fully connected and take features of so many channels, directly or by way of others.
fn classifiers(layers: &[Layer<'_>], channels: usize) -> Vec<bool> {
    let matrices: Vec<_> = layers.iter().map(Layer::matrix).collect();
    let mut found = vec![false; layers.len()];
    let mut given = HashSet::new();
    let takes = |size: usize, given: &HashSet<usize>| {
        given.contains(&size) || channels > 0 && size.is_multiple_of(channels)
    };
    loop {
        let before = given.len();
        for (matrix, found) in matrices.iter().zip(&mut found) {
            // Keras has inputs × outputs, PyTorch outputs × inputs.
            let Some([one, other]) = *matrix else {
                continue;
            };
            for (input, output) in [(one, other), (other, one)] {
                if takes(input, &given) {
                    *found = true;
                    given.insert(output);
                }
            }
        }
        if given.len() == before {
            return found;
        }
    }
}

/// What a file has that the network, which was built from it, lacks, and is no classifier.
pub(super) fn strangers(file: &OpenFile) -> Option<String> {
    let architecture = file.architecture;
    let variables = file.variables();
    let layers = layers(&variables);
    let last_read = layers.iter().rposition(|layer| !layer.read.is_empty());
    let (_, _, channels) = architecture.feature_map(architecture.image_side());
    let classifiers = classifiers(&layers, channels);
    let read = layers.iter().filter(|layer| !layer.read.is_empty());
    let modules: HashSet<&str> = read.map(|layer| module(layer.name)).collect();
    let strangers = layers.iter().enumerate().filter(|(index, layer)| {
        let place = Place {
            after: last_read.is_none_or(|last| *index > last),
            takes_features: classifiers[*index],
            within: modules.contains(module(layer.name)),
        };
        let known = layer.unread.is_empty()
            || layer.read.is_empty() && file.layout().is_classifier(layer, place);
        !known
    });
    let mut unread = strangers.flat_map(|(_, layer)| &layer.unread);
    let mut named: Vec<String> = (&mut unread)
        .take(MOST_NAMED)
        .map(|variable| format!("{} {:?}", variable.name, variable.shape))
        .collect();
    if named.is_empty() {
        return None;
    }
    let more = unread.count();
    if more > 0 {
        named.push(format!("{more} more"));
    }
    Some(format!(
        "the file has layers that {architecture} lacks and that are no classifier: {}; its features \
         would be wrong{}",
        named.join(", "),
        resemblance(file)
    ))
}

/// What network a file that is none of the one asked for seems to belong to, as the end of a sentence.
pub(super) fn resemblance(file: &OpenFile) -> String {
    let variables = file.variables();
    let layers = layers(&variables);
    let has_marker = |marker: &&str| {
        let below = |rest: &str| rest.is_empty() || rest.starts_with(['.', '_', '/']);
        let mut names = layers.iter().map(|layer| layer.name);
        names.any(|name| name.strip_prefix(marker).is_some_and(below))
    };
    let mut text = String::new();
    // Writing to a string cannot fail.
    if let Some(outer) = layers.iter().find(|layer| is_model(layer)) {
        let name = outer.name.split('/').next().unwrap_or(outer.name);
        let _ = write!(
            text,
            ". The network seems to be a model inside the model, its layer '{name}': save that one \
             by itself (model.get_layer('{name}').save_weights('w.weights.h5'))"
        );
    } else if let Some((name, _)) = LARGER.iter().find(|(_, m)| m.iter().all(has_marker)) {
        let _ = write!(text, ". It looks like {name}");
    } else if let Some(other) = Architecture::ALL
        .into_iter()
        .find(|other| *other != file.architecture && file.fits(*other))
    {
        let _ = write!(
            text,
            ". It looks like {other}: model => '{other}' asks for that"
        );
    } else if let Some((name, _)) = MARKERS.iter().find(|(_, m)| m.iter().all(has_marker)) {
        let _ = write!(text, ". It looks like {name}");
    }
    text
}

/// Whether a layer is a model of its own.
fn is_model(layer: &Layer<'_>) -> bool {
    let all = layer.read.iter().chain(&layer.unread);
    layer.name.contains("/layers/") || all.filter(|v| v.shape.len() > 2).count() > 2
}

/// Layers by which networks are known that have all of one of ours, and more.
const LARGER: [(&str, &[&str]); 5] = [
    ("VGG19", &["block5_conv4"]),
    ("VGG19", &["features.32", "features.34"]),
    (
        "a VGG with batch normalisation",
        &["features.1", "features.25"],
    ),
    ("ResNet101 or ResNet152", &["conv4_block7_1_conv"]),
    ("ResNet101 or ResNet152", &["layer3.6.conv1"]),
];

/// Layers by which networks are known that are none of ours, the names of Keras and of torchvision.
const MARKERS: [(&str, &[&str]); 16] = [
    (
        "a ResNet of the second version",
        &["conv2_block1_preact_bn"],
    ),
    ("a ResNet", &["conv2_block1_0_conv"]),
    ("a ResNet", &["res2a_branch2a"]),
    ("a ResNet", &["layer1.0.conv1"]),
    ("a DenseNet", &["conv2_block1_0_bn"]),
    ("a DenseNet", &["features.denseblock1"]),
    ("MobileNet (the first)", &["conv_dw_1"]),
    ("MobileNetV3", &["expanded_conv_1_expand"]),
    ("an EfficientNet", &["block2a_expand_conv"]),
    ("an EfficientNet or MobileNetV3", &["features.1.0.block"]),
    ("MobileNetV3", &["features.1.block"]),
    ("Xception", &["block14_sepconv2"]),
    ("InceptionResNetV2", &["conv_7b"]),
    ("InceptionV3", &["conv2d_93"]),
    ("InceptionV3", &["Mixed_7c"]),
    ("a vision transformer", &["encoder.layers.encoder_layer_0"]),
];

/// The variables by their layers, in the order in which each is first met.
fn layers(variables: &[(Variable, bool)]) -> Vec<Layer<'_>> {
    let mut layers: Vec<Layer<'_>> = Vec::new();
    for (variable, is_read) in variables {
        let index = layers
            .iter()
            .rposition(|layer| layer.name == variable.layer);
        let index = index.unwrap_or_else(|| {
            layers.push(Layer {
                name: &variable.layer,
                read: Vec::new(),
                unread: Vec::new(),
            });
            layers.len() - 1
        });
        if let Some(layer) = layers.get_mut(index) {
            let side = if *is_read {
                &mut layer.read
            } else {
                &mut layer.unread
            };
            side.push(variable);
        }
    }
    layers
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Result as TensorResult, Tensor};
    use candle_nn::var_builder::SimpleBackend;
    use proptest::prelude::*;

    use super::*;
    use crate::weights::file::{FileTensors, Location, TensorFile};

    /// A file without numbers.
    #[derive(Debug)]
    struct Names(Layout, Vec<Variable>);

    impl TensorFile for Names {
        fn locate(&self, layer: &str, module: &str, variable: &str) -> Location {
            let layer = if self.0 == Layout::Torchvision {
                module
            } else {
                layer
            };
            let name = format!("{layer}.{variable}");
            Location { name, axes: None }
        }

        fn read(&self, _: &str, device: &Device) -> TensorResult<Option<Tensor>> {
            Tensor::zeros(1, DType::F32, device).map(Some)
        }

        fn layout(&self) -> Layout {
            self.0
        }

        fn variables(&self) -> Vec<Variable> {
            self.1.clone()
        }
    }

    fn variable(layer: &str, name: &str, shape: Vec<usize>) -> Variable {
        Variable {
            layer: layer.to_owned(),
            name: format!("{layer}.{name}"),
            shape,
        }
    }

    /// What is said of a file with the layers of `architecture`, all of them read, and others among
    /// them.
    fn said(
        architecture: Architecture,
        layout: Layout,
        others: &[(usize, Variable)],
    ) -> Option<String> {
        let names = architecture.layer_names().into_iter();
        let names = names.map(|(keras, torch)| match layout {
            Layout::Torchvision => torch,
            _ => keras,
        });
        let known: Vec<Variable> = names
            .map(|layer| variable(&layer, "kernel", vec![3, 3, 8, 8]))
            .collect();
        let mut all = known.clone();
        for (place, other) in others {
            all.insert((*place).min(all.len()), other.clone());
        }
        let file = OpenFile::new(Box::new(Names(layout, all)), architecture);
        for variable in &known {
            let tensors = FileTensors(&file);
            let read = tensors.get_unchecked(&variable.name, DType::F32, &Device::Cpu);
            read.unwrap();
        }
        strangers(&file)
    }

    /// Others at places of their own; behind all that is read where layers have an order.
    fn placed<const N: usize>(
        layout: Layout,
        places: [prop::sample::Index; N],
        others: [Variable; N],
    ) -> Vec<(usize, Variable)> {
        let places = places.map(|place| match layout {
            Layout::Ordered => usize::MAX,
            _ => place.index(100),
        });
        places.into_iter().zip(others).collect()
    }

    fn layouts() -> impl Strategy<Value = Layout> {
        prop::sample::select(vec![
            Layout::Ordered,
            Layout::Unordered,
            Layout::Torchvision,
        ])
    }

    proptest! {
        /// Wherever a convolution stands and whatever it is called.
        #[test]
        fn no_convolution_is_left_out_in_silence(
            architecture in prop::sample::select(Architecture::ALL.to_vec()),
            layout in layouts(),
            place: prop::sample::Index,
            layer in "x[a-z_0-9]{0,12}",
            shape in prop::collection::vec(1_usize..9, 3..5),
        ) {
            let other = variable(&layer, "weight", shape);
            let said = said(architecture, layout, &[(place.index(100), other)]);
            prop_assert!(said.is_some_and(|text| text.contains(&layer)));
        }

        /// It takes the features, flattened or not, and stands behind them where layers have an order.
        #[test]
        fn a_classifier_is_no_stranger(
            architecture in prop::sample::select(Architecture::ALL.to_vec()),
            layout in layouts(),
            places: [prop::sample::Index; 4],
            layer in "x[a-z_0-9]{0,12}",
            positions in 1_usize..50,
            sizes in [1_usize..5000, 1_usize..5000],
        ) {
            let (_, _, channels) = architecture.feature_map(architecture.image_side());
            let second = format!("y{layer}");
            let others = [
                variable(&layer, "kernel", vec![positions * channels, sizes[0]]),
                variable(&layer, "bias", vec![sizes[0]]),
                variable(&second, "kernel", vec![sizes[0], sizes[1]]),
                variable(&second, "bias", vec![sizes[1]]),
            ];
            prop_assert_eq!(said(architecture, layout, &placed(layout, places, others)), None);
        }

        /// Matrices that take the channels of maps in between, as in squeeze and excitation.
        #[test]
        fn matrices_in_between_are_strangers(
            architecture in prop::sample::select(Architecture::ALL.to_vec()),
            layout in layouts(),
            places: [prop::sample::Index; 2],
            layer in "x[a-z_0-9]{0,12}",
            channels in 1_usize..300,
            divisor in 1_usize..16,
        ) {
            let squeezed = channels.div_ceil(divisor);
            let others = [
                variable(&layer, "kernel", vec![channels, squeezed]),
                variable(&format!("y{layer}"), "kernel", vec![squeezed, channels]),
            ];
            let mut others = placed(Layout::Unordered, places, others);
            if layout == Layout::Ordered {
                // Not behind what is read.
                others.iter_mut().for_each(|(place, _)| *place = 0);
            }
            let said = said(architecture, layout, &others);
            prop_assert!(said.is_some_and(|text| text.contains(&layer)));
        }
    }
}
