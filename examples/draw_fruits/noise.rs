//! Repeatable chance: a small generator for poses, and smooth noise for skins.

use crate::vector::{Vec3, vec3};

/// SplitMix64 (Steele, Lea, Flood, 2014): the same numbers on every machine, without a dependency.
#[derive(Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        scramble(self.0)
    }

    /// Uniform in `[low, high)`.
    pub(crate) fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * unit(self.next())
    }

    /// A place of its own in the noise, so that no two fruits have the same spots.
    pub(crate) fn offset(&mut self) -> Vec3 {
        vec3(
            self.range(0.0, 64.0),
            self.range(0.0, 64.0),
            self.range(0.0, 64.0),
        )
    }
}

fn scramble(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The upper 53 bits as a number in `[0, 1)`.
fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// A number in `[0, 1)` that belongs to the cell `(x, y, z)`.
pub(crate) fn cell(x: i64, y: i64, z: i64) -> f64 {
    let key = [x, y, z].into_iter().fold(0, |key: u64, part| {
        scramble(key ^ part as u64).wrapping_add(0x9e37_79b9_7f4a_7c15)
    });
    unit(scramble(key))
}

/// Value noise in `[0, 1]`: one value per unit cell corner, blended smoothly in between.
pub(crate) fn noise(p: Vec3) -> f64 {
    let (x, y, z) = (p.x.floor(), p.y.floor(), p.z.floor());
    let [u, v, w] = [p.x - x, p.y - y, p.z - z].map(|t| t * t * (3.0 - 2.0 * t));
    let corner = |i: i64, j: i64, k: i64| cell(x as i64 + i, y as i64 + j, z as i64 + k);
    let edge = |j, k| lerp(corner(0, j, k), corner(1, j, k), u);
    let face = |k| lerp(edge(0, k), edge(1, k), v);
    lerp(face(0), face(1), w)
}

/// Three octaves of [`noise`], in `[0, 1]`: clouds rather than blobs.
pub(crate) fn clouds(p: Vec3) -> f64 {
    (4.0 * noise(p) + 2.0 * noise(p * 2.03) + noise(p * 4.11)) / 7.0
}

pub(crate) fn lerp(a: f64, b: f64, t: f64) -> f64 {
    a + (b - a) * t
}

/// 0 up to `from`, 1 beyond `to`, smooth in between; `from > to` falls instead.
pub(crate) fn smoothstep(from: f64, to: f64, x: f64) -> f64 {
    let t = ((x - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}
