//! A stack of 3×3 convolutions and max pools, such as VGG16.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::direct::Direct;
use crate::error::{Result, check_len};
use crate::layout::Map;
use crate::parallel::Team;
use crate::pool::{CancelToken, ComputePool};
use crate::simd::{Isa, Lanes};
use crate::winograd::Winograd;

mod builder;
#[cfg(test)]
mod tests;

pub use builder::ConvStackBuilder;

/// Images that go through the deep layers together, so that their weights are read once for all.
const BATCH: usize = 8;

/// A stack of 3×3 convolutions, packed for this machine.
///
/// Every convolution has stride 1, `same` padding, a bias and ReLU; each may be followed by a 2×2
/// max pool of stride 2. Weights are transformed and packed once, by the builder. A stack is
/// immutable and may be used from any number of threads at once.
///
/// * **Input**: `n` images in NHWC order, `[n, height, width, channels]` as one slice of `f32`.
/// * **Output**: `[n, h, w, c]` in NHWC order, with [`Self::output_shape`] `(h, w, c)`.
/// * **Weights**: HWIO as Keras stores them, `[3, 3, in, out]`, and one bias per output channel.
///
/// An image's result is the same bits whatever the other images of the call, the number of threads
/// or the instruction set (see [`Isa`]).
///
/// ```
/// use featurize_kernels::{CancelToken, ComputePool, ConvStack};
///
/// let (first, second) = (vec![0.1; 9 * 3 * 8], vec![0.1; 9 * 8 * 4]);
/// let stack = ConvStack::builder(12, 12, 3)?
///     .conv3x3_relu(&first, &[0.0; 8])?
///     .conv3x3_relu(&second, &[0.5; 4])?
///     .max_pool2()?
///     .build()?;
/// assert_eq!(stack.output_shape(), (6, 6, 4));
///
/// let images = vec![1.0; 2 * 12 * 12 * 3];
/// let mut features = vec![0.0; 2 * stack.output_len()];
/// stack.run(&images, 2, &mut features, ComputePool::global()?, &CancelToken::new())?;
/// # Ok::<(), featurize_kernels::KernelError>(())
/// ```
pub struct ConvStack {
    first: Direct,
    layers: Vec<Winograd>,
    /// The output of each layer, with the zeros that the next one reads.
    maps: Vec<Map>,
    /// Layers (with `first` as layer 0) that take one image at a time; the others take
    /// up to [`BATCH`].
    single: usize,
    isa: Isa,
    workspaces: Mutex<Vec<Workspace>>,
}

/// Feature maps of one micro-batch. Layers write to `maps` in turns; `batch` collects the images
/// before the first layer that takes several.
#[derive(Debug, Default)]
struct Workspace {
    maps: [Vec<Lanes>; 2],
    batch: Vec<Lanes>,
}

/// Time and work of one layer, from [`ConvStack::profile`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LayerReport {
    /// Such as `conv3x3 64→128 at 112×112`.
    pub name: String,
    /// Floating-point operations of the definition, for all images.
    pub operations: usize,
    /// Time for all images, on the caller's clock.
    pub time: Duration,
}

impl ConvStack {
    /// Begins a stack for images of `height` × `width` pixels of `channels` channels, with the
    /// instruction set of [`Isa::detect`].
    ///
    /// # Errors
    /// As [`Isa::detect`], and [`crate::KernelError::Shape`] if an extent is zero.
    pub fn builder(height: usize, width: usize, channels: usize) -> Result<ConvStackBuilder> {
        ConvStackBuilder::new(height, width, channels)
    }

    /// Height, width and channels of one input image.
    pub fn input_shape(&self) -> (usize, usize, usize) {
        self.first.input()
    }

    /// Height, width and channels of one image's output.
    pub fn output_shape(&self) -> (usize, usize, usize) {
        match self.layers.last() {
            Some(layer) => layer.output(),
            None => self.first.output(),
        }
    }

    /// Elements of one image's output.
    pub fn output_len(&self) -> usize {
        let (height, width, channels) = self.output_shape();
        height * width * channels
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Memory of the packed weights, in bytes.
    pub fn packed_bytes(&self) -> usize {
        self.first.bytes() + self.layers.iter().map(Winograd::bytes).sum::<usize>()
    }

    /// Memory of the feature maps of one micro-batch, in bytes. As many workspaces exist as
    /// micro-batches were ever admitted at once (see [`ComputePool`]); they are reused.
    pub fn workspace_bytes(&self) -> usize {
        let (maps, batch) = self.workspace_lines();
        (2 * maps + batch) * size_of::<Lanes>()
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
        self.run_with(input, n, out, pool, cancel, &mut |_| {})
    }

    /// Computes `n` images as [`Self::run`] and reports the time of each layer, as the difference
    /// of two readings of `clock` on a thread of the pool.
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
        let mut times = vec![Duration::ZERO; self.layers.len() + 1];
        let mut last = Duration::ZERO;
        let mut observe = |layer: Option<usize>| {
            let now = clock();
            if let Some(layer) = layer {
                times[layer] += now - last;
            }
            last = now;
        };
        self.run_with(input, n, out, pool, &CancelToken::new(), &mut observe)?;
        let (height, width, channels) = self.first.input();
        let (_, _, out_channels) = self.first.output();
        let mut names = vec![format!(
            "direct 3×3 {channels}→{out_channels} at {height}×{width}"
        )];
        let mut operations = vec![n * self.first.operations()];
        for layer in &self.layers {
            names.push(layer.name());
            operations.push(n * layer.operations());
        }
        let reports = names.into_iter().zip(operations).zip(times);
        Ok(reports
            .map(|((name, operations), time)| LayerReport {
                name,
                operations,
                time,
            })
            .collect())
    }

