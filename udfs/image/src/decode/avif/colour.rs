//! Luma and chroma to RGB in the fixed-point numbers of libyuv, which converts for libavif.
//!
//! Levels have six bits behind the point. Chroma that is coarser than luma is interpolated linearly from
//! the two nearest samples, or bilinearly from the four. Deeper levels lose their lowest bits first.

use re_rav1d::{Picture, PixelLayout, PlanarImageComponent};

use super::super::RgbPixels;
use super::super::error::Cause;
use super::container::{Coded, unsupported};

/// Matrices of ITU-T H.273.
const IDENTITY: u16 = 0;
const UNSPECIFIED: u16 = 2;

/// The pixels of a frame.
pub(super) fn rgb(picture: &Picture, coded: Option<Coded>) -> Result<RgbPixels, Cause> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let coded = coded.unwrap_or_else(|| of_frame(picture));
    let mut data = vec![0; width * height * 3];
    let (pixels, _) = data.as_chunks_mut::<3>();
    let rows = pixels.chunks_exact_mut(width).enumerate();
    let luma = Plane::new(picture, PlanarImageComponent::Y, (width, height));
    if picture.pixel_layout() == PixelLayout::I400 {
        for (y, row) in rows {
            for (pixel, level) in row.iter_mut().zip(luma.row(y)?) {
                *pixel = [luma.stretched(level, coded.full_range); 3];
            }
        }
        return Ok(RgbPixels {
            width,
            height,
            data,
        });
    }
    let coarse = |length: usize, is_coarse| {
        if is_coarse {
            length.div_ceil(2)
        } else {
            length
        }
    };
    let layout = picture.pixel_layout();
    let size = (
        coarse(width, layout != PixelLayout::I444),
        coarse(height, layout == PixelLayout::I420),
    );
    let blue = Plane::new(picture, PlanarImageComponent::U, size);
    let red = Plane::new(picture, PlanarImageComponent::V, size);
    if coded.matrix == IDENTITY {
        if layout != PixelLayout::I444 || !coded.full_range {
            return Err(unsupported(
                "colours that are no luma and chroma, but coarse or of a limited range",
            ));
        }
        // Green, blue and red stand in their places.
        for (y, row) in rows {
            let levels = red.row(y)?.zip(luma.row(y)?).zip(blue.row(y)?);
            for (pixel, ((r, g), b)) in row.iter_mut().zip(levels) {
                *pixel = [r, g, b].map(|level| luma.stretched(level, true));
            }
        }
        return Ok(RgbPixels {
            width,
            height,
            data,
        });
    }
    let matrix = Matrix::new(coded)?;
    let (mut blues, mut reds) = (Vec::new(), Vec::new());
    for (y, row) in rows {
        blue.interpolated(y, (width, height), &mut blues)?;
        red.interpolated(y, (width, height), &mut reds)?;
        let chroma = blues.iter().zip(&reds);
        for ((pixel, level), (u, v)) in row.iter_mut().zip(luma.row(y)?).zip(chroma) {
            *pixel = matrix.apply(luma.shifted(level), *u, *v);
        }
    }
    Ok(RgbPixels {
        width,
        height,
        data,
    })
}

/// What the frame itself says.
fn of_frame(picture: &Picture) -> Coded {
    use re_rav1d::pixel::{MatrixCoefficients as M, YUVRange};
    Coded {
        matrix: match picture.matrix_coefficients() {
            M::Identity => IDENTITY,
            M::Unspecified => UNSPECIFIED,
            M::BT709 => 1,
            M::BT470BG | M::ST170M => 6,
            M::BT2020NonConstantLuminance => 9,
            // Any that is not supported.
            _ => u16::MAX,
        },
        full_range: picture.color_range() == YUVRange::Full,
    }
}

/// A plane of a frame.
struct Plane {
    bytes: re_rav1d::Plane,
    /// Bytes from row to row.
    stride: usize,
    bits: usize,
    width: usize,
    height: usize,
}

impl Plane {
    fn new(
        picture: &Picture,
        component: PlanarImageComponent,
        (width, height): (usize, usize),
    ) -> Self {
        Self {
            bytes: picture.plane(component),
            stride: picture.stride(component) as usize,
            bits: picture.bit_depth(),
            width,
            height,
        }
    }

