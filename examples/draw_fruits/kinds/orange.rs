//! An orange.

use crate::noise::{Rng, clouds, noise, smoothstep};
use crate::render::{Fruit, Skin};
use crate::shapes::{ellipsoid, smooth_cut};
use crate::vector::{Vec3, rgb, vec3};

#[derive(Debug)]
pub(super) struct Orange {
    spots: Vec3,
    height: f64,
    /// From golden to deep orange.
    ripeness: f64,
}

impl Orange {
    pub(super) fn grow(rng: &mut Rng) -> Self {
        Self {
            spots: rng.offset(),
            height: rng.range(0.92, 0.98),
            ripeness: rng.range(0.0, 1.0),
        }
    }

    fn body(&self, p: Vec3) -> f64 {
        let globe = ellipsoid(p, vec3(1.0, self.height, 1.0));
        let hollow = (p - vec3(0.0, self.height + 0.16, 0.0)).length() - 0.22;
        smooth_cut(globe, hollow, 0.18)
    }

    /// The dry star that the stem leaves.
    fn button(&self, p: Vec3) -> f64 {
        let star = 0.115 + 0.035 * (5.0 * p.azimuth()).cos();
        let flat = ellipsoid(p - vec3(0.0, self.height - 0.05, 0.0), vec3(1.0, 0.05, 1.0));
        0.6 * flat.max(p.radius() - star)
    }
}

impl Fruit for Orange {
    fn distance(&self, p: Vec3) -> f64 {
        self.body(p).min(self.button(p))
    }

    fn relief(&self, p: Vec3) -> f64 {
        let pores = smoothstep(0.5, 0.85, noise(p * 18.0 + self.spots));
        0.025 * clouds(p * 4.0 + self.spots) - 0.009 * pores
    }

    fn skin(&self, p: Vec3) -> Skin {
        if self.button(p) < self.body(p) {
            return Skin::new(rgb(0x6f7a35), 0.03, 10.0);
        }
        let peel = rgb(0xf39316).mix(rgb(0xe86a05), self.ripeness);
        let patches = clouds(p * 2.2 + self.spots);
        let pores = smoothstep(0.5, 0.85, noise(p * 18.0 + self.spots));
        let pale = smoothstep(0.32, 0.1, p.radius()) * smoothstep(0.5, 0.8, p.y);
        let colour = peel
            .mix(rgb(0xf7a82c), 0.7 * patches)
            .mix(rgb(0xc95a00), 0.35 * pores)
            .mix(rgb(0xd9a63a), 0.6 * pale);
        Skin::new(colour, 0.2, 22.0)
    }
}
