//! A purple plum.

use crate::noise::{Rng, clouds, noise, smoothstep};
use crate::render::{Fruit, Skin};
use crate::shapes::{ellipsoid, rod, smooth_cut};
use crate::vector::{Vec3, rgb, vec3};

#[derive(Debug)]
pub(super) struct Plum {
    spots: Vec3,
    radii: Vec3,
    stem_tip: Vec3,
    /// How much of the wax is still on.
    bloom: f64,
}

impl Plum {
    pub(super) fn grow(rng: &mut Rng) -> Self {
        let width = rng.range(0.76, 0.84);
        Self {
            spots: rng.offset(),
            radii: vec3(width, 1.0, 0.95 * width),
            stem_tip: vec3(rng.range(-0.12, 0.12), 1.22, rng.range(-0.1, 0.1)),
            bloom: rng.range(0.45, 0.9),
        }
    }

    /// 1 in the seam that runs from the stem down the front to the tip.
    fn seam(p: Vec3) -> f64 {
        (-(p.x / 0.085).powi(2)).exp() * smoothstep(-0.1, 0.3, p.z)
    }

    fn body(&self, p: Vec3) -> f64 {
        let egg = ellipsoid(p, self.radii);
        let hollow = (p - vec3(0.0, 1.08, 0.0)).length() - 0.16;
        0.85 * (smooth_cut(egg, hollow, 0.25) + 0.05 * Self::seam(p))
    }

    fn stem(&self, p: Vec3) -> f64 {
        rod(p, (vec3(0.0, 0.85, 0.0), 0.035), (self.stem_tip, 0.045))
    }
}

impl Fruit for Plum {
    fn distance(&self, p: Vec3) -> f64 {
        self.body(p).min(self.stem(p))
    }

    fn skin(&self, p: Vec3) -> Skin {
        if self.stem(p) < self.body(p) {
            return Skin::new(rgb(0x6b5a2e), 0.04, 10.0);
        }
        let patches = clouds(p * 1.6 + self.spots);
        let ripe = rgb(0x3a0f33).mix(rgb(0x7d1c3c), smoothstep(0.35, 0.75, patches));
        // Wax rubs off in strokes and stays in the seam and the hollow.
        let strokes = clouds(vec3(p.x * 3.0, p.y * 1.6, p.z * 3.0) - self.spots);
        let kept = Self::seam(p)
            .max(smoothstep(0.6, 0.95, p.y))
            .max(smoothstep(0.38, 0.68, strokes));
        let wax = self.bloom * 0.55 * kept;
        let dots = smoothstep(0.82, 0.9, noise(p * 15.0 + self.spots));
        let colour = ripe.mix(rgb(0x8d7fa6), wax).mix(rgb(0xb98a8a), 0.3 * dots);
        Skin::new(colour, 0.34 * (1.0 - 0.8 * kept * self.bloom), 30.0)
    }
}
