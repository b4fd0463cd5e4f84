//! A convolution of few input channels, straight from NHWC pixels: the first layer of a network.
//!
//! With three channels there are 27 products per output of a 3×3 kernel, too few for a transform to
//! pay, and the pixels are not blocked by sixteen yet. Each output row multiplies windows of a few
//! input rows with packed weights, several pixels at a time.

#![expect(
    clippy::needless_range_loop,
    reason = "indices are the rows and columns of tiles held in registers"
)]

use std::ops::Range;

use crate::activation::{Activation, clamp};
use crate::gemm::{Panels, with_rows};
use crate::layout::{Map, Sides, Target};
use crate::parallel::{Team, at_least};
use crate::simd::{Arch, Kernel, LANES, Lanes, Simd, floats_mut};

/// Output rows of a task: enough to hide the copy of the two rows that tasks share.
const TASK_ROWS: usize = 16;

/// A convolution with bias and activation on NHWC pixels of one fixed size.
#[derive(Debug)]
pub(crate) struct Direct {
    input: (usize, usize, usize),
    /// Height and width of the kernel.
    size: (usize, usize),
    stride: usize,
    /// Zeros before the first pixel.
    before: Sides,
    /// Height, width and channels.
    output: (usize, usize, usize),
    activation: Activation,
    /// `[group][tap and input channel][vector of output channels]`.
    weights: Vec<Lanes>,
    bias: Vec<Lanes>,
    arch: Arch,
}

impl Direct {
    /// `kernel` is HWIO; lengths and extents were checked by the caller.
    pub(crate) fn new(
        arch: Arch,
        (input, output): ((usize, usize, usize), (usize, usize, usize)),
        (size, stride, before): ((usize, usize), usize, Sides),
        activation: Activation,
        kernel: &[f32],
        bias: &[f32],
    ) -> Self {
        let vectors = arch.gemm_vectors();
        let groups = output.2.div_ceil(vectors * LANES);
        let mut weights = Vec::with_capacity(groups * kernel.len() / output.2 * vectors);
        for group in 0..groups {
            for tap in kernel.chunks_exact(output.2) {
                for vector in group * vectors..(group + 1) * vectors {
                    let channels = tap.get(vector * LANES..).unwrap_or_default();
                    weights.push(Lanes::from_slice(channels));
                }
            }
        }
        let mut bias = crate::simd::to_lanes(bias);
        bias.resize(groups * vectors, Lanes::ZERO);
        Self {
            input,
            size,
            stride,
            before,
            output,
            activation,
            weights,
            bias,
            arch,
        }
    }

    /// Memory held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.weights.as_slice()) + size_of_val(self.bias.as_slice())
    }

    /// Elements of one input image.
    fn input_len(&self) -> usize {
        self.input.0 * self.input.1 * self.input.2
    }

    /// Computes the NHWC images in `input`.
    pub(crate) fn run(&self, team: &Team<'_>, input: &[f32], target: Target<'_>) {
        let map = target.map;
        team.for_rows(target, TASK_ROWS, (1, map.blocks()), |task, scratch| {
            let pixels = &mut scratch.pixels;
            self.run_rows(input, task.range, map, task.rows.into_iter(), pixels);
        });
    }

    /// Computes some rows of the output, counted over all images in `input`, into `rows`. The
    /// columns of zeros of `map` are left alone.
    pub(crate) fn run_rows<'a>(
        &self,
        input: &[f32],
        range: Range<usize>,
        map: &Map,
        rows: impl Iterator<Item = &'a mut [Lanes]>,
        scratch: &mut Vec<Lanes>,
    ) {
        self.arch.run(Rows {
            layer: self,
            input,
            map,
            range,
            rows,
            scratch,
        });
    }

    /// Floats of one padded row: exactly what the windows of all outputs cover.
    fn strip_width(&self) -> usize {
        ((self.output.1 - 1) * self.stride + self.size.1) * self.input.2
    }

    /// Copies the input rows under row `y` of the output, with their zeros.
    fn copy_rows(&self, image: &[f32], y: usize, strip: &mut [f32]) {
        let width = self.strip_width();
        let left = self.before.left * self.input.2;
        let input_width = self.input.1 * self.input.2;
        for (tap, row) in strip.chunks_exact_mut(width).enumerate() {
            let source = (y * self.stride + tap).checked_sub(self.before.top);
            let Some(source) = source.filter(|&source| source < self.input.0) else {
                row.fill(0.0);
                continue;
            };
            let source = &image[source * input_width..][..input_width];
            let left = left.min(width);
            let inside = input_width.min(width - left);
            row[..left].fill(0.0);
            row[left..left + inside].copy_from_slice(&source[..inside]);
            row[left + inside..].fill(0.0);
        }
    }
}

