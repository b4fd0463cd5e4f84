//! A network before it has numbers: its layers, what they are called, and how they are joined.

use featurize_kernels::{Activation, Window};

use super::layer_kind::LayerKind;
use crate::library::Library;

/// The result of an item of a [`Blueprint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(pub(super) usize);

/// The images.
pub(super) const IMAGES: Place = Place(0);
/// Colour channels of an image.
const COLOURS: usize = 3;

/// Layers that are computed as one, or a join.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Images,
    Unit(Unit),
    MaxPool(Place, Window),
    /// Over what lies within the image in Keras, and over the whole window in torchvision.
    AveragePool(Place, Window),
    Add([Place; 2], Activation),
    Concat(Vec<Place>),
}

/// A convolution, and what follows it.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    pub(super) input: Place,
    /// Names in Keras and in torchvision.
    pub(super) names: (String, String),
    pub(super) norm: Option<Norm>,
    pub(super) bias: bool,
    /// Each channel by itself.
    pub(super) depthwise: bool,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) window: Window,
    pub(super) activation: Activation,
}

/// A batch normalisation.
#[derive(Debug, Clone)]
pub(super) struct Norm {
    /// Names in Keras and in torchvision.
    pub(super) names: (String, String),
    /// Whether there is a gamma, in this library.
    pub(super) gamma: bool,
}

/// A network by a library's conventions.
#[derive(Debug, Clone)]
pub(super) struct Blueprint {
    pub(super) library: Library,
    /// Each with its channels.
    pub(super) items: Vec<(Item, usize)>,
}

impl Blueprint {
    pub(super) fn new(library: Library) -> Self {
        Self {
            library,
            items: vec![(Item::Images, COLOURS)],
        }
    }

    /// Takes what Keras does, or what torchvision does.
    pub(super) fn either<T>(&self, keras: T, torchvision: T) -> T {
        match self.library {
            Library::Keras => keras,
            Library::Torchvision => torchvision,
        }
    }

    pub(super) fn channels(&self, place: Place) -> usize {
        self.items.get(place.0).map_or(0, |(_, channels)| *channels)
    }

    fn push(&mut self, item: Item, channels: usize) -> Place {
        self.items.push((item, channels));
        Place(self.items.len() - 1)
    }

    /// Adds a convolution with a bias.
    pub(super) fn conv(
        &mut self,
        input: Place,
        names: (String, String),
        outputs: usize,
        window: Window,
        activation: Activation,
    ) -> Place {
        let unit = Unit {
            input,
            names,
            norm: None,
            bias: true,
            depthwise: false,
            inputs: self.channels(input),
            outputs,
            window,
            activation,
        };
        self.push(Item::Unit(unit), outputs)
    }

    /// Adds a convolution without bias, and a batch normalisation.
    pub(super) fn conv_norm(
        &mut self,
        input: Place,
        names: (String, String),
        norm: (String, String),
        outputs: usize,
        window: Window,
        activation: Activation,
    ) -> Place {
        let place = self.conv(input, names, outputs, window, activation);
        self.change(place, |unit| {
            unit.bias = false;
            unit.norm = Some(Norm {
                names: norm,
                gamma: true,
            });
        })
    }

    /// Changes the convolution that was added last.
    pub(super) fn change(&mut self, place: Place, change: impl FnOnce(&mut Unit)) -> Place {
        if let Some((Item::Unit(unit), _)) = self.items.get_mut(place.0) {
            change(unit);
        }
        place
    }

    pub(super) fn max_pool(&mut self, input: Place, window: Window) -> Place {
        self.push(Item::MaxPool(input, window), self.channels(input))
    }

    pub(super) fn average_pool(&mut self, input: Place, window: Window) -> Place {
        self.push(Item::AveragePool(input, window), self.channels(input))
    }

    pub(super) fn add(&mut self, inputs: [Place; 2], activation: Activation) -> Place {
        self.push(Item::Add(inputs, activation), self.channels(inputs[0]))
    }

    pub(super) fn concat(&mut self, parts: Vec<Place>) -> Place {
        let channels = parts.iter().map(|part| self.channels(*part)).sum();
        self.push(Item::Concat(parts), channels)
    }

