//! The networks with numbers for weights, for all benches.
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

use featurize_kernels::{CancelToken, ComputePool, Graph, Network, Pooling, StepReport};

mod layers;

/// The oracle of the kernels' own tests.
#[expect(clippy::unwrap_used, reason = "it is written for tests")]
#[path = "../../udfs/kernels/src/testing/reference.rs"]
pub(crate) mod reference;

/// What a bench returns.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// Which network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Vgg16,
    MobileNetV2,
    ResNet50,
    InceptionV3,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [
        Self::Vgg16,
        Self::MobileNetV2,
        Self::ResNet50,
        Self::InceptionV3,
    ];

    /// Name in SQL and on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Vgg16 => "vgg16",
            Self::MobileNetV2 => "mobilenet_v2",
            Self::ResNet50 => "resnet50",
            Self::InceptionV3 => "inception_v3",
        }
    }

    pub(crate) fn parse(name: &str) -> Outcome<Self> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        let names = Self::ALL.map(Self::name).join(", ");
        found.ok_or_else(|| format!("unknown network {name}, expected one of {names}").into())
    }

    /// Height and width of an image.
    pub(crate) fn side(self) -> usize {
        match self {
            Self::InceptionV3 => 299,
            _ => 224,
        }
    }

    /// Values of an image.
    pub(crate) fn image_len(self) -> usize {
        3 * self.side().pow(2)
    }

    /// Images in a batch, and in a turn of about a second.
    pub(crate) fn images(self) -> (usize, usize) {
        match self {
            Self::MobileNetV2 => (64, 512),
            _ => (8, 48),
        }
    }

    /// Deviation of what the network is fed: photographs without their mean, or within ±1.
    pub(crate) fn scale(self) -> f32 {
        match self {
            Self::Vgg16 => 60.0,
            _ => 0.5,
        }
    }

    pub(crate) fn pooling(self) -> Pooling {
        match self {
            Self::Vgg16 => Pooling::None,
            _ => Pooling::Avg,
        }
    }

    /// The layers, with weights from `numbers`.
    pub(crate) fn graph(self, numbers: &mut Numbers) -> Outcome<Graph> {
        layers::graph(self, numbers)
    }

    /// The layers, packed for the kernels.
    pub(crate) fn stack(self, graph: Graph) -> Outcome<Stack> {
        let network = graph.plan((self.side(), self.side()))?;
        Ok(Stack {
            network,
            kind: self,
        })
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
    kind: Kind,
}

impl Stack {
    pub(crate) fn output_len(&self) -> usize {
        self.kind.pooling().dimension(self.network.output_shape())
    }

    pub(crate) fn isa(&self) -> &'static str {
        self.network.isa().name()
    }

    /// Bytes of packed weights, and of the workspace: for a thread in MobileNetV2, for a micro-batch
    /// in the others.
    pub(crate) fn bytes(&self) -> (usize, usize) {
        (self.network.packed_bytes(), self.network.workspace_bytes())
    }

    pub(crate) fn run(&self, images: &[f32], out: &mut [f32], pool: &ComputePool) -> Outcome<()> {
        let (count, never) = (images.len() / self.kind.image_len(), CancelToken::new());
        let pooling = self.kind.pooling();
        Ok(self
            .network
            .run(images, count, pooling, out, pool, &never)?)
    }

    pub(crate) fn profile(
        &self,
        images: &[f32],
        out: &mut [f32],
        pool: &ComputePool,
        clock: impl Fn() -> Duration + Send + Sync,
    ) -> Outcome<Vec<StepReport>> {
        let (count, pooling) = (images.len() / self.kind.image_len(), self.kind.pooling());
        Ok(self
            .network
            .profile(images, count, pooling, out, pool, clock)?)
    }
}

/// The features of one image, straight from the definition.
pub(crate) fn expected(kind: Kind, graph: &Graph, image: &[f32]) -> Vec<f64> {
    let map = reference::run(graph, (kind.side(), kind.side()), image);
    match kind.pooling() {
        Pooling::None => map.values,
        _ => map.mean(),
    }
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
