//! The two networks as lists of layers with numbers for weights, for all benches.
//!
//! The weights of a network are one sequence of `f32`: for each layer its kernel (height, width,
//! input channel of the group, output channel), then its bias. The sequence is made up here, or
//! comes from a file so that other engines can be given the same one.

// Each bench uses a part of this.
#![expect(dead_code, reason = "shared by benches that use different parts")]

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Duration;

use featurize_kernels::{
    Activation, CancelToken, ComputePool, Conv, Graph, Layer as Node, Network, Padding, Pooling,
    StepReport, Window,
};

/// The oracle of the kernels' own tests.
#[expect(clippy::unwrap_used, reason = "it is written for tests")]
#[path = "../../udfs/kernels/src/testing/reference.rs"]
pub(crate) mod reference;

/// What a bench returns.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// Height and width of an image.
pub(crate) const SIZE: usize = 224;
/// Values of an image.
pub(crate) const IMAGE_LEN: usize = SIZE * SIZE * 3;

/// Output channels of VGG16's convolutions; 0 is a max pool.
const VGG16: [usize; 18] = [
    64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0,
];
/// MobileNetV2's blocks after the first: output channels, repetitions, stride of the first one.
const MOBILENET_V2: [(usize, usize, usize); 6] = [
    (24, 2, 2),
    (32, 3, 2),
    (64, 4, 2),
    (96, 3, 1),
    (160, 3, 2),
    (320, 1, 1),
];

/// Which network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Vgg16,
    MobileNetV2,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Vgg16, Self::MobileNetV2];

    /// Name in SQL and on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Vgg16 => "vgg16",
            Self::MobileNetV2 => "mobilenet_v2",
        }
    }

    pub(crate) fn parse(name: &str) -> Outcome<Self> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found
            .ok_or_else(|| format!("unknown network {name}, expected vgg16 or mobilenet_v2").into())
    }

    /// The layers, with weights from `numbers`.
    pub(crate) fn steps(self, numbers: &mut Numbers) -> Vec<Step> {
        let mut layers = Layers {
            numbers,
            steps: Vec::new(),
            extent: SIZE,
            channels: 3,
        };
        match self {
            Self::Vgg16 => layers.vgg16(),
            Self::MobileNetV2 => layers.mobilenet_v2(),
        }
        layers.steps
    }

    /// Deviation of what the network is fed: photographs without their mean, or within ±1.
    pub(crate) fn scale(self) -> f32 {
        match self {
            Self::Vgg16 => 60.0,
            Self::MobileNetV2 => 0.5,
        }
    }

    /// The layers as the kernels know them.
    pub(crate) fn graph(self, steps: &[Step]) -> Outcome<Graph> {
        let mut graph = Graph::new(3);
        let mut map = graph.input();
        let mut kept = map;
        for step in steps {
            map = match step {
                Step::Conv(layer) => graph.push(Node::Conv(Conv {
                    input: map,
                    kernel: layer.kernel.clone(),
                    bias: layer.bias.clone(),
                    window: layer.window(),
                    groups: layer.groups,
                    activation: layer.activation,
                }))?,
                Step::MaxPool => {
                    let window = Window::new(2, 2, Padding::Zeros(0, 0));
                    graph.push(Node::MaxPool(map, window))?
                }
                Step::Keep => {
                    kept = map;
                    map
                }
                Step::Add => graph.push(Node::Add([kept, map], Activation::Linear))?,
            };
        }
        Ok(graph)
    }

    /// The layers, packed for the kernels.
    pub(crate) fn stack(self, steps: &[Step]) -> Outcome<Stack> {
        let pooling = match self {
            Self::Vgg16 => Pooling::None,
            Self::MobileNetV2 => Pooling::Avg,
        };
        let network = self.graph(steps)?.plan((SIZE, SIZE))?;
        Ok(Stack { network, pooling })
    }
}

/// One convolution.
#[derive(Debug)]
pub(crate) struct Layer {
    /// (height, width, input channel of the group, output channel)
    pub(crate) kernel: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    /// Height and width of the kernel.
    pub(crate) size: usize,
    /// Input channels, over all groups.
    pub(crate) inputs: usize,
    pub(crate) groups: usize,
    pub(crate) stride: usize,
    /// Zeros on each side.
    pub(crate) padding: usize,
    pub(crate) activation: Activation,
    /// Height and width of the input.
    pub(crate) extent: usize,
}

impl Layer {
    pub(crate) fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Height and width of the output.
    pub(crate) fn output_extent(&self) -> usize {
        (self.extent + 2 * self.padding - self.size) / self.stride + 1
    }

    /// Multiplications and additions of the definition, for one image.
    pub(crate) fn operations(&self) -> usize {
        2 * self.kernel.len() * self.output_extent().pow(2)
    }

    fn window(&self) -> Window {
        Window::new(
            self.size,
            self.stride,
            Padding::Zeros(self.padding, self.padding),
        )
    }
}

/// A step of a network.
#[derive(Debug)]
pub(crate) enum Step {
    Conv(Layer),
    MaxPool,
    /// Keeps the values for a later [`Step::Add`].
    Keep,
    Add,
}

impl Step {
    pub(crate) fn layer(&self) -> Option<&Layer> {
        match self {
            Self::Conv(layer) => Some(layer),
            _ => None,
        }
    }
}

