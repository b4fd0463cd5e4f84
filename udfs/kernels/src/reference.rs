//! The naive oracle: every operation of the two networks, written as its definition.
//!
//! Slow on purpose (no blocking, no vector code, no threads), so that it can be checked by
//! reading. Fast kernels are tested against it, and so are the models built on them. Every
//! function is generic over `f32` and `f64` and accumulates in the type of its input: run it in
//! `f64` (see [`widen`]) to judge the error of an `f32` kernel.
//!
//! Layouts: activations are NHWC, kernels are HWIO as Keras stores them (height, width, input
//! channel *within the group*, output channel). A depthwise convolution is the case
//! `groups == channels`; for a depth multiplier of one, Keras's depthwise kernel
//! `[height, width, channel, 1]` is already the HWIO slice that is expected here.
//!
//! ```
//! use featurize_kernels::reference::{Conv2d, Padding, Shape, conv2d};
//!
//! let shape = Shape { batch: 1, height: 2, width: 2, channels: 1 };
//! let sum = Conv2d { out_channels: 1, kernel: (2, 2), stride: (1, 1), padding: Padding::NONE, groups: 1 };
//! let (out, out_shape) = conv2d(&[1.0, 2.0, 3.0, 4.0], shape, &[1.0; 4], &[0.5], &sum)?;
//! assert_eq!(out, [10.5]);
//! assert_eq!(out_shape.dims(), [1, 1, 1, 1]);
//! # Ok::<(), featurize_kernels::KernelError>(())
//! ```

use std::ops::{Add, Div, Mul};

use crate::error::{KernelError, Result, check_len};

/// The element types of the oracle: `f32` and `f64`.
pub trait Real:
    Copy
    + Default
    + PartialOrd
    + From<f32>
    + Add<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
{
}

impl<T> Real for T where
    T: Copy
        + Default
        + PartialOrd
        + From<f32>
        + Add<Output = T>
        + Mul<Output = T>
        + Div<Output = T>
{
}

/// Extents of an NHWC tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Images.
    pub batch: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channels, the fastest varying index.
    pub channels: usize,
}

impl Shape {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.batch * self.height * self.width * self.channels
    }

    /// True if one of the extents is zero.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `[batch, height, width, channels]`.
    pub fn dims(&self) -> [usize; 4] {
        [self.batch, self.height, self.width, self.channels]
    }

    fn offset(&self, image: usize, y: usize, x: usize) -> usize {
        ((image * self.height + y) * self.width + x) * self.channels
    }
}

/// Rows and columns of zeros added around an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns on the left.
    pub left: usize,
    /// Columns on the right.
    pub right: usize,
}

impl Padding {
    /// No padding: Keras's `valid`.
    pub const NONE: Self = Self::symmetric(0);

    /// The same number on all four sides, as torchvision pads.
    pub const fn symmetric(n: usize) -> Self {
        Self::begin_end(n, n)
    }

    /// `begin` above and left, `end` below and right. Keras's MobileNetV2 pads its stride-2 layers
    /// by `begin_end(0, 1)` on images of even size.
    pub const fn begin_end(begin: usize, end: usize) -> Self {
        Self {
            top: begin,
            bottom: end,
            left: begin,
            right: end,
        }
    }
}

/// A two-dimensional convolution (in the sense of neural networks: a cross-correlation).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2d {
    /// Channels of the output.
    pub out_channels: usize,
    /// Height and width of the kernel.
    pub kernel: (usize, usize),
    /// Vertical and horizontal step.
    pub stride: (usize, usize),
    /// Zeros around the input.
    pub padding: Padding,
    /// Groups of channels that do not see each other; divides both channel counts.
    pub groups: usize,
}

