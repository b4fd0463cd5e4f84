//! From images to rows of tokens, and out of them.

use crate::layout::{Map, Sides, Source, Target};
use crate::parallel::Team;
use crate::simd::{LANES, Lanes};

/// Squares of images as the columns of one row: what a convolution whose kernel does not overlap itself
/// multiplies by its weights.
#[derive(Debug)]
pub(crate) struct Patches {
    pub(crate) side: usize,
    /// Height, width and channels of an image.
    pub(crate) image: (usize, usize, usize),
}

impl Patches {
    pub(crate) fn run(&self, team: &Team<'_>, images: &[f32], target: Target<'_>) {
        let map = *target.map;
        let (height, width, channels) = self.image;
        let across = width / self.side;
        team.for_rows(target, 1, (1, map.blocks()), |mut task, _| {
            for (image, row) in task.range.zip(&mut task.rows) {
                let image = &images[image * height * width * channels..];
                for patch in 0..map.width {
                    let corner = (patch / across * width + patch % across) * self.side * channels;
                    self.copy(&image[corner..], &map, &mut row[map.border.left + patch..]);
                }
            }
        });
    }

    /// Copies the square that begins with `pixels` to the column that begins with `column`.
    fn copy(&self, pixels: &[f32], map: &Map, column: &mut [Lanes]) {
        let (_, width, channels) = self.image;
        let run = self.side * channels;
        let mut next = 0;
        for y in 0..self.side {
            let mut values = &pixels[y * width * channels..][..run];
            while !values.is_empty() {
                let line = &mut column[next / LANES * map.columns()].0;
                let free = &mut line[next % LANES..];
                let (now, later) = values.split_at(free.len().min(values.len()));
                free[..now.len()].copy_from_slice(now);
                next += now.len();
                values = later;
            }
        }
        if !next.is_multiple_of(LANES) {
            column[next / LANES * map.columns()].0[next % LANES..].fill(0.0);
        }
    }
}

/// Tokens that are the same for every image, and what is added to those of an image.
#[derive(Debug)]
pub(crate) struct Tokens {
    /// `[channel block][token]`
    prefix: Vec<Lanes>,
    /// `[channel block][token]`
    positions: Vec<Lanes>,
}

impl Tokens {
    pub(crate) fn new(prefix: &[f32], positions: &[f32], channels: usize) -> Self {
        Self {
            prefix: columns(prefix, channels),
            positions: columns(positions, channels),
        }
    }

    /// Memory held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.prefix.as_slice()) + size_of_val(self.positions.as_slice())
    }

    pub(crate) fn run(&self, team: &Team<'_>, source: Source<'_>, target: Target<'_>) {
        let map = *target.map;
        let before = self.prefix.len() / map.blocks();
        let own = map.width - before;
        team.for_rows(target, 1, (map.blocks(), 1), |mut task, _| {
            let rows = source.rows(task.range.clone(), 1, 1, Sides::default());
            for (row, start) in task.rows.iter_mut().zip(&rows.starts) {
                for (place, block) in task.parts.clone().enumerate() {
                    let to = &mut row[place * map.columns() + map.border.left..][..map.width];
                    let (first, to) = to.split_at_mut(before);
                    first.copy_from_slice(&self.prefix[block * before..][..before]);
                    let from = &rows.lines[start + block * rows.columns..];
                    let positions = &self.positions[block * own..];
                    for ((to, from), position) in to.iter_mut().zip(from).zip(positions) {
                        for ((to, from), position) in to.0.iter_mut().zip(from.0).zip(position.0) {
                            *to = from + position;
                        }
                    }
                }
            }
        });
    }
}

/// Rows of `channels` values each as columns of the blocked layout: `[channel block][row]`.
pub(crate) fn columns(rows: &[f32], channels: usize) -> Vec<Lanes> {
    let blocks = (0..channels).step_by(LANES);
    let lines = blocks.flat_map(|first| {
        let rows = rows.chunks_exact(channels);
        rows.map(move |row| Lanes::from_slice(&row[first..]))
    });
    lines.collect()
}

/// Copies the first column of each row.
pub(crate) fn first(team: &Team<'_>, source: Source<'_>, target: Target<'_>) {
    let map = *target.map;
    team.for_rows(target, 1, (map.blocks(), 1), |mut task, _| {
        let rows = source.rows(task.range.clone(), map.height, 1, Sides::default());
        for (row, start) in task.rows.iter_mut().zip(&rows.starts) {
            for (place, block) in task.parts.clone().enumerate() {
                row[place * map.columns() + map.border.left] =
                    rows.lines[start + block * rows.columns];
            }
        }
    });
}