    /// Height, width and channels of the last map for images of this side; `None` if they are too
    /// small.
    pub(super) fn feature_map(&self, side: usize) -> Option<(usize, usize, usize)> {
        let mut sizes: Vec<(usize, usize)> = Vec::with_capacity(self.items.len());
        for (item, _) in &self.items {
            let of = |place: &Place| sizes.get(place.0).copied();
            let size = match item {
                Item::Images => (side, side),
                Item::Unit(unit) => unit.window.output(of(&unit.input)?)?,
                Item::MaxPool(input, window) | Item::AveragePool(input, window) => {
                    window.output(of(input)?)?
                }
                Item::Add(inputs, _) => of(&inputs[0])?,
                Item::Concat(parts) => of(parts.first()?)?,
            };
            sizes.push(size);
        }
        let (height, width) = *sizes.last()?;
        Some((height, width, self.items.last()?.1))
    }

    /// The units in the order of `model.layers` in Keras: the longest way to the result first, and of
    /// the same length the one that is met first on the way back from the result.
    pub(super) fn units(&self) -> Vec<&Unit> {
        let mut depths = vec![0; self.items.len()];
        for (index, (item, _)) in self.items.iter().enumerate().rev() {
            let depth = depths[index] + item.layers();
            for input in item.inputs() {
                depths[input.0] = depths[input.0].max(depth);
            }
        }
        let mut met = Vec::new();
        self.meet(self.items.len() - 1, &mut met);
        // A unit's convolution is as deep as what comes before its last layer.
        met.sort_by_key(|index| std::cmp::Reverse(depths[*index] + self.items[*index].0.layers()));
        let items = met.into_iter().map(|index| &self.items[index].0);
        items
            .filter_map(|item| match item {
                Item::Unit(unit) => Some(unit),
                _ => None,
            })
            .collect()
    }

    fn meet(&self, index: usize, met: &mut Vec<usize>) {
        if !met.contains(&index) {
            met.push(index);
            for input in self.items[index].0.inputs() {
                self.meet(input.0, met);
            }
        }
    }

    /// Layers with variables in Keras's order: kind, and names in Keras and torchvision.
    pub(super) fn layers(&self) -> Vec<(LayerKind, &(String, String))> {
        let mut layers = Vec::new();
        for unit in self.units() {
            let kind = if unit.depthwise {
                LayerKind::DepthwiseConv2d
            } else {
                LayerKind::Conv2d
            };
            layers.push((kind, &unit.names));
            let norm = unit.norm.as_ref();
            layers.extend(norm.map(|norm| (LayerKind::BatchNormalization, &norm.names)));
        }
        layers
    }
}

impl Item {
    /// What it reads.
    fn inputs(&self) -> Vec<Place> {
        match self {
            Self::Images => Vec::new(),
            Self::Unit(unit) => vec![unit.input],
            Self::MaxPool(input, _) | Self::AveragePool(input, _) => vec![*input],
            Self::Add(inputs, _) => inputs.to_vec(),
            Self::Concat(parts) => parts.clone(),
        }
    }

    /// Layers that Keras makes of it.
    fn layers(&self) -> usize {
        let of = |activation: &Activation| usize::from(*activation != Activation::Linear);
        match self {
            Self::Unit(unit) if unit.norm.is_some() => 2 + of(&unit.activation),
            Self::Add(_, activation) => 1 + of(activation),
            _ => 1,
        }
    }
}

impl Unit {
    /// The variables with their shapes in Keras, by the names of Keras's layers.
    pub(super) fn variables(&self) -> Vec<(String, Vec<usize>)> {
        let (layer, outputs) = (&self.names.0, self.outputs);
        let (height, width) = self.window.size;
        let mut variables = vec![if self.depthwise {
            (
                format!("{layer}.depthwise_kernel"),
                vec![height, width, self.inputs, 1],
            )
        } else {
            (
                format!("{layer}.kernel"),
                vec![height, width, self.inputs, outputs],
            )
        }];
        if self.bias {
            variables.push((format!("{layer}.bias"), vec![outputs]));
        }
        if let Some(norm) = &self.norm {
            let names = ["gamma", "beta", "moving_mean", "moving_variance"];
            let names = names.into_iter().skip(usize::from(!norm.gamma));
            let (layer, _) = &norm.names;
            variables.extend(names.map(|name| (format!("{layer}.{name}"), vec![outputs])));
        }
        variables
    }
}
