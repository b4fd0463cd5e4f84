//! The kinds of fruit, one file each.

mod apple;
mod banana;
mod blueberry;
mod kiwi;
mod lemon;
mod orange;
mod plum;
mod strawberry;

use crate::noise::Rng;
use crate::render::Fruit;

/// A kind of fruit: its folder, how to grow one, and from which sides it is shown.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) grow: fn(&mut Rng) -> Box<dyn Fruit>,
    pub(crate) pose: Pose,
}

/// Ranges of the angles of a pose in degrees: see `Rotation::new`.
#[derive(Debug)]
pub(crate) struct Pose {
    pub(crate) yaw: (f64, f64),
    pub(crate) pitch: (f64, f64),
    pub(crate) roll: (f64, f64),
}

impl Pose {
    const fn new(yaw: (f64, f64), pitch: (f64, f64), roll: (f64, f64)) -> Self {
        Self { yaw, pitch, roll }
    }
}

/// In the order of their folders. Poses keep in sight what a fruit is known by.
pub(crate) const KINDS: [Kind; 8] = [
    Kind {
        name: "Apple Red",
        grow: |rng| Box::new(apple::Apple::grow(rng)),
        pose: Pose::new((0.0, 360.0), (8.0, 38.0), (-25.0, 25.0)),
    },
    Kind {
        name: "Banana",
        grow: |rng| Box::new(banana::Banana::grow(rng)),
        pose: Pose::new((-40.0, 40.0), (-30.0, 30.0), (-70.0, 70.0)),
    },
    Kind {
        name: "Blueberry",
        grow: |rng| Box::new(blueberry::Blueberry::grow(rng)),
        pose: Pose::new((0.0, 360.0), (35.0, 72.0), (-60.0, 60.0)),
    },
    Kind {
        name: "Kiwi",
        grow: |rng| Box::new(kiwi::Kiwi::grow(rng)),
        pose: Pose::new((-42.0, 42.0), (-22.0, 22.0), (0.0, 360.0)),
    },
    Kind {
        name: "Lemon",
        grow: |rng| Box::new(lemon::Lemon::grow(rng)),
        pose: Pose::new((0.0, 360.0), (-25.0, 25.0), (-100.0, 100.0)),
    },
    Kind {
        name: "Orange",
        grow: |rng| Box::new(orange::Orange::grow(rng)),
        pose: Pose::new((0.0, 360.0), (15.0, 65.0), (-60.0, 60.0)),
    },
    Kind {
        name: "Plum",
        grow: |rng| Box::new(plum::Plum::grow(rng)),
        pose: Pose::new((-70.0, 70.0), (10.0, 40.0), (-50.0, 50.0)),
    },
    Kind {
        name: "Strawberry",
        grow: |rng| Box::new(strawberry::Strawberry::grow(rng)),
        pose: Pose::new((0.0, 360.0), (0.0, 35.0), (-55.0, 55.0)),
    },
];
