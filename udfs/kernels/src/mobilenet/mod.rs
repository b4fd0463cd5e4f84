//! A stack of inverted residual blocks, such as MobileNetV2.

use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{Result, check_len};
use crate::inverted_residual::{Block, Input};
use crate::layout::{Map, View, split_evenly};
use crate::parallel::{Scratch, Team, at_least};
use crate::pointwise::{Pointwise, Source, Target};
use crate::pool::{CancelToken, ComputePool};
use crate::simd::{Isa, LANES, Lanes};
use crate::stack::LayerReport;

mod builder;
#[cfg(test)]
mod tests;

pub use builder::{ConvWeights, InvertedResidualBuilder, Window};

/// Images per thread in a micro-batch: some tens of milliseconds of work between two callers.
const IMAGES_PER_THREAD: usize = 8;

/// A stem, depthwise separable blocks and a last 1×1 convolution, packed for this machine.
///
/// This is MobileNetV2 without its classifier. Batch normalisation must be folded into kernels
/// and biases by the caller. All layers but the projections (the second 1×1 convolution of a
/// block) end in ReLU6; a block of stride 1 whose channels do not change adds its input.
///
/// * **Input**: `n` images in NHWC order, `[n, height, width, channels]` as one slice of `f32`.
/// * **Output**: per image, `[h, w, c]` in NHWC order, or `[c]` with
///   [`InvertedResidualBuilder::global_average_pool`].
/// * **Weights**: see [`ConvWeights`].
///
/// Several images are computed one per thread; an image left over is computed by all threads
/// together. An image's result is the same bits either way, and whatever the other images of the
/// call, the number of threads or the instruction set (see [`Isa`]).
///
/// ```
/// use featurize_kernels::{CancelToken, ComputePool, ConvWeights, InvertedResidualStack, Window};
///
/// let values = vec![0.1; 1024];
/// let weights = |kernel, bias| ConvWeights { kernel: &values[..kernel], bias: &values[..bias] };
/// let stack = InvertedResidualStack::builder(16, 16, 3)?
///     .stem(weights(9 * 3 * 8, 8), Window { stride: 2, padding: (0, 1) })?
///     .separable(weights(9 * 8, 8), Window { stride: 1, padding: (1, 1) }, weights(8 * 4, 4))?
///     .inverted_residual(
///         weights(4 * 24, 24),
///         weights(9 * 24, 24),
///         Window { stride: 2, padding: (0, 1) },
///         weights(24 * 6, 6),
///     )?
///     .head(weights(6 * 40, 40))?
///     .global_average_pool()
///     .build()?;
/// assert_eq!(stack.output_len(), 40);
///
/// let images = vec![1.0; 2 * 16 * 16 * 3];
/// let mut features = vec![0.0; 2 * 40];
/// stack.run(&images, 2, &mut features, ComputePool::global()?, &CancelToken::new())?;
/// # Ok::<(), featurize_kernels::KernelError>(())
/// ```
pub struct InvertedResidualStack {
    input: (usize, usize, usize),
    blocks: Vec<Block>,
    head: Pointwise,
    average: bool,
    isa: Isa,
    /// Feature maps for the images that all threads compute together.
    shared: Mutex<Vec<Vec<Lanes>>>,
}

impl InvertedResidualStack {
    /// Begins a stack for images of `height` × `width` pixels of `channels` channels, with the
    /// instruction set of [`Isa::detect`].
    ///
    /// # Errors
    /// As [`Isa::detect`], and [`crate::KernelError::Shape`] if an extent is zero.
    pub fn builder(
        height: usize,
        width: usize,
        channels: usize,
    ) -> Result<InvertedResidualBuilder> {
        InvertedResidualBuilder::new(height, width, channels)
    }

    /// Height, width and channels of one input image.
    pub fn input_shape(&self) -> (usize, usize, usize) {
        self.input
    }

    /// Height, width and channels of the last feature map, before pooling.
    pub fn output_shape(&self) -> (usize, usize, usize) {
        let map = self.last_map();
        (map.height, map.width, map.channels)
    }

