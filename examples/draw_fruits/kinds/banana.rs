//! A banana.

use crate::noise::{Rng, clouds, noise, smoothstep};
use crate::render::{Fruit, Skin};
use crate::vector::{Vec3, rgb, vec3};

/// Radius of the circle along which the fruit bends.
const BEND: f64 = 1.15;
/// The body covers this angle to both sides of its middle, in radians.
const HALF_ARC: f64 = 0.92;

#[derive(Debug)]
pub(super) struct Banana {
    spots: Vec3,
    thickness: f64,
    /// 0 still green at the stem, 1 freckled.
    ripeness: f64,
}

/// A point as the banana sees it.
struct Place {
    /// Along the fruit: -1 where the flower was, +1 where the stem begins.
    along: f64,
    /// From the middle line.
    off: f64,
    /// Around the middle line.
    angle: f64,
}

impl Banana {
    pub(super) fn grow(rng: &mut Rng) -> Self {
        Self {
            spots: rng.offset(),
            thickness: rng.range(0.25, 0.29),
            ripeness: rng.range(0.0, 1.0),
        }
    }

    fn place(p: Vec3) -> Place {
        let (x, y) = (p.x, p.y - 0.8);
        let outward = x.hypot(y) - BEND;
        Place {
            along: x.atan2(-y) / HALF_ARC,
            off: outward.hypot(p.z),
            angle: p.z.atan2(outward),
        }
    }

    /// Five blunt edges, tapering to the flower's end and to a stalk.
    fn thickness(&self, place: &Place) -> f64 {
        let t = place.along;
        let edges = 1.0 + 0.045 * (5.0 * place.angle).cos();
        let taper = 1.0 - 0.22 * t * t;
        let stalk = smoothstep(1.12, 0.66, t);
        let flower = smoothstep(-1.12, -0.72, t);
        0.06 + (self.thickness * edges * taper - 0.06) * stalk * flower
    }
}

impl Fruit for Banana {
    fn distance(&self, p: Vec3) -> f64 {
        let place = Self::place(p);
        let side = place.off - self.thickness(&place);
        let ends = BEND * HALF_ARC * (place.along - 1.32).max(-1.06 - place.along);
        0.6 * side.max(ends)
    }

    fn relief(&self, p: Vec3) -> f64 {
        0.02 * clouds(p * 5.0 + self.spots)
    }

    fn skin(&self, p: Vec3) -> Skin {
        let place = Self::place(p);
        let t = place.along;
        let patches = clouds(p * 2.5 + self.spots);
        // Freckles are drawn out along the fruit.
        let grain = vec3(5.0 * t, 7.0 * place.angle.cos(), 7.0 * place.angle.sin());
        let freckles = smoothstep(
            0.8 - 0.1 * self.ripeness,
            0.88,
            noise(grain * 1.7 + self.spots),
        );
        let edge = smoothstep(0.93, 1.0, (5.0 * place.angle).cos()) * 0.25;
        let green = smoothstep(0.55, 1.05, t + 0.2 * patches) * (1.0 - 0.5 * self.ripeness);
        let dark = smoothstep(-0.98, -1.03, t).max(smoothstep(1.27, 1.3, t));
        let colour = rgb(0xf4c81f)
            .mix(rgb(0xf9dc55), 1.5 * patches - 0.3)
            .mix(rgb(0xc79a20), edge)
            .mix(rgb(0x7a4d1a), freckles * (0.25 + 0.6 * self.ripeness))
            .mix(rgb(0xa9ad3a), 0.8 * green)
            .mix(rgb(0x3d2a17), 0.95 * dark);
        Skin::new(colour, 0.14, 18.0)
    }
}