    fn run_with(
        &self,
        input: &[f32],
        n: usize,
        out: &mut [f32],
        pool: &ComputePool,
        cancel: &CancelToken,
        observe: &mut (dyn FnMut(Option<usize>) + Send),
    ) -> Result<()> {
        let image_len = self.first.input_len();
        check_len("input", n * image_len, input.len())?;
        check_len("out", n * self.output_len(), out.len())?;
        let inputs = input.chunks(BATCH * image_len);
        for (input, out) in inputs.zip(out.chunks_mut(BATCH * self.output_len())) {
            pool.run(cancel, || {
                let mut workspace = self.workspace();
                let team = Team::new(pool.threads(), cancel);
                let result = self.micro_batch(&team, &mut workspace, input, out, observe);
                self.workspaces
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(workspace);
                result
            })?;
        }
        Ok(())
    }

    /// Lines of each of the two maps, and of the batch buffer.
    fn workspace_lines(&self) -> (usize, usize) {
        let lines =
            self.maps.iter().enumerate().map(|(layer, map)| {
                map.image_lines() * if layer < self.single { 1 } else { BATCH }
            });
        let batch = match self.single.checked_sub(1) {
            Some(last) if self.single < self.maps.len() => BATCH * self.maps[last].image_lines(),
            _ => 0,
        };
        (lines.max().unwrap_or(0), batch)
    }

    fn workspace(&self) -> Workspace {
        let free = self
            .workspaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        free.unwrap_or_else(|| {
            let (maps, batch) = self.workspace_lines();
            Workspace {
                maps: [vec![Lanes::ZERO; maps], vec![Lanes::ZERO; maps]],
                batch: vec![Lanes::ZERO; batch],
            }
        })
    }

    /// Runs up to [`BATCH`] images through all layers.
    fn micro_batch(
        &self,
        team: &Team<'_>,
        workspace: &mut Workspace,
        input: &[f32],
        out: &mut [f32],
        observe: &mut (dyn FnMut(Option<usize>) + Send),
    ) -> Result<()> {
        let images = input.len() / self.first.input_len();
        let Workspace {
            maps: [even, odd],
            batch,
        } = workspace;
        let batched = self.single < self.maps.len();
        let last_single = self.single - 1;
        observe(None);

        for (image, input) in input.chunks_exact(self.first.input_len()).enumerate() {
            for layer in 0..self.single {
                let map = &self.maps[layer];
                let lines = map.image_lines();
                let (source, target) = if layer.is_multiple_of(2) {
                    (&*odd, &mut *even)
                } else {
                    (&*even, &mut *odd)
                };
                let target = if batched && layer == last_single {
                    &mut batch[image * lines..][..lines]
                } else {
                    &mut target[..lines]
                };
                match layer.checked_sub(1) {
                    None => self.first.run(team, input, map, target),
                    Some(before) => {
                        let source = &source[..self.maps[before].image_lines()];
                        self.layers[before].run(team, source, map, target);
                    }
                }
                team.check()?;
                observe(Some(layer));
            }
            if !batched {
                let map = &self.maps[last_single];
                let result = if last_single.is_multiple_of(2) {
                    &*even
                } else {
                    &*odd
                };
                let out = &mut out[image * self.output_len()..][..self.output_len()];
                map.export(&result[..map.image_lines()], out);
            }
        }
        if !batched {
            return Ok(());
        }
        let mut result = &*batch;
        for layer in self.single..self.maps.len() {
            let map = &self.maps[layer];
            let source_lines = images * self.maps[layer - 1].image_lines();
            let (source, target) = match layer - self.single {
                0 => (&*batch, &mut *even),
                n if n % 2 == 1 => (&*even, &mut *odd),
                _ => (&*odd, &mut *even),
            };
            let target = &mut target[..images * map.image_lines()];
            self.layers[layer - 1].run(team, &source[..source_lines], map, target);
            team.check()?;
            observe(Some(layer));
            result = if (layer - self.single).is_multiple_of(2) {
                even
            } else {
                odd
            };
        }
        if let Some(map) = self.maps.last() {
            map.export(&result[..images * map.image_lines()], out);
        }
        Ok(())
    }
}

impl fmt::Debug for ConvStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConvStack")
            .field("input_shape", &self.input_shape())
            .field("output_shape", &self.output_shape())
            .field("convolutions", &(self.layers.len() + 1))
            .field("isa", &self.isa)
            .finish_non_exhaustive()
    }
}