    /// Values per image: one per channel if they are averaged, else the whole last map.
    pub fn output_len(&self) -> usize {
        let (height, width, channels) = self.output_shape();
        if self.average {
            channels
        } else {
            height * width * channels
        }
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Memory of the packed weights, in bytes.
    pub fn packed_bytes(&self) -> usize {
        self.head.bytes() + self.blocks.iter().map(Block::bytes).sum::<usize>()
    }

    /// Memory of the feature maps that a thread needs for one image, in bytes.
    pub fn workspace_bytes(&self) -> usize {
        let (maps, strips) = (self.map_lines(), self.strip_lines());
        (2 * maps + strips) * size_of::<Lanes>()
    }

    /// Computes `n` images.
    ///
    /// `input` is NHWC with the shape of [`Self::input_shape`] per image, `out` receives
    /// [`Self::output_len`] values per image.
    ///
    /// # Errors
    /// [`crate::KernelError::Length`] if a slice has the wrong number of elements;
    /// [`crate::KernelError::Cancelled`], within milliseconds, once `cancel` is triggered. `out` then
    /// holds no meaningful values.
    pub fn run(
        &self,
        input: &[f32],
        n: usize,
        out: &mut [f32],
        pool: &ComputePool,
        cancel: &CancelToken,
    ) -> Result<()> {
        self.check(input, n, out)?;
        let batch = pool.threads() * IMAGES_PER_THREAD;
        let inputs = input.chunks(batch * self.input_len());
        for (input, out) in inputs.zip(out.chunks_mut(batch * self.output_len())) {
            pool.run(cancel, || {
                self.micro_batch(&Team::new(pool.threads(), cancel), input, out)
            })?;
        }
        Ok(())
    }

    /// Computes `n` images, each by all threads together, and reports the time of each block as
    /// the difference of two readings of `clock` on a thread of the pool.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn profile(
        &self,
        input: &[f32],
        n: usize,
        out: &mut [f32],
        pool: &ComputePool,
        clock: impl Fn() -> Duration + Send + Sync,
    ) -> Result<Vec<LayerReport>> {
        self.check(input, n, out)?;
        let mut times = vec![Duration::ZERO; self.blocks.len() + 1];
        let mut last = Duration::ZERO;
        let mut observe = |layer: Option<usize>| {
            let now = clock();
            if let Some(layer) = layer {
                times[layer] += now - last;
            }
            last = now;
        };
        let cancel = CancelToken::new();
        pool.run(&cancel, || {
            let team = Team::new(pool.threads(), &cancel);
            let images = input.chunks_exact(self.input_len());
            for (input, out) in images.zip(out.chunks_exact_mut(self.output_len())) {
                self.together(&team, input, out, &mut observe)?;
            }
            Ok(())
        })?;
        let (height, width, channels) = self.output_shape();
        let names = self.blocks.iter().map(Block::name);
        let names = names.chain([format!("head 1×1 →{channels} at {height}×{width}")]);
        let operations = self.blocks.iter().map(Block::operations);
        let operations = operations.chain([self.head.operations() * height * width]);
        let reports = names.zip(operations).zip(times);
        Ok(reports
            .map(|((name, operations), time)| LayerReport {
                name,
                operations: n * operations,
                time,
            })
            .collect())
    }

    fn check(&self, input: &[f32], n: usize, out: &[f32]) -> Result<()> {
        check_len("input", n * self.input_len(), input.len())?;
        check_len("out", n * self.output_len(), out.len())
    }

    fn input_len(&self) -> usize {
        self.input.0 * self.input.1 * self.input.2
    }

    fn last_map(&self) -> Map {
        let channels = self.head.out_channels();
        match self.blocks.last() {
            Some(block) => Map::plain(block.output().height, block.output().width, channels),
            None => Map::plain(0, 0, channels),
        }
    }

    /// Lines of the largest map between two blocks.
    fn map_lines(&self) -> usize {
        let lines = self.blocks.iter().map(|block| block.output().image_lines());
        lines
            .chain([self.last_map().image_lines()])
            .max()
            .unwrap_or(0)
    }

    /// Lines of the intermediate rows of the most demanding block.
    fn strip_lines(&self) -> usize {
        let lines = self.blocks.iter().map(Block::scratch_lines);
        lines.max().unwrap_or(0)
    }

    fn micro_batch(&self, team: &Team<'_>, input: &[f32], out: &mut [f32]) -> Result<()> {
        let images = input.len() / self.input_len();
        // Images that would leave threads idle if each had its own.
        let left = if images % team.threads() * 2 <= team.threads() {
            images % team.threads()
        } else {
            0
        };
        let (input, input_left) = input.split_at((images - left) * self.input_len());
        let (out, out_left) = out.split_at_mut((images - left) * self.output_len());
        let inputs = input.chunks_exact(self.input_len());
        let tasks = inputs.zip(out.chunks_exact_mut(self.output_len()));
        team.for_each(tasks.collect(), |(input, out), scratch| {
            self.alone(input, out, scratch);
        });
        team.check()?;
        let images = input_left.chunks_exact(self.input_len());
        for (input, out) in images.zip(out_left.chunks_exact_mut(self.output_len())) {
            self.together(team, input, out, &mut |_| {})?;
        }
        Ok(())
    }

