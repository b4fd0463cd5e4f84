//! A network for images of one size, ready to run.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rayon::prelude::*;

use crate::elementwise::Pooling;
use crate::error::{KernelError, Result, check_len};
use crate::graph::{Graph, Shape};
use crate::parallel::Team;
use crate::pool::{CancelToken, ComputePool};
use crate::simd::{Isa, Lanes};
use plan::Options;
use step::{Buffer, Step};

mod plan;
mod step;
#[cfg(test)]
mod tests;

/// Images that go through layers of large weights together, so that these are read once for all.
const BATCH: usize = 8;
/// Images per thread in a micro-batch where each thread computes its own: some tens of milliseconds
/// of work between two callers.
const IMAGES_PER_THREAD: usize = 8;

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
    input: Shape,
    /// What poolings read, [`Pooling::None`] first.
    reads: Vec<Read>,
    steps: Vec<Step>,
    buffers: Vec<Buffer>,
    /// Lines of the memory that buffers share.
    slots: Vec<usize>,
    /// Steps that take one image at a time; the others take up to [`BATCH`].
    single: usize,
    /// Whether each thread computes images of its own.
    alone: bool,
    isa: Isa,
    /// Memory that nobody computes in at the moment.
    workspaces: Mutex<Vec<Workspace>>,
}

type Workspace = Vec<Vec<Lanes>>;

/// The map that a pooling reads.
#[derive(Debug, Clone, Copy)]
struct Read {
    pooling: Pooling,
    buffer: usize,
    /// Columns of a row that are passed over.
    skip: usize,
}

/// Time and work of one step, from [`Network::profile`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StepReport {
    /// Such as `F(4) 3×3 64→128 to 112×112`.
    pub name: String,
    /// Floating-point operations of the definition, for all images.
    pub operations: usize,
    /// Time for all images, on the caller's clock.
    pub time: Duration,
}

impl Graph {
    /// Makes the network ready for images of this height and width, with the instruction set of
    /// [`Isa::detect`].
    ///
    /// # Errors
    /// As [`Graph::shapes`], [`Isa::detect`], and [`ComputePool::global`], which packs the weights.
    pub fn plan(self, size: (usize, usize)) -> Result<Network> {
        self.plan_for(size, Isa::detect()?)
    }

    /// The same with another instruction set.
    ///
    /// # Errors
    /// As [`Graph::plan`], and [`crate::KernelError::Setting`] if this machine lacks it.
    pub fn plan_for(self, size: (usize, usize), isa: Isa) -> Result<Network> {
        let options = Options {
            isa,
            tile: None,
            alone: None,
        };
        plan::plan(self, size, options)
    }
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

    fn read(&self, pooling: Pooling) -> Result<(Read, usize)> {
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
    /// its own, else of a micro-batch (see [`ComputePool`]). It is kept for the next call.
    pub fn workspace_bytes(&self) -> usize {
        self.slots.iter().sum::<usize>() * size_of::<Lanes>()
    }

    /// Computes `n` images into the values that `pooling` makes of each.
    ///
    /// # Errors
    /// [`crate::KernelError::Length`] if a slice has the wrong number of elements;
    /// [`crate::KernelError::Shape`] if the network has nothing for `pooling`;
    /// [`crate::KernelError::Cancelled`], within milliseconds, once `cancel` is triggered. `out` then
    /// holds no meaningful values.
    pub fn run(
        &self,
        images: &[f32],
        n: usize,
        pooling: Pooling,
        out: &mut [f32],
        pool: &ComputePool,
        cancel: &CancelToken,
    ) -> Result<()> {
        let (image_len, out_len) = self.check(images, n, pooling, out)?;
        let batch = if self.alone {
            pool.threads() * IMAGES_PER_THREAD
        } else {
            BATCH
        };
        let images = images.chunks(batch * image_len);
        for (images, out) in images.zip(out.chunks_mut(batch * out_len)) {
            pool.run(cancel, || {
                let team = Team::new(pool.threads(), cancel);
                self.micro_batch(&team, images, pooling, out)
            })?;
        }
        Ok(())
    }

    /// Computes `n` images with all threads together, and reports the time of each step, as the
    /// difference of two readings of `clock` on a thread of the pool.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn profile(
        &self,
        images: &[f32],
        n: usize,
        pooling: Pooling,
        out: &mut [f32],
        pool: &ComputePool,
        clock: impl Fn() -> Duration + Send + Sync,
    ) -> Result<Vec<StepReport>> {
        let (image_len, out_len) = self.check(images, n, pooling, out)?;
        let mut times = vec![Duration::ZERO; self.steps.len()];
        let batch = if self.alone { 1 } else { BATCH };
        let images = images.chunks(batch * image_len);
        let cancel = CancelToken::new();
        for (images, out) in images.zip(out.chunks_mut(batch * out_len)) {
            let mut last = clock();
            let mut observe = |step: usize| {
                let now = clock();
                times[step] += now - last;
                last = now;
            };
            pool.run(&cancel, || {
                let team = Team::new(pool.threads(), &cancel);
                self.together(&team, images, pooling, out, &mut observe)
            })?;
        }
        let reports = self.steps.iter().zip(times).map(|(step, time)| StepReport {
            name: step.name.clone(),
            operations: n * step.operations,
            time,
        });
        Ok(reports.collect())
    }

