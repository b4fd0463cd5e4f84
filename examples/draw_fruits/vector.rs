//! Vectors of three numbers: points, directions and linear-light colours.

use std::ops::{Add, Div, Mul, Sub};

/// A point, a direction, or a colour as (red, green, blue) in linear light.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Vec3 {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) z: f64,
}

pub(crate) const fn vec3(x: f64, y: f64, z: f64) -> Vec3 {
    Vec3 { x, y, z }
}

/// A colour written as on the web, `0xRRGGBB`, brought to linear light where shading is a product.
pub(crate) fn rgb(hex: u32) -> Vec3 {
    let channel = |shift: u32| (f64::from((hex >> shift) & 0xff) / 255.0).powf(GAMMA);
    vec3(channel(16), channel(8), channel(0))
}

/// The display gamma: sRGB's curve within what a picture of a fruit can show.
pub(crate) const GAMMA: f64 = 2.2;

impl Vec3 {
    pub(crate) const ZERO: Self = vec3(0.0, 0.0, 0.0);

    pub(crate) fn dot(self, other: Self) -> f64 {
        self.x * other.x + self.y * other.y + self.z * other.z
    }

    pub(crate) fn length(self) -> f64 {
        self.dot(self).sqrt()
    }

    /// The unit vector of the same direction; the zero vector stays zero.
    pub(crate) fn normalize(self) -> Self {
        self / self.length().max(f64::MIN_POSITIVE)
    }

    /// Component by component: how a surface colour filters light.
    pub(crate) fn times(self, other: Self) -> Self {
        vec3(self.x * other.x, self.y * other.y, self.z * other.z)
    }

    /// `self` at `t = 0`, `other` at `t = 1`, and no further on either side.
    pub(crate) fn mix(self, other: Self, t: f64) -> Self {
        self + (other - self) * t.clamp(0.0, 1.0)
    }

    pub(crate) fn map(self, f: impl Fn(f64) -> f64) -> Self {
        vec3(f(self.x), f(self.y), f(self.z))
    }

    /// Distance from the y axis, around which most fruits are turned.
    pub(crate) fn radius(self) -> f64 {
        self.x.hypot(self.z)
    }

    /// Angle around the y axis.
    pub(crate) fn azimuth(self) -> f64 {
        self.z.atan2(self.x)
    }
}

impl Add for Vec3 {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        vec3(self.x + other.x, self.y + other.y, self.z + other.z)
    }
}

impl Sub for Vec3 {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        vec3(self.x - other.x, self.y - other.y, self.z - other.z)
    }
}

impl Mul<f64> for Vec3 {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        vec3(self.x * factor, self.y * factor, self.z * factor)
    }
}

impl Div<f64> for Vec3 {
    type Output = Self;

    fn div(self, divisor: f64) -> Self {
        vec3(self.x / divisor, self.y / divisor, self.z / divisor)
    }
}

/// How a fruit is turned towards the camera.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rotation {
    /// Where the fruit's own axes point in the picture.
    axes: [Vec3; 3],
}

impl Rotation {
    /// Turns about the upright axis, then tips the top towards the viewer, then turns in the
    /// picture plane; angles in degrees.
    pub(crate) fn new(yaw: f64, pitch: f64, roll: f64) -> Self {
        let (sy, cy) = yaw.to_radians().sin_cos();
        let (sp, cp) = pitch.to_radians().sin_cos();
        let (sr, cr) = roll.to_radians().sin_cos();
        let turn = |v: Vec3| {
            let v = vec3(cy * v.x + sy * v.z, v.y, cy * v.z - sy * v.x);
            let v = vec3(v.x, cp * v.y - sp * v.z, sp * v.y + cp * v.z);
            vec3(cr * v.x - sr * v.y, sr * v.x + cr * v.y, v.z)
        };
        Self {
            axes: [
                vec3(1.0, 0.0, 0.0),
                vec3(0.0, 1.0, 0.0),
                vec3(0.0, 0.0, 1.0),
            ]
            .map(turn),
        }
    }

    /// From picture space into the fruit's own space.
    pub(crate) fn to_fruit(self, v: Vec3) -> Vec3 {
        let [x, y, z] = self.axes.map(|axis| axis.dot(v));
        vec3(x, y, z)
    }
}
