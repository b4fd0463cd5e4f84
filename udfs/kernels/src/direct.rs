//! A 3×3 convolution of few input channels, straight from NHWC pixels: the first layer of a
//! network.
//!
//! With three channels there are 27 products per output, too few for a transform to pay, and the
//! pixels are not blocked by sixteen yet. Each output row multiplies windows of three input rows
//! with packed weights, several pixels at a time.

#![expect(
    clippy::needless_range_loop,
    reason = "indices are the rows and columns of tiles held in registers"
)]

use std::ops::Range;

use crate::activation::{Activation, clamp};
use crate::gemm::{Panels, with_rows};
use crate::layout::Map;
use crate::parallel::{Task, Team, at_least};
use crate::simd::{Arch, Kernel, LANES, Lanes, Simd, floats_mut};

/// Output rows of a task: enough to hide the copy of the two rows that tasks share.
const TASK_ROWS: usize = 16;

/// A 3×3 convolution with bias and activation on NHWC pixels of one fixed size.
#[derive(Debug)]
pub(crate) struct Direct {
    height: usize,
    width: usize,
    in_channels: usize,
    out_channels: usize,
    stride: usize,
    /// Zeros above and on the left.
    padding: usize,
    out_height: usize,
    out_width: usize,
    activation: Activation,
    /// `[group][tap and input channel][vector of output channels]`.
    weights: Vec<Lanes>,
    bias: Vec<Lanes>,
    arch: Arch,
}

impl Direct {
    /// `kernel` is HWIO; lengths were checked by the caller. `padding` gives the zeros before the
    /// first and after the last row and column.
    pub(crate) fn new(
        arch: Arch,
        (height, width, in_channels): (usize, usize, usize),
        stride: usize,
        padding: (usize, usize),
        activation: Activation,
        kernel: &[f32],
        bias: &[f32],
    ) -> Self {
        let out_channels = bias.len();
        let vectors = arch.gemm_vectors();
        let groups = out_channels.div_ceil(vectors * LANES);
        let taps = 9 * in_channels;
        let mut weights = Vec::with_capacity(groups * taps * vectors);
        for group in 0..groups {
            for tap in kernel.chunks_exact(out_channels) {
                for vector in group * vectors..(group + 1) * vectors {
                    let channels = tap.get(vector * LANES..).unwrap_or_default();
                    weights.push(Lanes::from_slice(channels));
                }
            }
        }
        let mut bias = crate::simd::to_lanes(bias);
        bias.resize(groups * vectors, Lanes::ZERO);
        let extent = |size: usize| (size + padding.0 + padding.1 - 3) / stride + 1;
        Self {
            height,
            width,
            in_channels,
            out_channels,
            stride,
            padding: padding.0,
            out_height: extent(height),
            out_width: extent(width),
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

    /// Multiplications and additions for one image.
    pub(crate) fn operations(&self) -> usize {
        2 * 9 * self.in_channels * self.out_channels * self.out_height * self.out_width
    }

    /// Height, width and channels of the output.
    pub(crate) fn output(&self) -> (usize, usize, usize) {
        (self.out_height, self.out_width, self.out_channels)
    }

    /// Height, width and channels of the input.
    pub(crate) fn input(&self) -> (usize, usize, usize) {
        (self.height, self.width, self.in_channels)
    }

    /// Elements of one input image.
    pub(crate) fn input_len(&self) -> usize {
        self.height * self.width * self.in_channels
    }

    /// Computes the NHWC images in `input` into `output` (of `output_map`).
    pub(crate) fn run(
        &self,
        team: &Team<'_>,
        input: &[f32],
        output_map: &Map,
        output: &mut [Lanes],
    ) {
        output_map.clear_border(output);
        let images = input.len() / self.input_len();
        let rows = images * self.out_height;
        let plan = team.plan(rows, rows.div_ceil(TASK_ROWS), 1);
        let lines = output_map.row_lines();
        let tasks = Task::split(&plan, output_map.pixel_rows(output).enumerate(), lines);
        team.for_each(tasks, |task, scratch| {
            let pixels = &mut scratch.pixels;
            self.run_rows(input, task.range, output_map, task.rows.into_iter(), pixels);
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
        ((self.out_width - 1) * self.stride + 3) * self.in_channels
    }

    /// Copies the three input rows under row `y` of the output, with their zeros.
    fn copy_rows(&self, image: &[f32], y: usize, strip: &mut [f32]) {
        let width = self.strip_width();
        let left = self.padding * self.in_channels;
        let input_width = self.width * self.in_channels;
        for (tap, row) in strip.chunks_exact_mut(width).enumerate() {
            let source = (y * self.stride + tap).checked_sub(self.padding);
            let Some(source) = source.filter(|&source| source < self.height) else {
                row.fill(0.0);
                continue;
            };
            let source = &image[source * input_width..][..input_width];
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
        let lines = (3 * width).div_ceil(LANES);
        let strip = &mut floats_mut(at_least(self.scratch, lines))[..3 * width];
        for (y, row) in self.range.zip(self.rows) {
            let (image, y) = (y / layer.out_height, y % layer.out_height);
            let image = &self.input[image * layer.input_len()..][..layer.input_len()];
            layer.copy_rows(image, y, strip);
            // The distance between windows as a constant lets their addresses be constants too.
            match layer.stride * layer.in_channels {
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
    for (start, pixels) in Panels::new(layer.out_width, S::GEMM_ROWS).iter() {
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
        layer.stride * layer.in_channels
    } else {
        STEP
    };
    let bounds = layer.activation.bounds(simd);
    let taps = 3 * layer.in_channels;
    let window = (M - 1) * step + taps;
    let (weights, _) = layer.weights.as_chunks::<N>();
    let (bias, _) = layer.bias.as_chunks::<N>();
    for (group, (weights, bias)) in weights.chunks_exact(3 * taps).zip(bias).enumerate() {
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
            let pixels = &mut out[block * map.columns + map.border + start..][..M];
            for m in 0..M {
                simd.store(&mut pixels[m], clamp(simd, sums[m][n], bounds));
            }
        }
    }
}
