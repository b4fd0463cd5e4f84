//! A strawberry.

use std::f64::consts::{PI, TAU};

use crate::noise::{Rng, cell, clouds, smoothstep};
use crate::render::{Fruit, Skin};
use crate::shapes::{rod, round_cone, smooth_cut};
use crate::vector::{Vec3, rgb, vec3};

/// Distance between neighbouring seeds.
const SEED_SPACING: f64 = 0.2;
/// Leaves of the green collar.
const SEPALS: f64 = 9.0;
/// Height of the shoulder, where the collar lies.
const SHOULDER: f64 = 0.78;

#[derive(Debug)]
pub(super) struct Strawberry {
    spots: Vec3,
    shoulder_radius: f64,
    stem_tip: Vec3,
    individual: i64,
}

impl Strawberry {
    pub(super) fn grow(rng: &mut Rng) -> Self {
        Self {
            spots: rng.offset(),
            shoulder_radius: rng.range(0.6, 0.68),
            stem_tip: vec3(
                rng.range(-0.2, 0.2),
                rng.range(1.08, 1.2),
                rng.range(-0.2, 0.2),
            ),
            individual: rng.range(0.0, 1e6) as i64,
        }
    }

    fn berry(&self, p: Vec3) -> f64 {
        let uneven = 1.0 + 0.05 * (2.0 * p.azimuth() + self.spots.x).cos();
        let q = vec3(p.x / uneven, p.y, p.z / uneven);
        let heart = round_cone(q, (-0.85, 0.2), (0.15, self.shoulder_radius));
        let hollow = (p - vec3(0.0, SHOULDER + 0.2, 0.0)).length() - 0.3;
        0.85 * smooth_cut(heart, hollow, 0.2)
    }

    /// The collar: pointed leaves that follow the shoulder and curl up at their ends.
    fn collar(&self, p: Vec3) -> f64 {
        let sector = p.azimuth() / TAU * SEPALS;
        let leaf = sector.round();
        let chance = |salt| cell(leaf.rem_euclid(SEPALS) as i64, salt, self.individual);
        let across = ((sector - leaf) * TAU / SEPALS).sin() * p.radius();
        let length = 0.62 + 0.22 * chance(0);
        let out = (p.radius() / length).clamp(0.0, 1.0);
        let width = 0.17 * (PI * out.powf(0.75)).sin().max(0.0) + 0.1 * (1.0 - out).powi(2);
        let curl = 0.1 + 0.45 * chance(1);
        let height = SHOULDER + 0.02 - 0.62 * out * out + curl * out.powi(4);
        let fold = 0.25 * across.abs();
        0.5 * ((p.y - height - fold).abs() - 0.03)
            .max(across.abs() - width)
            .max(p.radius() - length)
    }

    fn stem(&self, p: Vec3) -> f64 {
        rod(p, (vec3(0.0, 0.7, 0.0), 0.07), (self.stem_tip, 0.05))
    }

    fn green(&self, p: Vec3) -> f64 {
        self.collar(p).min(self.stem(p))
    }

    /// Distance from the nearest seed, in seed lengths: rows around the berry, each set off from
    /// the last by half a step.
    fn seed(&self, p: Vec3) -> f64 {
        let row = (p.y / (0.85 * SEED_SPACING)).round();
        let girth = TAU * (0.2 + 0.5 * smoothstep(-1.0, 0.3, row * 0.85 * SEED_SPACING));
        let count = (girth / SEED_SPACING).round().max(5.0);
        let chance = |seed: f64, salt| {
            cell(
                seed.rem_euclid(count) as i64,
                2 * row as i64 + salt,
                self.individual,
            )
        };
        let turn = p.azimuth() / TAU * count + 0.5 * row;
        let nearest = turn.round();
        let across = (turn - nearest + 0.2 * (chance(nearest, 0) - 0.5)) * TAU / count * p.radius();
        let along = p.y - (row + 0.2 * (chance(nearest, 1) - 0.5)) * 0.85 * SEED_SPACING;
        (across / 0.028).hypot(along / 0.043)
    }
}

impl Fruit for Strawberry {
    fn distance(&self, p: Vec3) -> f64 {
        self.berry(p).min(self.green(p))
    }

    fn relief(&self, p: Vec3) -> f64 {
        if self.green(p) < self.berry(p) {
            return 0.0;
        }
        let seed = self.seed(p);
        // A pit with the seed standing in it.
        0.02 * smoothstep(1.2, 0.6, seed) - 0.035 * (-(seed / 1.9).powi(2)).exp()
    }

    fn skin(&self, p: Vec3) -> Skin {
        let patches = clouds(p * 2.4 + self.spots);
        if self.green(p) < self.berry(p) {
            let tint = rgb(0x3f7a1e).mix(rgb(0x86b340), 1.4 * patches - 0.2);
            return Skin::new(tint, 0.1, 14.0);
        }
        let pale = smoothstep(0.45, 0.8, p.y + 0.2 * (patches - 0.5));
        let seed = self.seed(p);
        let colour = rgb(0xb50d12)
            .mix(rgb(0xdf2a1e), 1.5 * patches - 0.25)
            .mix(rgb(0xf0c0a0), 0.6 * pale)
            .mix(rgb(0x7d0a0c), 0.45 * smoothstep(2.2, 1.2, seed))
            .mix(rgb(0xecc65a), smoothstep(1.25, 0.8, seed));
        Skin::new(colour, 0.4, 34.0)
    }
}
