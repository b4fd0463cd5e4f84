//! A network as data: layers and what each reads, with their numbers, for images of any size.

use crate::error::{KernelError, Result, check_len};

/// Height, width and channels.
pub(crate) type Shape = (usize, usize, usize);

/// A layer of a [`Graph`], or its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node(pub(crate) usize);

/// What is done to the sums of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activation {
    /// Nothing.
    #[default]
    Linear,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
}

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
}

/// A network, not yet for any size of image.
///
/// Layers are added in an order in which each comes after those that it reads; the last one is the
/// result. [`Graph::plan`] makes it ready to run.
#[derive(Debug, Clone)]
pub struct Graph {
    /// Each with its channels.
    pub(crate) layers: Vec<(Layer, usize)>,
}

impl Graph {
    /// A network for images of so many channels.
    pub fn new(channels: usize) -> Self {
        Self {
            layers: vec![(Layer::Input, channels)],
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
            _ => self.channels(inputs[0]),
        };
        self.layers.push((layer, channels));
        Ok(Node(self.layers.len() - 1))
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
    }
}
