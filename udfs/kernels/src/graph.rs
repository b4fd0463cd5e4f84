//! A network as data: layers and what each reads, with their numbers, for images of any size.

use crate::activation::Activation;
use crate::elementwise::Pooling;
use crate::error::{KernelError, Result, check_len};
use crate::simd::LANES;

/// Height, width and channels.
pub(crate) type Shape = (usize, usize, usize);

/// A layer of a [`Graph`], or its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node(pub(crate) usize);

/// What lies around an image where a window reaches beyond it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// As much as leaves ⌈size ÷ stride⌉ outputs, the odd one at the end: TensorFlow's `same`.
    Same,
    /// So many rows above and below, and columns on the left and on the right.
    Zeros(usize, usize),
}

/// How a window moves over an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Height and width.
    pub size: (usize, usize),
    /// Step in both directions.
    pub stride: usize,
    /// What is around the image.
    pub padding: Padding,
}

impl Window {
    /// A window of one pixel.
    pub const POINT: Self = Self::new(1, 1, Padding::Zeros(0, 0));

    /// A square window.
    pub const fn new(size: usize, stride: usize, padding: Padding) -> Self {
        Self {
            size: (size, size),
            stride,
            padding,
        }
    }

    /// Rows before and after an image of this height and width, and columns before and after.
    pub fn zeros(&self, (height, width): (usize, usize)) -> [(usize, usize); 2] {
        let along = |extent: usize, size: usize, fixed: usize| match self.padding {
            Padding::Zeros(..) => (fixed, fixed),
            Padding::Same => {
                let outputs = extent.div_ceil(self.stride.max(1)).max(1);
                let all = ((outputs - 1) * self.stride + size).saturating_sub(extent);
                (all / 2, all - all / 2)
            }
        };
        let (rows, columns) = match self.padding {
            Padding::Same => (0, 0),
            Padding::Zeros(rows, columns) => (rows, columns),
        };
        [
            along(height, self.size.0, rows),
            along(width, self.size.1, columns),
        ]
    }

    /// Height and width of what it makes of an image, if it fits.
    pub fn output(&self, (height, width): (usize, usize)) -> Option<(usize, usize)> {
        let [rows, columns] = self.zeros((height, width));
        let along = |extent: usize, (before, after): (usize, usize), size: usize| {
            let steps = (extent + before + after).checked_sub(size)?;
            Some(steps / self.stride + 1)
        };
        Some((
            along(height, rows, self.size.0)?,
            along(width, columns, self.size.1)?,
        ))
    }
}

/// A convolution with its bias and activation. Batch normalisation is to be folded into both.
#[derive(Debug, Clone)]
pub struct Conv {
    /// What it reads.
    pub input: Node,
    /// Height, width, input channel of the group, output channel, as Keras stores them. A depthwise
    /// kernel `[height, width, channel, 1]` is the same numbers in the same order.
    pub kernel: Vec<f32>,
    /// One for each output channel, whose number this tells.
    pub bias: Vec<f32>,
    /// How the kernel moves.
    pub window: Window,
    /// Groups of channels that do not see each other.
    pub groups: usize,
    /// What follows.
    pub activation: Activation,
}

/// What a layer computes, and from what.
#[derive(Debug, Clone)]
pub enum Layer {
    /// The images.
    Input,
    /// A convolution.
    Conv(Conv),
    /// The largest value within a window; what is around the image does not count.
    MaxPool(Node, Window),
    /// The mean within a window.
    AveragePool {
        /// What it reads.
        input: Node,
        /// How it moves.
        window: Window,
        /// Whether zeros around the image count, as in PyTorch, or not, as in TensorFlow.
        counts_zeros: bool,
    },
    /// The sum of two maps.
    Add([Node; 2], Activation),
    /// The channels of several maps, one after the other.
    Concat(Vec<Node>),
    /// Squares of so many pixels a side of the images, side by side: one row of them, whose channels are
    /// the pixels of a square in height, width, channel order. What is left at the end of rows and columns
    /// is left out.
    Patches(Node, usize),
    /// One row of tokens: some that are the same for every image, then those of a map.
    Tokens {
        /// The map, of one row.
        input: Node,
        /// Tokens before those of the map, one after the other.
        prefix: Vec<f32>,
        /// What is added to the tokens of the map, in their order.
        positions: Vec<f32>,
    },
    /// The channels of each pixel less their mean, over their standard deviation: Ba, Kiros and Hinton,
    /// "Layer normalization", 2016.
    Norm(Norm),
    /// Attention among the columns of a row.
    Attention(Attention),
    /// The first column of a row.
    First(Node),
}

/// A layer normalisation.
#[derive(Debug, Clone)]
pub struct Norm {
    /// What it reads.
    pub input: Node,
    /// Factors of the channels.
    pub gamma: Vec<f32>,
    /// Added to the channels.
    pub beta: Vec<f32>,
    /// Added to the variance.
    pub epsilon: f64,
}