struct Rows<'a, I> {
    layer: &'a Direct,
    input: &'a [f32],
    map: &'a Map,
    range: Range<usize>,
    rows: I,
    scratch: &'a mut Vec<Lanes>,
}

impl<'a, I: Iterator<Item = &'a mut [Lanes]>> Kernel for Rows<'_, I> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let layer = self.layer;
        let width = layer.strip_width();
        let floats = layer.size.0 * width;
        let strip = &mut floats_mut(at_least(self.scratch, floats.div_ceil(LANES)))[..floats];
        for (y, row) in self.range.zip(self.rows) {
            let (image, y) = (y / layer.output.0, y % layer.output.0);
            let image = &self.input[image * layer.input_len()..][..layer.input_len()];
            layer.copy_rows(image, y, strip);
            // The distance between windows as a constant lets their addresses be constants too.
            match layer.stride * layer.input.2 {
                3 => compute_row::<S, 3>(simd, layer, strip, self.map, row),
                6 => compute_row::<S, 6>(simd, layer, strip, self.map, row),
                _ => compute_row::<S, 0>(simd, layer, strip, self.map, row),
            }
        }
    }
}

#[inline(always)]
fn compute_row<S: Simd, const STEP: usize>(
    simd: S,
    layer: &Direct,
    strip: &[f32],
    map: &Map,
    out: &mut [Lanes],
) {
    for (start, pixels) in Panels::new(layer.output.1, S::GEMM_ROWS).iter() {
        if S::GEMM_VECTORS == 2 {
            with_rows!(S, pixels, M => {
                compute_pixels::<S, M, 2, STEP>(simd, layer, strip, start, map, out);
            });
        } else {
            with_rows!(S, pixels, M => {
                compute_pixels::<S, M, 1, STEP>(simd, layer, strip, start, map, out);
            });
        }
    }
}

#[inline(always)]
fn compute_pixels<S: Simd, const M: usize, const N: usize, const STEP: usize>(
    simd: S,
    layer: &Direct,
    strip: &[f32],
    start: usize,
    map: &Map,
    out: &mut [Lanes],
) {
    let step = if STEP == 0 {
        layer.stride * layer.input.2
    } else {
        STEP
    };
    let bounds = layer.activation.bounds(simd);
    let taps = layer.size.1 * layer.input.2;
    let window = (M - 1) * step + taps;
    let (weights, _) = layer.weights.as_chunks::<N>();
    let (bias, _) = layer.bias.as_chunks::<N>();
    for (group, (weights, bias)) in weights
        .chunks_exact(layer.size.0 * taps)
        .zip(bias)
        .enumerate()
    {
        let mut first = [simd.splat(0.0); N];
        for n in 0..N {
            first[n] = simd.load(&bias[n]);
        }
        let mut sums = [first; M];
        let rows = strip.chunks_exact(layer.strip_width());
        for (row, weights) in rows.zip(weights.chunks_exact(taps)) {
            let row = &row[start * step..][..window];
            for (tap, weights) in weights.iter().enumerate() {
                let mut weight = [simd.splat(0.0); N];
                for n in 0..N {
                    weight[n] = simd.load(&weights[n]);
                }
                for m in 0..M {
                    // SAFETY: `row` has `(M - 1) * step + taps` floats, `m < M` and `tap < taps`.
                    let value = simd.splat(unsafe { *row.get_unchecked(m * step + tap) });
                    for n in 0..N {
                        sums[m][n] = simd.mul_add(value, weight[n], sums[m][n]);
                    }
                }
            }
        }
        for n in 0..N {
            let block = group * N + n;
            if block >= map.blocks() {
                break;
            }
            let pixels = &mut out[block * map.columns() + map.border.left + start..][..M];
            for m in 0..M {
                simd.store(&mut pixels[m], clamp(simd, sums[m][n], bounds));
            }
        }
    }
}