    /// The levels of a row, in all their bits.
    fn row(&self, y: usize) -> Result<impl Iterator<Item = u16> + '_, Cause> {
        let size = if self.bits > 8 { 2 } else { 1 };
        let start = y.min(self.height.saturating_sub(1)) * self.stride;
        let bytes = self.bytes.get(start..start + self.width * size);
        let bytes = bytes.ok_or_else(|| Cause::Corrupt("its frame lacks rows".to_owned()))?;
        Ok(bytes.chunks_exact(size).map(|level| match level {
            [low, high] => u16::from_ne_bytes([*low, *high]),
            [level] => u16::from(*level),
            _ => 0,
        }))
    }

    /// As eight bits, by leaving out the lowest.
    fn shifted(&self, level: u16) -> i32 {
        i32::from(level >> self.bits.saturating_sub(8))
    }

    /// As eight bits from black to white, rounded.
    fn stretched(&self, level: u16, full_range: bool) -> u8 {
        let most = f32::from(((1_u32 << self.bits) - 1) as u16);
        let unit = f32::from(1_u16 << self.bits.saturating_sub(8));
        let share = match full_range {
            true => f32::from(level) / most,
            false => (f32::from(level) - 16.0 * unit) / (219.0 * unit),
        };
        // The cast takes what is negative to 0, and what is too large to 255.
        (share * 255.0 + 0.5) as u8
    }

    /// Row `y` of the picture, of `width` × `height` pixels, in the place of chroma.
    fn interpolated(
        &self,
        y: usize,
        (width, height): (usize, usize),
        row: &mut Vec<i32>,
    ) -> Result<(), Cause> {
        row.clear();
        let levels = |y| {
            Ok::<_, Cause>(
                self.row(y)?
                    .map(|level| self.shifted(level))
                    .collect::<Vec<_>>(),
            )
        };
        if (self.width, self.height) == (width, height) {
            row.extend(levels(y)?);
            return Ok(());
        }
        let (near, far) = if self.height == height {
            (levels(y)?, None)
        } else {
            let far = if y.is_multiple_of(2) {
                (y / 2).saturating_sub(1)
            } else {
                y / 2 + 1
            };
            (levels(y / 2)?, Some(levels(far)?))
        };
        for x in 0..width {
            let own = x / 2;
            let other = match x {
                // The last of an odd row stands alone.
                _ if x + 1 == width => own,
                _ if x.is_multiple_of(2) => own.saturating_sub(1),
                _ => own + 1,
            };
            let across = |levels: &[i32]| {
                let at = |index: usize| levels.get(index.min(self.width - 1)).copied().unwrap_or(0);
                3 * at(own) + at(other)
            };
            row.push(match &far {
                None => (across(&near) + 2) >> 2,
                Some(far) => (3 * across(&near) + across(far) + 8) >> 4,
            });
        }
        Ok(())
    }
}

/// Sixty-fourths that a level of luma or chroma adds to a colour.
struct Matrix {
    /// Of a level of luma, times 65,536 / 257.
    luma: i32,
    offset: i32,
    blue: i32,
    green_of_blue: i32,
    green_of_red: i32,
    red: i32,
}

impl Matrix {
    fn new(coded: Coded) -> Result<Self, Cause> {
        // Shares of red and blue in luma.
        let (red, blue) = match coded.matrix {
            1 => (0.2126, 0.0722),
            UNSPECIFIED | 5 | 6 => (0.299, 0.114),
            9 => (0.2627, 0.0593),
            other => {
                return Err(unsupported(&format!(
                    "luma and chroma of the matrix {other} of ITU-T H.273"
                )));
            }
        };
        let green = 1.0 - red - blue;
        let (luma, offset, stretch) = match (coded.full_range, coded.matrix) {
            (true, _) => (16_320, 32, 1.0),
            // With the digits that libyuv has of 255 / 219.
            (false, 9) => (19_003, -1_160, 255.0 / 224.0),
            (false, _) => (18_997, -1_160, 255.0 / 224.0),
        };
        // The cast rounds, as nothing is negative.
        let parts = |of: f64| (of * 64.0 * stretch + 0.5) as i32;
        Ok(Self {
            luma,
            offset,
            // It has to fit a byte there.
            blue: parts(2.0 * (1.0 - blue)).min(128),
            green_of_blue: parts(2.0 * blue * (1.0 - blue) / green),
            green_of_red: parts(2.0 * red * (1.0 - red) / green),
            red: parts(2.0 * (1.0 - red)),
        })
    }

    fn apply(&self, y: i32, u: i32, v: i32) -> [u8; 3] {
        let luma = ((y * 0x0101 * self.luma) >> 16) + self.offset;
        let (u, v) = (u - 128, v - 128);
        [
            luma + self.red * v,
            luma - self.green_of_blue * u - self.green_of_red * v,
            luma + self.blue * u,
        ]
        .map(|level| (level >> 6).clamp(0, 255) as u8)
    }
}
