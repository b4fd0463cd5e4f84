//! Building an [`InvertedResidualStack`], layer by layer.

use std::sync::Mutex;

use super::InvertedResidualStack;
use crate::activation::Activation;
use crate::depthwise::Depthwise;
use crate::direct::Direct;
use crate::error::{KernelError, Result, check_len};
use crate::inverted_residual::{Block, Wide};
use crate::pointwise::Pointwise;
use crate::simd::{Arch, Isa};

/// Kernel and bias of one convolution, with batch normalisation folded in.
///
/// Kernels are laid out as Keras stores them: HWIO `[3, 3, in, out]` for the stem, `[3, 3, channel]`
/// for depthwise convolutions, `[in, out]` for 1×1 convolutions. The number of output channels is
/// `bias.len()`.
#[derive(Debug, Clone, Copy)]
pub struct ConvWeights<'a> {
    /// Weights of all taps.
    pub kernel: &'a [f32],
    /// One value per output channel.
    pub bias: &'a [f32],
}

/// How the 3×3 window of a convolution moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Step in both directions: 1 or 2.
    pub stride: usize,
    /// Rows and columns of zeros before the first pixel and after the last, each 0 or 1. Keras pads
    /// layers of stride 2 by `(0, 1)` on images of even size and by `(1, 1)` on odd ones;
    /// torchvision always pads by `(1, 1)`.
    pub padding: (usize, usize),
}

/// Builds an [`InvertedResidualStack`]; see there for the layouts.
///
/// Each layer is packed at once, so that the caller's weights need not outlive the call.
#[derive(Debug)]
pub struct InvertedResidualBuilder {
    input: (usize, usize, usize),
    shape: (usize, usize, usize),
    isa: Isa,
    arch: Arch,
    stem: Option<Direct>,
    blocks: Vec<Block>,
    head: Option<Pointwise>,
    average: bool,
}

impl InvertedResidualBuilder {
    pub(super) fn new(height: usize, width: usize, channels: usize) -> Result<Self> {
        if height == 0 || width == 0 || channels == 0 {
            return Err(KernelError::shape(
                "input",
                format!("extents must be at least 1, found {height}×{width}×{channels}"),
            ));
        }
        let isa = Isa::detect()?;
        Ok(Self {
            input: (height, width, channels),
            shape: (height, width, channels),
            isa,
            arch: isa.arch()?,
            stem: None,
            blocks: Vec::new(),
            head: None,
            average: false,
        })
    }

    /// Uses another instruction set for the layers that follow; call it first.
    ///
    /// # Errors
    /// [`KernelError::Setting`] if this machine lacks it.
    pub fn isa(mut self, isa: Isa) -> Result<Self> {
        self.arch = isa.arch()?;
        self.isa = isa;
        Ok(self)
    }

    /// Adds the first layer: a 3×3 convolution with bias and ReLU6.
    ///
    /// # Errors
    /// [`KernelError::Shape`] if it is not the first layer or its window does not fit,
    /// [`KernelError::Length`] if the kernel does not fit the channels.
    pub fn stem(mut self, weights: ConvWeights<'_>, window: Window) -> Result<Self> {
        if self.stem.is_some() || !self.blocks.is_empty() {
            return Err(self.misfit("the stem must be the first layer"));
        }
        self.check_window(window, self.shape)?;
        self.check_kernel(9 * self.shape.2, weights)?;
        let stem = Direct::new(
            self.arch,
            self.shape,
            window.stride,
            window.padding,
            Activation::Relu6,
            weights.kernel,
            weights.bias,
        );
        self.shape = stem.output();
        self.stem = Some(stem);
        Ok(self)
    }

    /// Adds the first block: a depthwise 3×3 convolution with bias and ReLU6, then a 1×1
    /// convolution with bias. It must follow the stem, with which it is computed as one.
    ///
    /// # Errors
    /// As [`Self::stem`], and [`KernelError::Shape`] if it does not follow the stem.
    pub fn separable(
        mut self,
        depthwise: ConvWeights<'_>,
        window: Window,
        project: ConvWeights<'_>,
    ) -> Result<Self> {
        let Some(stem) = self.stem.take() else {
            return Err(self.misfit("a separable block must follow the stem directly"));
        };
        let wide = self.shape;
        self.block(Wide::Stem(stem), wide, (depthwise, window), project)
    }

