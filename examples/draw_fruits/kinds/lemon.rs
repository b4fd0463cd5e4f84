//! A lemon.

use crate::noise::{Rng, clouds, noise, smoothstep};
use crate::render::{Fruit, Skin};
use crate::shapes::{ellipsoid, rod, smooth_union};
use crate::vector::{Vec3, rgb, vec3};

#[derive(Debug)]
pub(super) struct Lemon {
    spots: Vec3,
    width: f64,
    /// Where the pointed end comes out, a little off the axis.
    tip: Vec3,
}

impl Lemon {
    pub(super) fn grow(rng: &mut Rng) -> Self {
        Self {
            spots: rng.offset(),
            width: rng.range(0.66, 0.74),
            tip: vec3(
                rng.range(-0.06, 0.06),
                rng.range(-1.12, -1.04),
                rng.range(-0.06, 0.06),
            ),
        }
    }
}

impl Fruit for Lemon {
    fn distance(&self, p: Vec3) -> f64 {
        let belly = ellipsoid(p, vec3(self.width, 0.92, self.width));
        let nipple = rod(p, (self.tip * 0.7, 0.2), (self.tip, 0.1));
        let neck = rod(
            p,
            (vec3(0.0, 0.75, 0.0), 0.18),
            (vec3(0.0, 0.95, 0.0), 0.12),
        );
        let stem = rod(
            p,
            (vec3(0.0, 0.9, 0.0), 0.06),
            (vec3(0.0, 1.08, 0.0), 0.055),
        );
        let lemon = smooth_union(smooth_union(belly, nipple, 0.4), neck, 0.3);
        0.85 * lemon.min(stem)
    }

    fn relief(&self, p: Vec3) -> f64 {
        let pores = smoothstep(0.5, 0.85, noise(p * 17.0 + self.spots));
        0.05 * clouds(p * 2.6 + self.spots) - 0.007 * pores
    }

    fn skin(&self, p: Vec3) -> Skin {
        let patches = clouds(p * 1.8 + self.spots);
        let pores = smoothstep(0.5, 0.85, noise(p * 17.0 + self.spots));
        let green = smoothstep(0.7, 1.05, p.y.abs() + 0.3 * (patches - 0.5));
        let cut = smoothstep(1.02, 1.06, p.y);
        let colour = rgb(0xf7d21e)
            .mix(rgb(0xf9e04a), 1.6 * patches - 0.4)
            .mix(rgb(0xd8a90a), 0.2 * pores)
            .mix(rgb(0xb5b53a), 0.7 * green)
            .mix(rgb(0x6b5a2a), cut);
        Skin::new(colour, 0.24, 26.0)
    }
}
