//! A red apple.

use std::f64::consts::TAU;

use crate::noise::{Rng, clouds, noise, smoothstep};
use crate::render::{Fruit, Skin};
use crate::shapes::rod;
use crate::vector::{Vec3, rgb, vec3};

#[derive(Debug)]
pub(super) struct Apple {
    spots: Vec3,
    stem_tip: Vec3,
    /// How much of the skin stays yellow.
    yellow: f64,
}

impl Apple {
    pub(super) fn grow(rng: &mut Rng) -> Self {
        Self {
            spots: rng.offset(),
            stem_tip: vec3(
                rng.range(-0.18, 0.18),
                rng.range(1.02, 1.14),
                rng.range(-0.18, 0.18),
            ),
            yellow: rng.range(0.0, 0.6),
        }
    }

    /// A ring so thick that its hole closes: dimples at both ends, shoulders wider than the base.
    fn body(&self, p: Vec3) -> f64 {
        let lobes = 0.035 * (5.0 * p.azimuth() + self.yellow * TAU).cos();
        let r = p.radius() / (1.0 + 0.16 * p.y + lobes * smoothstep(0.1, -0.9, p.y));
        0.62 * ((r - 0.4).hypot(0.69 * p.y) - 0.6)
    }

    fn stem(&self, p: Vec3) -> f64 {
        rod(p, (vec3(0.0, 0.5, 0.0), 0.035), (self.stem_tip, 0.06))
    }
}

impl Fruit for Apple {
    fn distance(&self, p: Vec3) -> f64 {
        self.body(p).min(self.stem(p))
    }

    fn skin(&self, p: Vec3) -> Skin {
        if self.stem(p) < self.body(p) {
            return Skin::new(rgb(0x5a3a1c), 0.05, 12.0);
        }
        // Streaks run from stem to base: fine around the fruit, long down it.
        let around = vec3(p.azimuth().cos(), 0.12 * p.y, p.azimuth().sin());
        let streaks = clouds(around * 9.0 + self.spots);
        let patches = clouds(p * 1.3 + self.spots);
        let red = rgb(0x8c0f14).mix(rgb(0xd42a22), 1.6 * streaks - 0.3);
        let ripe = red.mix(
            rgb(0xdf9440),
            self.yellow * smoothstep(0.62, 0.95, patches + 0.4 * (streaks - 0.2)),
        );
        let cavity =
            smoothstep(0.42, 0.08, p.radius() - 0.12 * streaks) * smoothstep(0.3, 0.6, p.y.abs());
        let dots = smoothstep(0.8, 0.9, noise(p * 17.0 + self.spots));
        let colour = ripe
            .mix(rgb(0xb9a83c), 0.85 * cavity)
            .mix(rgb(0xe8b070), 0.4 * dots);
        Skin::new(colour, 0.38, 38.0)
    }
}