/// `softmax(Q·Kᵀ)·V` for several heads: Vaswani et al., "Attention is all you need", NIPS 2017. A head has
/// a multiple of 16 channels; one that has fewer is filled up with zeros, in the layers around it.
#[derive(Debug, Clone)]
pub struct Attention {
    /// A map of one row. Its channels are the queries of all heads, the keys of all heads, and the values of
    /// all heads; or keys and values, if the queries are given.
    pub input: Node,
    /// Heads.
    pub heads: usize,
    /// Queries that are the same for every image, one after the other, with the channels of all heads.
    /// Queries are to be multiplied by the scale that is wanted.
    pub queries: Option<Vec<f32>>,
}

/// A network, not yet for any size of image.
///
/// Layers are added in an order in which each comes after those that it reads; the last one is the
/// result. [`Graph::plan`] makes it ready to run.
#[derive(Debug, Clone)]
pub struct Graph {
    /// Each with its channels.
    pub(crate) layers: Vec<(Layer, usize)>,
    /// Maps that poolings read, and the columns of a row that they pass over.
    pub(crate) reads: Vec<(Pooling, Node, usize)>,
}

impl Graph {
    /// A network for images of so many channels.
    pub fn new(channels: usize) -> Self {
        Self {
            layers: vec![(Layer::Input, channels)],
            reads: Vec::new(),
        }
    }

    /// Lets a pooling read a layer's map, less the first `skip` columns of each row. Where nothing is said,
    /// [`Pooling::None`], [`Pooling::Avg`] and [`Pooling::Max`] read all of the last layer's, and the others
    /// are not to be had.
    pub fn read(&mut self, pooling: Pooling, node: Node, skip: usize) {
        self.reads.retain(|(other, ..)| *other != pooling);
        self.reads.push((pooling, node, skip));
    }

    /// The map that a pooling reads, and the columns of a row that it passes over.
    pub fn reading(&self, pooling: Pooling) -> Option<(Node, usize)> {
        let said = self.reads.iter().find(|(other, ..)| *other == pooling);
        let last = Node(self.layers.len() - 1);
        match pooling {
            Pooling::Cls | Pooling::Projection => said.map(|(_, node, skip)| (*node, *skip)),
            _ => Some(said.map_or((last, 0), |(_, node, skip)| (*node, *skip))),
        }
    }

    /// The images.
    pub fn input(&self) -> Node {
        Node(0)
    }