    /// Computes one image on the current thread.
    fn alone(&self, pixels: &[f32], out: &mut [f32], scratch: &mut Scratch) {
        let (maps, strips) = (self.map_lines(), self.strip_lines());
        let Scratch {
            lines,
            pixels: rows,
        } = scratch;
        let (maps, strips) = at_least(lines, 2 * maps + strips).split_at_mut(2 * maps);
        let (mut from, mut to) = maps.split_at_mut(maps.len() / 2);
        let mut input = Input::Pixels(pixels);
        for block in &self.blocks {
            let map = block.output();
            let target = &mut to[..map.image_lines()];
            block.run(input, 0..map.height, target, strips, rows);
            std::mem::swap(&mut from, &mut to);
            input = Input::Map(from);
        }
        let map = self.last_map();
        self.run_head(from, 0..map.height, &mut to[..map.image_lines()]);
        self.finish(&map, to, out);
    }

    /// Computes one image with all threads, which meet after each block.
    fn together(
        &self,
        team: &Team<'_>,
        pixels: &[f32],
        out: &mut [f32],
        observe: &mut (dyn FnMut(Option<usize>) + Send),
    ) -> Result<()> {
        let mut maps = self.shared().pop().unwrap_or_default();
        let lines = 2 * self.map_lines();
        let (mut from, mut to) = at_least(&mut maps, lines).split_at_mut(lines / 2);
        let mut input = Input::Pixels(pixels);
        observe(None);
        for (i, block) in self.blocks.iter().enumerate() {
            let map = block.output();
            let tasks = split_rows(team.threads(), map, to);
            team.for_each(tasks, |(range, target), scratch| {
                let strips = at_least(&mut scratch.lines, block.scratch_lines());
                block.run(input, range, target, strips, &mut scratch.pixels);
            });
            team.check()?;
            std::mem::swap(&mut from, &mut to);
            input = Input::Map(from);
            observe(Some(i));
        }
        let map = self.last_map();
        team.for_each(
            split_rows(team.threads(), &map, to),
            |(range, target), _| {
                self.run_head(from, range, target);
            },
        );
        team.check()?;
        self.finish(&map, to, out);
        observe(Some(self.blocks.len()));
        self.shared().push(maps);
        Ok(())
    }

    fn shared(&self) -> MutexGuard<'_, Vec<Vec<Lanes>>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last 1×1 convolution, for some rows.
    fn run_head(&self, input: &[Lanes], range: Range<usize>, out: &mut [Lanes]) {
        let Some(block) = self.blocks.last() else {
            return;
        };
        let (source, target) = (block.output(), self.last_map());
        let source = Source {
            lines: &input[range.start * source.row_lines()..],
            view: View::from(source),
        };
        let width = target.width;
        let target = Target {
            lines: out,
            view: View::from(&target),
        };
        self.head.run(range.len(), width, source, None, target);
    }

    /// Copies the last map to the caller's slice, averaged if that is wanted.
    fn finish(&self, map: &Map, lines: &[Lanes], out: &mut [f32]) {
        let lines = &lines[..map.image_lines()];
        if !self.average {
            map.export(lines, out);
            return;
        }
        let pixels = (map.height * map.width) as f32;
        for (block, out) in out.chunks_mut(LANES).enumerate() {
            let mut sums = Lanes::ZERO;
            for row in lines.chunks_exact(map.row_lines()) {
                for line in &row[block * map.columns..][..map.width] {
                    for (sum, value) in sums.0.iter_mut().zip(line.0) {
                        *sum += value;
                    }
                }
            }
            for (out, sum) in out.iter_mut().zip(sums.0) {
                *out = sum / pixels;
            }
        }
    }
}

/// Hands each thread a range of rows of `map` with their lines.
fn split_rows<'a>(
    threads: usize,
    map: &Map,
    lines: &'a mut [Lanes],
) -> Vec<(Range<usize>, &'a mut [Lanes])> {
    let mut rest = &mut lines[..map.image_lines()];
    let ranges = split_evenly(map.height, threads.min(map.height));
    ranges
        .map(|range| {
            let (rows, others) =
                std::mem::take(&mut rest).split_at_mut(range.len() * map.row_lines());
            rest = others;
            (range, rows)
        })
        .collect()
}

impl fmt::Debug for InvertedResidualStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InvertedResidualStack")
            .field("input_shape", &self.input_shape())
            .field("output_shape", &self.output_shape())
            .field("blocks", &self.blocks.len())
            .field("average", &self.average)
            .field("isa", &self.isa)
            .finish_non_exhaustive()
    }
}
