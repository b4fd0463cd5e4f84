//! Building a [`ConvStack`], layer by layer.

use std::sync::Mutex;

use super::ConvStack;
use crate::activation::Activation;
use crate::direct::Direct;
use crate::error::{KernelError, Result, check_len};
use crate::layout::Map;
use crate::pool::ComputePool;
use crate::simd::{Arch, Isa, Lanes};
use crate::winograd::{TileSize, Winograd};

/// Builds a [`ConvStack`], layer by layer; see there for the layouts.
///
/// Each convolution is packed at once, so that the caller's weights need not outlive the call.
#[derive(Debug)]
pub struct ConvStackBuilder {
    shape: (usize, usize, usize),
    isa: Isa,
    arch: Arch,
    tile: Option<TileSize>,
    first: Option<Direct>,
    layers: Vec<Winograd>,
}

impl ConvStackBuilder {
    pub(super) fn new(height: usize, width: usize, channels: usize) -> Result<Self> {
        if height == 0 || width == 0 || channels == 0 {
            return Err(KernelError::shape(
                "input",
                format!("extents must be at least 1, found {height}×{width}×{channels}"),
            ));
        }
        let isa = Isa::detect()?;
        Ok(Self {
            shape: (height, width, channels),
            isa,
            arch: isa.arch()?,
            tile: None,
            first: None,
            layers: Vec::new(),
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

    /// Uses one Winograd tile size for all layers that follow, instead of the fastest for each.
    #[must_use]
    pub fn tile_size(mut self, size: TileSize) -> Self {
        self.tile = Some(size);
        self
    }

    /// Adds a 3×3 convolution with stride 1 and `same` padding, its bias and ReLU.
    ///
    /// `kernel` is HWIO, `[3, 3, in, out]`; the number of output channels is `bias.len()`.
    ///
    /// # Errors
    /// [`KernelError::Length`] if `kernel` does not fit the channels, [`KernelError::Shape`] if
    /// `bias` is empty or nothing is left of the image, and those of [`ComputePool::global`],
    /// which transforms the weights.
    pub fn conv3x3_relu(mut self, kernel: &[f32], bias: &[f32]) -> Result<Self> {
        let (height, width, channels) = self.shape;
        if bias.is_empty() || height == 0 || width == 0 {
            return Err(self.misfit(format!(
                "input is {height}×{width}, output has {} channels; all must be at least 1",
                bias.len()
            )));
        }
        check_len("kernel", 9 * channels * bias.len(), kernel.len())?;
        if self.first.is_none() {
            let first = Direct::new(
                self.arch,
                self.shape,
                1,
                (1, 1),
                Activation::Relu,
                kernel,
                bias,
            );
            self.shape = first.output();
            self.first = Some(first);
        } else {
            let size = self
                .tile
                .unwrap_or_else(|| TileSize::for_map(height, width));
            let layer = ComputePool::global()?
                .install(|| Winograd::new(self.arch, size, self.shape, kernel, bias));
            self.shape = layer.output();
            self.layers.push(layer);
        }
        Ok(self)
    }

    /// Adds a 2×2 max pool of stride 2 to the last convolution. An odd last row or column is
    /// dropped.
    ///
    /// # Errors
    /// [`KernelError::Shape`] unless it follows the second or a later convolution directly.
    pub fn max_pool2(mut self) -> Result<Self> {
        match self.layers.last_mut() {
            Some(layer) if !layer.is_pooled() => {
                layer.pooled();
                self.shape = layer.output();
                Ok(self)
            }
            _ => Err(self.misfit(
                "a max pool must follow the second or a later convolution directly".to_owned(),
            )),
        }
    }

    /// Finishes the stack.
    ///
    /// # Errors
    /// [`KernelError::Shape`] if it has no layer or nothing is left of the image.
    pub fn build(self) -> Result<ConvStack> {
        let (height, width, channels) = self.shape;
        if height == 0 || width == 0 {
            return Err(self.misfit(format!("the output is empty ({height}×{width})")));
        }
        let Some(first) = self.first else {
            return Err(self.misfit("a stack needs at least one convolution".to_owned()));
        };
        let inputs = self.layers.iter().map(Winograd::input_map);
        let maps: Vec<Map> = inputs
            .chain([Map::plain(height, width, channels)])
            .collect();
        // Weights that are larger than the maps they are applied to are worth reading once for
        // several images; before that, one image at a time keeps the maps in the cache.
        let single = self.layers.iter().enumerate().find(|(i, layer)| {
            let lines = maps[*i].image_lines() + maps[i + 1].image_lines();
            layer.bytes() > 2 * lines * size_of::<Lanes>()
        });
        let single = single.map_or(maps.len(), |(i, _)| i + 1);
        Ok(ConvStack {
            first,
            layers: self.layers,
            maps,
            single,
            isa: self.isa,
            workspaces: Mutex::new(Vec::new()),
        })
    }

    fn misfit(&self, reason: String) -> KernelError {
        let layer = self.layers.len() + usize::from(self.first.is_some());
        KernelError::shape(format!("layer {layer}"), reason)
    }
}