    /// The layers in their order; the first is [`Layer::Input`].
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter().map(|(layer, _)| layer)
    }

    /// Place of a layer among [`Graph::layers`].
    pub fn index(&self, node: Node) -> usize {
        node.0
    }

    /// Channels that a layer gives.
    pub fn channels(&self, node: Node) -> usize {
        self.layers.get(node.0).map_or(0, |(_, channels)| *channels)
    }

    /// Adds a layer.
    ///
    /// # Errors
    /// [`KernelError::Length`] if a kernel does not fit the channels, [`KernelError::Shape`] if
    /// channels, groups or a window make no sense.
    pub fn push(&mut self, layer: Layer) -> Result<Node> {
        let inputs = inputs(&layer);
        if inputs.is_empty() || inputs.iter().any(|input| input.0 >= self.layers.len()) {
            return Err(self.misfit("a layer must read layers that were added before it"));
        }
        let windows = match &layer {
            Layer::Conv(Conv { window, .. })
            | Layer::MaxPool(_, window)
            | Layer::AveragePool { window, .. } => Some(window),
            _ => None,
        };
        if windows.is_some_and(|w| w.size.0.min(w.size.1).min(w.stride) == 0) {
            return Err(self.misfit("the sides of a window and its stride must be at least 1"));
        }
        let channels = match &layer {
            Layer::Conv(conv) => self.check_conv(conv)?,
            Layer::Add(..)
                if inputs
                    .iter()
                    .any(|i| self.channels(*i) != self.channels(inputs[0])) =>
            {
                return Err(self.misfit("maps that are added must have the same channels"));
            }
            Layer::Concat(parts) => parts.iter().map(|part| self.channels(*part)).sum(),
            Layer::Patches(input, side) => {
                if *input != self.input() || *side == 0 {
                    return Err(
                        self.misfit("patches are of the images, and at least one pixel wide")
                    );
                }
                side * side * self.channels(*input)
            }
            Layer::Norm(norm) => {
                let channels = self.channels(norm.input);
                check_len("gamma", channels, norm.gamma.len())?;
                check_len("beta", channels, norm.beta.len())?;
                channels
            }
            Layer::Tokens { input, prefix, .. } => {
                let channels = self.channels(*input);
                check_len(
                    "prefix",
                    prefix.len().next_multiple_of(channels.max(1)),
                    prefix.len(),
                )?;
                channels
            }
            Layer::Attention(attention) => self.check_attention(attention)?,
            _ => self.channels(inputs[0]),
        };
        self.layers.push((layer, channels));
        Ok(Node(self.layers.len() - 1))
    }

    /// Channels of all heads.
    fn check_attention(&self, attention: &Attention) -> Result<usize> {
        let channels = self.channels(attention.input);
        let kinds = if attention.queries.is_some() { 2 } else { 3 };
        let width = channels / kinds;
        let heads = attention.heads;
        if heads == 0 || width == 0 || !channels.is_multiple_of(kinds * heads * LANES) {
            return Err(self.misfit(&format!(
                "{heads} heads of a multiple of {LANES} channels do not fit {channels} channels of {kinds} kinds"
            )));
        }
        if let Some(queries) = &attention.queries {
            check_len(
                "queries",
                queries.len().max(1).next_multiple_of(width),
                queries.len(),
            )?;
        }
        Ok(width)
    }

    fn check_conv(&self, conv: &Conv) -> Result<usize> {
        let (inputs, outputs) = (self.channels(conv.input), conv.bias.len());
        let divides = |channels: usize| channels > 0 && channels.is_multiple_of(conv.groups.max(1));
        if conv.groups == 0 || !divides(inputs) || !divides(outputs) {
            return Err(self.misfit(&format!(
                "{} groups must divide {inputs} input and {outputs} output channels, each at least 1",
                conv.groups
            )));
        }
        let (height, width) = conv.window.size;
        let expected = height * width * (inputs / conv.groups) * outputs;
        check_len("kernel", expected, conv.kernel.len())?;
        Ok(outputs)
    }

    /// Height, width and channels of every layer's map for images of this height and width.
    ///
    /// # Errors
    /// [`KernelError::Shape`] if a window does not fit or maps that meet have different sizes.
    pub fn shapes(&self, size: (usize, usize)) -> Result<Vec<Shape>> {
        let mut shapes: Vec<Shape> = Vec::with_capacity(self.layers.len());
        for (index, (layer, channels)) in self.layers.iter().enumerate() {
            let of = |node: Node| (shapes[node.0].0, shapes[node.0].1);
            let misfit = |reason| KernelError::shape(format!("layer {index}"), reason);
            let (height, width) = match layer {
                Layer::Input if size.0.min(size.1).min(*channels) == 0 => {
                    return Err(misfit(format!(
                        "images must have at least one pixel and channel, found {}×{}×{channels}",
                        size.0, size.1
                    )));
                }
                Layer::Input => size,
                Layer::Conv(Conv { input, window, .. })
                | Layer::MaxPool(input, window)
                | Layer::AveragePool { input, window, .. } => {
                    let (height, width) = of(*input);
                    window.output((height, width)).ok_or_else(|| {
                        misfit(format!(
                            "a {}×{} window does not fit {height}×{width} pixels with {:?}",
                            window.size.0, window.size.1, window.padding
                        ))
                    })?
                }
                Layer::Patches(_, side) => {
                    let patches = (size.0 / side) * (size.1 / side);
                    if patches == 0 {
                        return Err(misfit(format!(
                            "a patch of {side}×{side} does not fit {}×{} pixels",
                            size.0, size.1
                        )));
                    }
                    (1, patches)
                }
                Layer::Norm(norm) => of(norm.input),
                Layer::Tokens {
                    input,
                    prefix,
                    positions,
                } => {
                    let (height, width) = of(*input);
                    if height != 1 || positions.len() != width * channels {
                        return Err(misfit(format!(
                            "{} positions do not fit {height}×{width} tokens of {channels} channels",
                            positions.len()
                        )));
                    }
                    (1, prefix.len() / channels + width)
                }
                Layer::Attention(Attention { input, queries, .. }) => {
                    let (height, width) = of(*input);
                    if height != 1 {
                        return Err(misfit(format!(
                            "attention is within one row, found {height}"
                        )));
                    }
                    let given = queries.as_ref().map(|queries| queries.len() / channels);
                    (1, given.unwrap_or(width))
                }
                Layer::First(input) => (of(*input).0, 1),
                Layer::Add(..) | Layer::Concat(_) => {
                    let nodes = inputs(layer);
                    if nodes.iter().any(|node| of(*node) != of(nodes[0])) {
                        return Err(misfit("the maps that meet have different sizes".to_owned()));
                    }
                    of(nodes[0])
                }
            };
            shapes.push((height, width, *channels));
        }
        Ok(shapes)
    }

    fn misfit(&self, reason: &str) -> KernelError {
        KernelError::shape(format!("layer {}", self.layers.len()), reason)
    }
}

/// What a layer reads.
pub(crate) fn inputs(layer: &Layer) -> Vec<Node> {
    match layer {
        Layer::Input => Vec::new(),
        Layer::Conv(conv) => vec![conv.input],
        Layer::MaxPool(input, _) | Layer::AveragePool { input, .. } => vec![*input],
        Layer::Add(inputs, _) => inputs.to_vec(),
        Layer::Concat(inputs) => inputs.clone(),
        Layer::Norm(norm) => vec![norm.input],
        Layer::Attention(attention) => vec![attention.input],
        Layer::Patches(input, _) | Layer::Tokens { input, .. } | Layer::First(input) => {
            vec![*input]
        }
    }
}