impl Conv2d {
    /// Shape of the output for an input of `shape`.
    ///
    /// # Errors
    /// [`KernelError::Shape`] if a stride is zero, the groups do not divide the channels, or the
    /// kernel is empty or larger than the padded input.
    pub fn output_shape(&self, shape: Shape) -> Result<Shape> {
        let fail = |reason: String| Err(KernelError::shape("conv2d", reason));
        if self.groups == 0
            || shape.channels == 0
            || !shape.channels.is_multiple_of(self.groups)
            || !self.out_channels.is_multiple_of(self.groups)
        {
            return fail(format!(
                "{} groups must divide {} input (at least 1) and {} output channels",
                self.groups, shape.channels, self.out_channels
            ));
        }
        let height = shape.height + self.padding.top + self.padding.bottom;
        let width = shape.width + self.padding.left + self.padding.right;
        Ok(Shape {
            batch: shape.batch,
            height: window_count("conv2d", height, self.kernel.0, self.stride.0)?,
            width: window_count("conv2d", width, self.kernel.1, self.stride.1)?,
            channels: self.out_channels,
        })
    }

    /// Number of weights for `in_channels` input channels.
    pub fn weights_len(&self, in_channels: usize) -> usize {
        self.kernel.0 * self.kernel.1 * (in_channels / self.groups.max(1)) * self.out_channels
    }
}

