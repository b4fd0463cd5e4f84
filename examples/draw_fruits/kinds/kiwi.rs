//! A kiwi cut across: the green face forward, the brown skin behind.

use std::f64::consts::TAU;

use crate::noise::{Rng, cell, clouds, noise, smoothstep};
use crate::render::{Fruit, Skin};
use crate::shapes::{ellipsoid, smooth_cut};
use crate::vector::{Vec3, rgb, vec3};

/// Where the knife went, along z.
const CUT: f64 = 0.12;
/// Seeds in one turn of the ring; two staggered rows hold one each.
const SEEDS: f64 = 19.0;

#[derive(Debug)]
pub(super) struct Kiwi {
    spots: Vec3,
    radii: Vec3,
    individual: i64,
}

impl Kiwi {
    pub(super) fn grow(rng: &mut Rng) -> Self {
        Self {
            spots: rng.offset(),
            radii: vec3(1.0, rng.range(0.86, 0.95), rng.range(1.0, 1.15)),
            individual: rng.range(0.0, 1e6) as i64,
        }
    }

    /// Position on the cut face: 0 in the middle, 1 at the skin; and the angle.
    fn face(&self, p: Vec3) -> (f64, f64) {
        let shrink = (1.0 - (CUT / self.radii.z).powi(2)).sqrt();
        let (x, y) = (p.x / (self.radii.x * shrink), p.y / (self.radii.y * shrink));
        (x.hypot(y), y.atan2(x))
    }

    /// 1 inside a seed: teardrops that point to the middle, two rows of them.
    fn seed(&self, middle: f64, angle: f64) -> f64 {
        let row_seed = |row: i64| {
            let turn = angle / TAU * SEEDS + 0.5 * row as f64;
            let nearest = turn.round();
            let chance = |salt: i64| {
                cell(
                    nearest.rem_euclid(SEEDS) as i64,
                    row + 2 * salt,
                    self.individual,
                )
            };
            let distance = 0.37 + 0.11 * row as f64 + 0.07 * (chance(1) - 0.5);
            let across = (turn - nearest + 0.3 * (chance(2) - 0.5)) * TAU / SEEDS * middle;
            let along = middle - distance;
            let width = 0.026 + 0.012 * smoothstep(-0.05, 0.04, along);
            smoothstep(1.25, 0.75, (across / width).hypot(along / 0.058))
        };
        row_seed(0).max(row_seed(1))
    }

    fn flesh(&self, p: Vec3) -> Skin {
        let (middle, angle) = self.face(p);
        let (sin, cos) = angle.sin_cos();
        let rays = clouds(vec3(cos, sin, 0.2 * middle) * 7.0 + self.spots);
        let wobble = 0.07 * (noise(vec3(cos, sin, 0.0) * 2.5 + self.spots) - 0.5);
        let core = smoothstep(0.29, 0.19, middle + wobble + 0.08 * (rays - 0.5));
        let halo = smoothstep(0.62, 0.3, middle);
        let rim = smoothstep(0.86, 0.95, middle);
        let colour = rgb(0x7fae22)
            .mix(rgb(0xa9cc45), smoothstep(0.35, 0.75, rays))
            .mix(rgb(0x5f9417), 0.55 * halo)
            .mix(rgb(0xbfd672), 0.7 * rim)
            .mix(rgb(0xeeecc4), core);
        let seed = self.seed(middle, angle);
        Skin::new(colour.mix(rgb(0x17120e), seed), 0.22 + 0.2 * seed, 40.0)
    }

    fn peel(&self, p: Vec3) -> Skin {
        let fuzz = noise(p * 22.0 + self.spots);
        let patches = clouds(p * 3.0 + self.spots);
        let colour = rgb(0x6a4c28).mix(rgb(0xa5834f), 0.5 * patches + 0.5 * fuzz);
        Skin::new(colour, 0.05, 6.0)
    }
}

impl Fruit for Kiwi {
    fn distance(&self, p: Vec3) -> f64 {
        smooth_cut(ellipsoid(p, self.radii), CUT - p.z, 0.05)
    }

    fn relief(&self, p: Vec3) -> f64 {
        if p.z > CUT - 0.03 {
            let (middle, angle) = self.face(p);
            0.012 * self.seed(middle, angle) + 0.015 * clouds(p * 6.0 + self.spots)
        } else {
            0.03 * noise(p * 20.0 + self.spots)
        }
    }

    fn skin(&self, p: Vec3) -> Skin {
        if p.z > CUT - 0.03 && self.face(p).0 < 0.965 {
            self.flesh(p)
        } else {
            self.peel(p)
        }
    }
}
