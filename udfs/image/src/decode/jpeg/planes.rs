//! Puts an image together from the planes of its components, for the sampling factors that the
//! decoder does not.

use super::super::error::Cause;
use super::frame::{Colours, Component, Frame};

/// What a unit of Cb takes from green, in 65,536ths; libtiff's is of less precision.
const GREEN: i32 = 22_554;
const LIBTIFF_GREEN: i32 = 22_553;

/// The samples of a component.
#[derive(Debug, Clone, Default)]
pub(super) struct Plane {
    pub(super) samples: Vec<u8>,
    /// Samples from one row to the next.
    pub(super) stride: usize,
}

/// Interleaves the components, each brought to the size of the image and all to RGB or CMYK.
/// `repeat` says that it is done as libtiff does: coarse samples are repeated, not smoothed.
pub(super) fn compose(frame: &Frame, planes: &[Plane], repeat: bool) -> Result<Vec<u8>, Cause> {
    let (width, height) = (usize::from(frame.width), usize::from(frame.height));
    let green = if repeat { LIBTIFF_GREEN } else { GREEN };
    let rgb = |y, cb, cr| rgb(y, cb, cr, green);
    let grids = frame.components.iter().zip(planes);
    let grids: Vec<Grid> = grids
        .map(|(component, plane)| Grid::new(frame, component, plane))
        .collect::<Result<_, _>>()?;
    let mut rows = vec![Vec::with_capacity(width + 8); grids.len()];
    let mut pixels = Vec::with_capacity(width * height * grids.len());
    for y in 0..height {
        for (grid, row) in grids.iter().zip(&mut rows) {
            row.clear();
            grid.stretch(y, repeat, row);
        }
        match (rows.as_slice(), frame.colours) {
            ([first, second, third], Colours::YCbCr) => {
                let levels = first.iter().zip(second).zip(third).take(width);
                pixels.extend(levels.flat_map(|((y, cb), cr)| rgb(*y, *cb, *cr)));
            }
            ([first, second, third], _) => {
                let levels = first.iter().zip(second).zip(third).take(width);
                pixels.extend(levels.flat_map(|((red, green), blue)| [*red, *green, *blue]));
            }
            ([first, second, third, fourth], colours) => {
                let levels = first.iter().zip(second).zip(third).zip(fourth).take(width);
                pixels.extend(levels.flat_map(|(((first, second), third), black)| {
                    let inks = match colours {
                        Colours::Ycck => rgb(*first, *second, *third).map(|level| 255 - level),
                        _ => [*first, *second, *third],
                    };
                    [inks[0], inks[1], inks[2], *black]
                }));
            }
            (rows, _) => {
                let what = format!("{} planes, expected 3 or 4", rows.len());
                return Err(Cause::Corrupt(what));
            }
        }
    }
    Ok(pixels)
}

/// A plane and how it must grow.
struct Grid<'a> {
    plane: &'a Plane,
    width: usize,
    height: usize,
    /// Pixels for each sample.
    across: usize,
    down: usize,
}

impl<'a> Grid<'a> {
    fn new(frame: &Frame, component: &Component, plane: &'a Plane) -> Result<Self, Cause> {
        let finest = frame.finest();
        let factors = (usize::from(component.across), usize::from(component.down));
        if !finest.0.is_multiple_of(factors.0) || !finest.1.is_multiple_of(factors.1) {
            return Err(Cause::Corrupt(format!(
                "a component with {}×{} samples beside one with {}×{}: fractions of samples are not \
                 supported, by libjpeg neither; save it again with another sampling",
                factors.0, factors.1, finest.0, finest.1
            )));
        }
        let (width, height) = frame.samples(component);
        Ok(Self {
            plane,
            width,
            height,
            across: finest.0 / factors.0,
            down: finest.1 / factors.1,
        })
    }

    fn row(&self, y: usize) -> &[u8] {
        let start = y * self.plane.stride;
        self.plane
            .samples
            .get(start..start + self.width)
            .unwrap_or_default()
    }

    /// The row next to the one that pixel row `y` is in, on the side that is nearer.
    fn neighbour(&self, y: usize) -> &[u8] {
        let row = y / self.down;
        self.row(if y.is_multiple_of(self.down) {
            row.saturating_sub(1)
        } else {
            (row + 1).min(self.height.saturating_sub(1))
        })
    }

    /// A row of pixels, as libjpeg makes it: by triangles where the factor is two, else repeated.
    fn stretch(&self, y: usize, repeat: bool, out: &mut Vec<u8>) {
        let row = self.row(y / self.down);
        if repeat {
            let levels = row
                .iter()
                .map(|level| std::iter::repeat_n(*level, self.across));
            return out.extend(levels.flatten());
        }
        let wide = self.width > 2;
        match (self.across, self.down) {
            (1, 1) => out.extend(row),
            (1, 2) => {
                let bias = if y.is_multiple_of(2) { 1 } else { 2 };
                let levels = row.iter().zip(self.neighbour(y));
                out.extend(levels.map(|(near, far)| {
                    ((3 * u16::from(*near) + u16::from(*far) + bias) >> 2) as u8
                }));
            }
            (2, 1) if wide => {
                let sums: Vec<u16> = row.iter().copied().map(u16::from).collect();
                widen(&sums, [1, 2], 2, out);
            }
            (2, 2) if wide => {
                let levels = row.iter().zip(self.neighbour(y));
                let sums: Vec<u16> = levels
                    .map(|(near, far)| 3 * u16::from(*near) + u16::from(*far))
                    .collect();
                widen(&sums, [8, 7], 4, out);
            }
            (across, _) => out.extend(
                row.iter()
                    .flat_map(|level| std::iter::repeat_n(*level, across)),
            ),
        }
    }
}

/// Two levels from each sum: three quarters of it and one of its neighbour on either side.
fn widen(sums: &[u16], bias: [u16; 2], shift: u32, out: &mut Vec<u8>) {
    for (place, sum) in sums.iter().enumerate() {
        let before = place.checked_sub(1).and_then(|place| sums.get(place));
        let after = sums.get(place + 1);
        for (other, bias) in [before, after].into_iter().zip(bias) {
            out.push(((3 * sum + other.unwrap_or(sum) + bias) >> shift) as u8);
        }
    }
}

/// JFIF's conversion, in libjpeg's fixed point.
fn rgb(y: u8, cb: u8, cr: u8, green: i32) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let half = 1 << 15;
    [
        y + ((91_881 * cr + half) >> 16),
        y + ((-green * cb - 46_802 * cr + half) >> 16),
        y + ((116_130 * cb + half) >> 16),
    ]
    .map(|level| level.clamp(0, 255) as u8)
}