/// Convolves `input` with `weights` (HWIO) and adds `bias` (one value per output channel).
///
/// Returns the output and its shape.
///
/// # Errors
/// [`KernelError::Shape`] as [`Conv2d::output_shape`], [`KernelError::Length`] if a slice has the
/// wrong number of elements.
pub fn conv2d<T: Real>(
    input: &[T],
    shape: Shape,
    weights: &[T],
    bias: &[T],
    conv: &Conv2d,
) -> Result<(Vec<T>, Shape)> {
    let out_shape = conv.output_shape(shape)?;
    check_len("input", shape.len(), input.len())?;
    check_len("weights", conv.weights_len(shape.channels), weights.len())?;
    check_len("bias", conv.out_channels, bias.len())?;

    let group_in = shape.channels / conv.groups;
    let group_out = conv.out_channels / conv.groups;
    let mut out = Vec::with_capacity(out_shape.len());
    for image in 0..out_shape.batch {
        for y in 0..out_shape.height {
            for x in 0..out_shape.width {
                let start = out.len();
                out.extend_from_slice(bias);
                let pixel = &mut out[start..];
                for ky in 0..conv.kernel.0 {
                    let Some(iy) = (y * conv.stride.0 + ky).checked_sub(conv.padding.top) else {
                        continue;
                    };
                    for kx in 0..conv.kernel.1 {
                        let Some(ix) = (x * conv.stride.1 + kx).checked_sub(conv.padding.left)
                        else {
                            continue;
                        };
                        if iy >= shape.height || ix >= shape.width {
                            continue;
                        }
                        let source = &input[shape.offset(image, iy, ix)..][..shape.channels];
                        let tap = (ky * conv.kernel.1 + kx) * group_in * conv.out_channels;
                        for (group, source) in source.chunks_exact(group_in).enumerate() {
                            let range = group * group_out..(group + 1) * group_out;
                            for (i, &value) in source.iter().enumerate() {
                                let row = &weights[tap + i * conv.out_channels..][range.clone()];
                                for (acc, &weight) in pixel[range.clone()].iter_mut().zip(row) {
                                    *acc = *acc + value * weight;
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    Ok((out, out_shape))
}

/// The largest value of each `window`, moved by `stride`, per channel; no padding.
///
/// # Errors
/// [`KernelError::Shape`] if a stride is zero or the window is empty or larger than the image,
/// [`KernelError::Length`] if `input` has the wrong number of elements.
pub fn max_pool2d<T: Real>(
    input: &[T],
    shape: Shape,
    window: (usize, usize),
    stride: (usize, usize),
) -> Result<(Vec<T>, Shape)> {
    check_len("input", shape.len(), input.len())?;
    let out_shape = Shape {
        height: window_count("max_pool2d", shape.height, window.0, stride.0)?,
        width: window_count("max_pool2d", shape.width, window.1, stride.1)?,
        ..shape
    };
    let mut out = Vec::with_capacity(out_shape.len());
    for image in 0..out_shape.batch {
        for y in 0..out_shape.height {
            for x in 0..out_shape.width {
                let start = out.len();
                for wy in 0..window.0 {
                    for wx in 0..window.1 {
                        let at = shape.offset(image, y * stride.0 + wy, x * stride.1 + wx);
                        let source = &input[at..][..shape.channels];
                        if wy == 0 && wx == 0 {
                            out.extend_from_slice(source);
                            continue;
                        }
                        for (max, &value) in out[start..].iter_mut().zip(source) {
                            if value > *max {
                                *max = value;
                            }
                        }
                    }
                }
            }
        }
    }
    Ok((out, out_shape))
}

/// The mean of each channel over height and width: `[batch, channels]`.
///
/// # Errors
/// [`KernelError::Length`] if `input` has the wrong number of elements.
pub fn global_average_pool<T: Real>(input: &[T], shape: Shape) -> Result<Vec<T>> {
    check_len("input", shape.len(), input.len())?;
    let pixels = shape.height * shape.width;
    let mut count = T::default();
    for _ in 0..pixels {
        count = count + T::from(1.0);
    }
    let mut out = vec![T::default(); shape.batch * shape.channels];
    if shape.is_empty() {
        return Ok(out);
    }
    let images = input.chunks_exact(pixels * shape.channels);
    for (image, mean) in images.zip(out.chunks_exact_mut(shape.channels)) {
        for pixel in image.chunks_exact(shape.channels) {
            for (sum, &value) in mean.iter_mut().zip(pixel) {
                *sum = *sum + value;
            }
        }
        for sum in mean {
            *sum = *sum / count;
        }
    }
    Ok(out)
}

/// `max(x, 0)` in place.
pub fn relu<T: Real>(values: &mut [T]) {
    for value in values {
        if *value < T::default() {
            *value = T::default();
        }
    }
}

/// `min(max(x, 0), 6)` in place.
pub fn relu6<T: Real>(values: &mut [T]) {
    let six = T::from(6.0);
    for value in values {
        if *value < T::default() {
            *value = T::default();
        } else if *value > six {
            *value = six;
        }
    }
}

/// Element-wise sum in place, the skip connection of a residual block.
///
/// # Errors
/// [`KernelError::Length`] if the slices differ in length.
pub fn add_assign<T: Real>(values: &mut [T], other: &[T]) -> Result<()> {
    check_len("other", values.len(), other.len())?;
    for (value, &other) in values.iter_mut().zip(other) {
        *value = *value + other;
    }
    Ok(())
}

/// The same values in double precision.
pub fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

/// Relative error of `actual` in the L2 norm: `‖actual − expected‖ / ‖expected‖`.
///
/// # Errors
/// [`KernelError::Length`] if the slices differ in length.
pub fn relative_error(actual: &[f32], expected: &[f64]) -> Result<f64> {
    check_len("actual", expected.len(), actual.len())?;
    let (mut difference, mut norm) = (0.0, 0.0);
    for (&actual, &expected) in actual.iter().zip(expected) {
        difference += (f64::from(actual) - expected).powi(2);
        norm += expected.powi(2);
    }
    if difference == 0.0 {
        return Ok(0.0);
    }
    Ok((difference / norm).sqrt())
}

/// How many positions a window of `size` has in `extent` when moved by `stride`.
fn window_count(layer: &str, extent: usize, size: usize, stride: usize) -> Result<usize> {
    if stride == 0 || size == 0 || size > extent {
        return Err(KernelError::shape(
            layer,
            format!(
                "window of {size} with stride {stride} does not fit an extent of {extent} \
                 (window and stride must be at least 1, the window at most the extent)"
            ),
        ));
    }
    Ok((extent - size) / stride + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(height: usize, width: usize, channels: usize) -> Shape {
        Shape {
            batch: 1,
            height,
            width,
            channels,
        }
    }

    // Expected values by hand: an image of ones convolved with ones counts the taps inside.
    #[test]
    fn same_padding_counts_the_taps_inside() -> Result<()> {
        let conv = Conv2d {
            out_channels: 1,
            kernel: (3, 3),
            stride: (1, 1),
            padding: Padding::symmetric(1),
            groups: 1,
        };
        let (out, out_shape) = conv2d(&[1.0f32; 9], shape(3, 3, 1), &[1.0; 9], &[0.0], &conv)?;
        assert_eq!(out_shape.dims(), [1, 3, 3, 1]);
        assert_eq!(out, [4.0, 6.0, 4.0, 6.0, 9.0, 6.0, 4.0, 6.0, 4.0]);
        Ok(())
    }

    // Keras pads a stride-2 layer at the end only: the first window starts at the first pixel.
    #[test]
    fn padding_at_the_end_only() -> Result<()> {
        let conv = Conv2d {
            out_channels: 1,
            kernel: (3, 3),
            stride: (2, 2),
            padding: Padding::begin_end(0, 1),
            groups: 1,
        };
        let image: Vec<f64> = (0..16).map(f64::from).collect();
        let (out, out_shape) = conv2d(&image, shape(4, 4, 1), &[1.0; 9], &[0.0], &conv)?;
        assert_eq!(out_shape.dims(), [1, 2, 2, 1]);
        assert_eq!(out, [45.0, 39.0, 66.0, 50.0]);
        Ok(())
    }

    #[test]
    fn groups_do_not_mix() -> Result<()> {
        let depthwise = Conv2d {
            out_channels: 2,
            kernel: (1, 1),
            stride: (1, 1),
            padding: Padding::NONE,
            groups: 2,
        };
        let (out, _) = conv2d(
            &[1.0f32, 2.0, 3.0, 4.0],
            shape(1, 2, 2),
            &[10.0, 100.0],
            &[0.5, 0.25],
            &depthwise,
        )?;
        assert_eq!(out, [10.5, 200.25, 30.5, 400.25]);

        let two_to_one = Conv2d {
            groups: 2,
            ..depthwise
        };
        let weights = [1.0f32, 10.0, 2.0, 20.0];
        let (out, _) = conv2d(
            &[1.0, 2.0, 3.0, 4.0],
            shape(1, 1, 4),
            &weights,
            &[0.0; 2],
            &two_to_one,
        )?;
        assert_eq!(out, [1.0 + 2.0 * 2.0, 3.0 * 10.0 + 4.0 * 20.0]);
        Ok(())
    }

    #[test]
    fn pools_and_activations() -> Result<()> {
        let image = [1.0f32, -8.0, 3.0, 8.0, 5.0, -2.0, 7.0, 2.0];
        let (out, out_shape) = max_pool2d(&image, shape(2, 2, 2), (2, 2), (2, 2))?;
        assert_eq!(
            (out.as_slice(), out_shape.dims()),
            (&[7.0, 8.0][..], [1, 1, 1, 2])
        );
        assert_eq!(global_average_pool(&image, shape(2, 2, 2))?, [4.0, 0.0]);
        let mut values = image;
        relu6(&mut values);
        assert_eq!(values, [1.0, 0.0, 3.0, 6.0, 5.0, 0.0, 6.0, 2.0]);
        add_assign(&mut values, &[1.0; 8])?;
        assert_eq!(values, [2.0, 1.0, 4.0, 7.0, 6.0, 1.0, 7.0, 3.0]);
        Ok(())
    }

    #[test]
    fn misfits_are_errors() {
        let conv = Conv2d {
            out_channels: 3,
            kernel: (3, 3),
            stride: (1, 1),
            padding: Padding::NONE,
            groups: 2,
        };
        let error = conv.output_shape(shape(4, 4, 2)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "conv2d: 2 groups must divide 2 input (at least 1) and 3 output channels"
        );
        let conv = Conv2d { groups: 1, ..conv };
        assert!(conv.output_shape(shape(2, 4, 2)).is_err());
        let error =
            conv2d(&[0.0f32; 31], shape(4, 4, 2), &[0.0; 54], &[0.0; 3], &conv).unwrap_err();
        assert_eq!(error.to_string(), "input must hold 32 elements, found 31");
    }
}
