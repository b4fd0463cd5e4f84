//! 3×3 convolution with stride 1 by Winograd's minimal filtering.
//!
//! A tile of m × m outputs needs (m + 2)² multiplications per pair of channels instead of 9 m²:
//! 2.25 per output for m = 4 and 1.78 for m = 6. In the transformed domain each of the (m + 2)²
//! coordinates is a matrix product of its own, tiles × input channels by input × output channels.
//! See Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015),
//! <https://arxiv.org/abs/1509.09308>; the transforms are derived from interpolation points as
//! in Toom–Cook multiplication.
//!
//! Rounding errors grow with m. Against the definition in f64, the features of VGG16 at 224×224 have
//! a relative error of 2.5e-6 with the tile sizes chosen here (`cargo bench --bench kernels --
//! --check`); the tests hold smaller networks to 1e-5.

mod convolution;
mod transform;
mod weights;

pub(crate) use convolution::Winograd;

/// Side of the square of outputs that is computed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TileSize {
    /// F(4×4, 3×3): 36 coordinates.
    Four,
    /// F(6×6, 3×3): 64 coordinates; fewer multiplications, about twice the rounding error, 1.8
    /// times the weights.
    Six,
}

impl TileSize {
    /// Outputs along one side of a tile.
    pub(crate) const fn outputs(self) -> usize {
        match self {
            Self::Four => 4,
            Self::Six => 6,
        }
    }

    /// Inputs along one side, which is also the number of interpolation points.
    pub(crate) const fn inputs(self) -> usize {
        self.outputs() + 2
    }

    /// Tiles along the height and the width of an output; a pool after it drops an odd last row.
    pub(crate) const fn tiles(self, (height, width): (usize, usize), pool: bool) -> (usize, usize) {
        let step = if pool { 2 } else { 1 };
        (
            (height / step * step).div_ceil(self.outputs()),
            (width / step * step).div_ceil(self.outputs()),
        )
    }

    /// The tile size that computes a map in the least time.
    ///
    /// Large maps have many tiles per weight and little waste at their edges, so the larger tile
    /// pays there; on small ones its transforms and weights cost more than it saves, unless it fits
    /// them much better: 6×6 is one tile instead of four.
    pub(crate) fn for_map(map: (usize, usize)) -> Self {
        let products = |size: Self| {
            let (y, x) = size.tiles(map, false);
            y * x * size.inputs().pow(2)
        };
        if map.0.min(map.1) >= 84
            || 1.3 * (products(Self::Six) as f32) < products(Self::Four) as f32
        {
            Self::Six
        } else {
            Self::Four
        }
    }
}
