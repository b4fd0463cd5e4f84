//! A blueberry, its crown towards the viewer.

use crate::noise::{Rng, clouds, noise, smoothstep};
use crate::render::{Fruit, Skin};
use crate::shapes::{ellipsoid, smooth_cut};
use crate::vector::{Vec3, rgb, vec3};

#[derive(Debug)]
pub(super) struct Blueberry {
    spots: Vec3,
    height: f64,
    /// How much of the wax is still on.
    bloom: f64,
}

impl Blueberry {
    pub(super) fn grow(rng: &mut Rng) -> Self {
        Self {
            spots: rng.offset(),
            height: rng.range(0.8, 0.88),
            bloom: rng.range(0.55, 0.95),
        }
    }

    fn berry(&self, p: Vec3) -> f64 {
        let globe = ellipsoid(p, vec3(1.0, self.height, 1.0));
        let crater = ellipsoid(p - vec3(0.0, self.height, 0.0), vec3(0.36, 0.24, 0.36));
        smooth_cut(globe, crater, 0.08)
    }

    /// The five lobes that the flower leaves around the crater, leaning outwards.
    fn crown(&self, p: Vec3) -> f64 {
        let height = p.y - (self.height - 0.12);
        let wall = (p.radius() - 0.37 - 0.45 * height).abs() - 0.045;
        let ragged = 0.05 * noise(p * 6.0 + self.spots);
        let top = 0.13 + ragged + 0.1 * (5.0 * p.azimuth()).cos();
        0.5 * wall.max(height - top).max(-height)
    }
}

impl Fruit for Blueberry {
    fn distance(&self, p: Vec3) -> f64 {
        self.berry(p).min(self.crown(p))
    }

    fn relief(&self, p: Vec3) -> f64 {
        0.03 * clouds(p * 3.5 + self.spots)
    }

    fn skin(&self, p: Vec3) -> Skin {
        let strokes = clouds(p * 2.6 + self.spots);
        let speckle = noise(p * 14.0 + self.spots);
        let wax = self.bloom * smoothstep(0.2, 0.7, strokes + 0.25 * (speckle - 0.5));
        let bare = rgb(0x18234f).mix(rgb(0x27397a), strokes);
        let waxed = bare.mix(rgb(0x7f97cc), 0.85 * wax);
        let inside = p.y > self.height - 0.3 && p.radius() < 0.33;
        if inside {
            let floor = smoothstep(0.12, 0.04, p.radius());
            return Skin::new(rgb(0x1a1f38).mix(rgb(0x6a5f58), 0.6 * floor), 0.03, 10.0);
        }
        let crown = if self.crown(p) < self.berry(p) {
            0.45
        } else {
            0.0
        };
        Skin::new(
            waxed.mix(rgb(0x2a2c48), crown),
            0.22 * (1.0 - 0.7 * wax),
            20.0,
        )
    }
}