    /// Elements of an image, and of its values.
    fn check(
        &self,
        images: &[f32],
        n: usize,
        pooling: Pooling,
        out: &[f32],
    ) -> Result<(usize, usize)> {
        let (height, width, channels) = self.input;
        let (image_len, (_, out_len)) = (height * width * channels, self.read(pooling)?);
        check_len("images", n * image_len, images.len())?;
        check_len("out", n * out_len, out.len())?;
        Ok((image_len, out_len))
    }

    fn micro_batch(
        &self,
        team: &Team<'_>,
        images: &[f32],
        pooling: Pooling,
        out: &mut [f32],
    ) -> Result<()> {
        let image_len = self.input.0 * self.input.1 * self.input.2;
        let (_, out_len) = self.read(pooling)?;
        let threads = team.threads();
        if !self.alone {
            return self.together(team, images, pooling, out, &mut |_| {});
        }
        // Images that would leave threads idle if each had its own are computed by all together.
        let count = images.len() / image_len;
        let left = if count % threads * 2 <= threads {
            count % threads
        } else {
            0
        };
        let (own, rest) = images.split_at((count - left) * image_len);
        let (own_out, rest_out) = out.split_at_mut((count - left) * out_len);
        let solo = team.solo();
        own.par_chunks_exact(image_len)
            .zip(own_out.par_chunks_exact_mut(out_len))
            .with_max_len(1)
            .try_for_each(|(image, out)| self.together(&solo, image, pooling, out, &mut |_| {}))?;
        let rest = rest.chunks_exact(image_len);
        for (image, out) in rest.zip(rest_out.chunks_exact_mut(out_len)) {
            self.together(team, image, pooling, out, &mut |_| {})?;
        }
        Ok(())
    }

    /// Computes the images of a batch, or one, with the threads of the team, which meet after each
    /// step.
    fn together(
        &self,
        team: &Team<'_>,
        images: &[f32],
        pooling: Pooling,
        out: &mut [f32],
        observe: &mut (dyn FnMut(usize) + Send),
    ) -> Result<()> {
        let image_len = self.input.0 * self.input.1 * self.input.2;
        let count = images.len() / image_len;
        let mut workspace = self.workspace();
        let mut run = |steps: Range<usize>, batch: Range<usize>, workspace: &mut Workspace| {
            let pixels = &images[batch.start * image_len..batch.end * image_len];
            for (index, step) in self
                .steps
                .iter()
                .enumerate()
                .take(steps.end)
                .skip(steps.start)
            {
                step.run(team, &self.buffers, workspace, pixels, &batch);
                team.check()?;
                observe(index);
            }
            Ok(())
        };
        let (read, out_len) = self.read(pooling)?;
        let output = &self.buffers[read.buffer];
        let mut rows = out.chunks_exact_mut(out_len);
        let mut finish = |batch: Range<usize>, workspace: &Workspace| {
            let lines = &workspace[output.slot][output.lines(&batch)];
            for (lines, out) in lines.chunks_exact(output.map.image_lines()).zip(&mut rows) {
                pooling.finish(&output.map, read.skip, lines, out);
            }
        };
        let result = (|| {
            for image in 0..count {
                run(0..self.single, image..image + 1, &mut workspace)?;
                if self.single == self.steps.len() {
                    finish(image..image + 1, &workspace);
                }
            }
            if self.single < self.steps.len() {
                run(self.single..self.steps.len(), 0..count, &mut workspace)?;
                finish(0..count, &workspace);
            }
            Ok(())
        })();
        self.give_back(workspace);
        result
    }

    fn workspace(&self) -> Workspace {
        let free = self.free().pop();
        let lines = |lines: &usize| vec![Lanes::ZERO; *lines];
        free.unwrap_or_else(|| self.slots.iter().map(lines).collect())
    }

    /// Keeps a workspace for the next call. A thread that waits for the others of its team may have taken up an
    /// image of another caller, with a workspace of its own; what that is more than callers need goes.
    fn give_back(&self, workspace: Workspace) {
        let mut free = self.free();
        // As many callers are admitted, or as many images computed alone, at a time.
        if free.len() < rayon::current_num_threads().max(2) {
            free.push(workspace);
        }
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<Workspace>> {
        self.workspaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
