//! A network whose weights are packed and whose memory is planned.

use std::sync::Mutex;

use super::step::{Buffer, Step};
use crate::elementwise::Pooling;
use crate::error::{KernelError, Result};
use crate::graph::Shape;
use crate::simd::{Isa, Lanes};

/// A network with its weights packed for this machine.
///
/// It is immutable and may be used from any number of threads at once. Images are in NHWC order. An
/// image's values are the same bits whatever the other images of the call, the number of threads or
/// the instruction set (see [`Isa`]).
///
/// ```
/// use featurize_kernels::{
///     Activation, CancelToken, ComputePool, Conv, Graph, Layer, Padding, Pooling, Window,
/// };
///
/// let mut graph = Graph::new(3);
/// let map = graph.push(Layer::Conv(Conv {
///     input: graph.input(),
///     kernel: vec![0.1; 3 * 3 * 3 * 8],
///     bias: vec![0.0; 8],
///     window: Window::new(3, 1, Padding::Same),
///     groups: 1,
///     activation: Activation::Relu,
/// }))?;
/// graph.push(Layer::MaxPool(map, Window::new(2, 2, Padding::Zeros(0, 0))))?;
/// let network = graph.plan((12, 12))?;
/// assert_eq!(network.output_shape(), (6, 6, 8));
///
/// let images = vec![1.0; 2 * 12 * 12 * 3];
/// let mut features = vec![0.0; 2 * 8];
/// let (pool, cancel) = (ComputePool::global()?, CancelToken::new());
/// network.run(&images, 2, Pooling::Avg, &mut features, pool, &cancel)?;
/// # Ok::<(), featurize_kernels::KernelError>(())
/// ```
#[derive(Debug)]
pub struct Network {
    pub(super) input: Shape,
    /// What poolings read, [`Pooling::None`] first.
    pub(super) reads: Vec<Read>,
    pub(super) steps: Vec<Step>,
    pub(super) buffers: Vec<Buffer>,
    /// Lines of the memory that buffers share.
    pub(super) slots: Vec<usize>,
    /// Steps that take one image at a time; the others take up to `BATCH`.
    pub(super) single: usize,
    /// Whether each thread computes images of its own.
    pub(super) alone: bool,
    pub(super) isa: Isa,
    /// Memory that nobody computes in at the moment.
    pub(super) workspaces: Mutex<Vec<Workspace>>,
}

pub(super) type Workspace = Vec<Vec<Lanes>>;

/// The map that a pooling reads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Read {
    pub(super) pooling: Pooling,
    pub(super) buffer: usize,
    /// Columns of a row that are passed over.
    pub(super) skip: usize,
}

impl Network {
    /// Height, width and channels of one image.
    pub fn input_shape(&self) -> (usize, usize, usize) {
        self.input
    }

    /// Height, width and channels of the map that [`Pooling::None`] gives: the last one, unless the graph
    /// says otherwise.
    pub fn output_shape(&self) -> (usize, usize, usize) {
        self.reads
            .first()
            .map_or((0, 0, 0), |read| self.shape(read))
    }

    /// Values that a pooling makes of an image, if the network has it.
    pub fn dimension(&self, pooling: Pooling) -> Option<usize> {
        let read = self.reads.iter().find(|read| read.pooling == pooling)?;
        Some(pooling.dimension(self.shape(read)))
    }

    /// Height, width and channels of what is read.
    fn shape(&self, read: &Read) -> (usize, usize, usize) {
        let map = &self.buffers[read.buffer].map;
        (map.height, map.width - read.skip, map.channels)
    }

    pub(super) fn read(&self, pooling: Pooling) -> Result<(Read, usize)> {
        let read = self.reads.iter().find(|read| read.pooling == pooling);
        match read {
            Some(read) => Ok((*read, pooling.dimension(self.shape(read)))),
            None => Err(KernelError::shape(
                "network",
                format!("it has nothing that '{}' could read", pooling.name()),
            )),
        }
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Memory of the packed weights, in bytes.
    pub fn packed_bytes(&self) -> usize {
        self.steps.iter().map(|step| step.op.bytes()).sum()
    }

    /// Memory of the feature maps of one worker, in bytes: of a thread where each computes images of
    /// its own, else of a micro-batch (see [`ComputePool`](crate::ComputePool)). It is kept for the next call.
    pub fn workspace_bytes(&self) -> usize {
        self.slots.iter().sum::<usize>() * size_of::<Lanes>()
    }
}