/// Writes down a network.
struct Layers<'a> {
    numbers: &'a mut Numbers,
    steps: Vec<Step>,
    extent: usize,
    channels: usize,
}

impl Layers<'_> {
    fn vgg16(&mut self) {
        for outputs in VGG16 {
            if outputs == 0 {
                self.steps.push(Step::MaxPool);
                self.extent /= 2;
            } else {
                self.conv(3, outputs, 1, 1, Activation::Relu);
            }
        }
    }

    /// Padded as torchvision does, symmetrically: no engine then needs a layer just for zeros.
    fn mobilenet_v2(&mut self) {
        self.conv(3, 32, 2, 1, Activation::Relu6);
        self.conv(3, 32, 1, 32, Activation::Relu6);
        self.conv(1, 16, 1, 1, Activation::Linear);
        for (outputs, count, first_stride) in MOBILENET_V2 {
            for index in 0..count {
                let stride = if index == 0 { first_stride } else { 1 };
                let inputs = self.channels;
                let wide = 6 * inputs;
                let residual = stride == 1 && inputs == outputs;
                self.steps.extend(residual.then_some(Step::Keep));
                self.conv(1, wide, 1, 1, Activation::Relu6);
                self.conv(3, wide, stride, wide, Activation::Relu6);
                self.conv(1, outputs, 1, 1, Activation::Linear);
                self.steps.extend(residual.then_some(Step::Add));
            }
        }
        self.conv(1, 1280, 1, 1, Activation::Relu6);
    }

    fn conv(
        &mut self,
        size: usize,
        outputs: usize,
        stride: usize,
        groups: usize,
        activation: Activation,
    ) {
        let fan_in = size * size * self.channels / groups;
        // He and others, "Delving deep into rectifiers" (2015); no bias that drowns the rest.
        let layer = Layer {
            kernel: self
                .numbers
                .take(fan_in * outputs, (2.0 / fan_in as f32).sqrt()),
            bias: self.numbers.take(outputs, 0.1),
            size,
            inputs: self.channels,
            groups,
            stride,
            padding: size / 2,
            activation,
            extent: self.extent,
        };
        self.extent = layer.output_extent();
        self.channels = outputs;
        self.steps.push(Step::Conv(layer));
    }
}

/// Where numbers come from.
#[derive(Debug)]
pub(crate) enum Numbers {
    /// xorshift64*, good enough for weights.
    Random(u64),
    /// Little-endian `f32`, one after the other.
    File(std::vec::IntoIter<f32>),
}

impl Numbers {
    pub(crate) fn file(path: &Path) -> Outcome<Self> {
        let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let (values, _) = bytes.as_chunks::<4>();
        let values: Vec<f32> = values
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect();
        Ok(Self::File(values.into_iter()))
    }

    /// The next `count` numbers; made-up ones are nearly normal, with mean 0 and this deviation.
    pub(crate) fn take(&mut self, count: usize, deviation: f32) -> Vec<f32> {
        match self {
            // The sum of twelve uniform numbers.
            Self::Random(state) => (0..count)
                .map(|_| deviation * ((0..12).map(|_| uniform(state)).sum::<f32>() - 6.0))
                .collect(),
            Self::File(values) => values.take(count).collect(),
        }
    }
}

fn uniform(state: &mut u64) -> f32 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f32 / (1u64 << 24) as f32
}

/// A network, packed for the kernels.
#[derive(Debug)]
pub(crate) struct Stack {
    network: Network,
    pooling: Pooling,
}

impl Stack {
    pub(crate) fn output_len(&self) -> usize {
        self.pooling.dimension(self.network.output_shape())
    }

    pub(crate) fn isa(&self) -> &'static str {
        self.network.isa().name()
    }

    /// Bytes of packed weights, and of the workspace: for a micro-batch in VGG16, for a thread in
    /// MobileNetV2.
    pub(crate) fn bytes(&self) -> (usize, usize) {
        (self.network.packed_bytes(), self.network.workspace_bytes())
    }

    pub(crate) fn run(&self, images: &[f32], out: &mut [f32], pool: &ComputePool) -> Outcome<()> {
        let (count, never) = (images.len() / IMAGE_LEN, CancelToken::new());
        Ok(self
            .network
            .run(images, count, self.pooling, out, pool, &never)?)
    }

    pub(crate) fn profile(
        &self,
        images: &[f32],
        out: &mut [f32],
        pool: &ComputePool,
        clock: impl Fn() -> Duration + Send + Sync,
    ) -> Outcome<Vec<StepReport>> {
        let count = images.len() / IMAGE_LEN;
        Ok(self
            .network
            .profile(images, count, self.pooling, out, pool, clock)?)
    }
}

/// The features of one image, straight from the definition.
pub(crate) fn expected(kind: Kind, steps: &[Step], image: &[f32]) -> Outcome<Vec<f64>> {
    let map = reference::run(&kind.graph(steps)?, (SIZE, SIZE), image);
    Ok(match kind {
        Kind::Vgg16 => map.values,
        Kind::MobileNetV2 => map.mean(),
    })
}

/// The value in the middle; of an even number, the lower of the two.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len().saturating_sub(1) / 2;
    values.get(middle).copied().unwrap_or(f64::NAN)
}

/// The processor, as it names itself where the system tells.
pub(crate) fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == "model name").then(|| value.trim().to_owned())
    });
    name.unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}