    /// Adds a block: 1×1 convolution with ReLU6, depthwise 3×3 convolution with ReLU6, 1×1
    /// convolution, all with bias. If its window has stride 1 and the channels do not change, the
    /// input is added at the end.
    ///
    /// # Errors
    /// As [`Self::stem`], and [`KernelError::Shape`] if no separable block came before.
    pub fn inverted_residual(
        self,
        expand: ConvWeights<'_>,
        depthwise: ConvWeights<'_>,
        window: Window,
        project: ConvWeights<'_>,
    ) -> Result<Self> {
        if self.blocks.is_empty() || self.head.is_some() {
            return Err(self.misfit("a block must follow another one"));
        }
        let (height, width, channels) = self.shape;
        self.check_kernel(channels, expand)?;
        let wide = (height, width, expand.bias.len());
        let expand = self.pointwise(Activation::Relu6, expand);
        self.block(Wide::Expand(expand), wide, (depthwise, window), project)
    }

    /// Adds the last layer: a 1×1 convolution with bias and ReLU6.
    ///
    /// # Errors
    /// [`KernelError::Shape`] if no block came before, [`KernelError::Length`] if the kernel does
    /// not fit the channels.
    pub fn head(mut self, weights: ConvWeights<'_>) -> Result<Self> {
        if self.blocks.is_empty() || self.head.is_some() {
            return Err(self.misfit("the head must follow a block"));
        }
        self.check_kernel(self.shape.2, weights)?;
        self.head = Some(self.pointwise(Activation::Relu6, weights));
        Ok(self)
    }

    /// Gives the mean of each channel instead of the last feature map.
    #[must_use]
    pub fn global_average_pool(mut self) -> Self {
        self.average = true;
        self
    }

    /// Finishes the stack.
    ///
    /// # Errors
    /// [`KernelError::Shape`] if it has no head.
    pub fn build(self) -> Result<InvertedResidualStack> {
        let Some(head) = self.head else {
            return Err(self.misfit("a stack needs a stem, blocks and a head"));
        };
        Ok(InvertedResidualStack {
            input: self.input,
            blocks: self.blocks,
            head,
            average: self.average,
            isa: self.isa,
            shared: Mutex::new(Vec::new()),
        })
    }

    /// Adds a block whose wide layer has output `wide`.
    fn block(
        mut self,
        layer: Wide,
        wide: (usize, usize, usize),
        (depthwise, window): (ConvWeights<'_>, Window),
        project: ConvWeights<'_>,
    ) -> Result<Self> {
        self.check_window(window, wide)?;
        let (height, width, channels) = wide;
        if depthwise.bias.len() != channels {
            return Err(self.misfit(&format!(
                "the depthwise convolution has {} channels, its input {channels}",
                depthwise.bias.len()
            )));
        }
        self.check_kernel(9, depthwise)?;
        self.check_kernel(channels, project)?;
        let depthwise = Depthwise::new(
            self.arch,
            window.stride,
            window.padding,
            depthwise.kernel,
            depthwise.bias,
        );
        let in_channels = self.shape.2;
        let project = Pointwise::new(
            self.arch,
            channels,
            Activation::Linear,
            project.kernel,
            project.bias,
        );
        let residual = matches!(layer, Wide::Expand(_))
            && window.stride == 1
            && window.padding == (1, 1)
            && in_channels == project.out_channels();
        let block = Block::new(
            layer,
            depthwise,
            project,
            (height, width),
            in_channels,
            residual,
        );
        let output = block.output();
        self.shape = (output.height, output.width, output.channels);
        self.blocks.push(block);
        Ok(self)
    }

    fn pointwise(&self, activation: Activation, weights: ConvWeights<'_>) -> Pointwise {
        Pointwise::new(
            self.arch,
            self.shape.2,
            activation,
            weights.kernel,
            weights.bias,
        )
    }

    /// Checks a kernel of `rows` weights per output channel.
    fn check_kernel(&self, rows: usize, weights: ConvWeights<'_>) -> Result<()> {
        if weights.bias.is_empty() {
            return Err(self.misfit("a layer must have at least one output channel"));
        }
        check_len("kernel", rows * weights.bias.len(), weights.kernel.len())
    }

    fn check_window(
        &self,
        window: Window,
        (height, width, _): (usize, usize, usize),
    ) -> Result<()> {
        let Window {
            stride,
            padding: (before, after),
        } = window;
        if !(1..=2).contains(&stride) || before > 1 || after > 1 {
            return Err(self.misfit(&format!(
                "stride must be 1 or 2 and padding 0 or 1, found {stride} and {before}, {after}"
            )));
        }
        if height.min(width) + before + after < 3 {
            return Err(self.misfit(&format!(
                "a 3×3 window does not fit {height}×{width} pixels with padding {before}, {after}"
            )));
        }
        Ok(())
    }

    fn misfit(&self, reason: &str) -> KernelError {
        KernelError::shape(format!("block {}", self.blocks.len()), reason)
    }
}
