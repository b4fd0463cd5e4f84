//! From an implicit fruit to a picture: sphere tracing, soft studio light, antialiasing.

use image::{Rgb, RgbImage};

use crate::noise::smoothstep;
use crate::shapes::gradient;
use crate::vector::{GAMMA, Rotation, Vec3, vec3};

/// Width and height of a picture in pixels, as in Fruits-360.
pub(crate) const SIDE: u32 = 100;
/// Rays along each side of a pixel.
const RAYS: u32 = 3;
/// Every fruit lies within this distance of its origin.
const BOUND: f64 = 1.7;
/// A ray this close has arrived: a tenth of a pixel.
const TOUCH: f64 = 0.002;
const MAX_STEPS: u32 = 120;
/// Rays along each side of the coarse picture that finds where the fruit lies.
const FRAMING_RAYS: u32 = 64;

/// A fruit as a body in its own space: about one unit in radius, the stem along +y.
pub(crate) trait Fruit {
    /// Distance to the surface, never more than the true one, negative inside.
    fn distance(&self, p: Vec3) -> f64;

    /// Fine height of the skin above that surface: seen in the shading, not in the outline.
    fn relief(&self, _p: Vec3) -> f64 {
        0.0
    }

    /// What the skin looks like at `p`.
    fn skin(&self, p: Vec3) -> Skin;
}

/// How a point of the surface answers light.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Skin {
    pub(crate) colour: Vec3,
    /// Strength of the highlight.
    pub(crate) gloss: f64,
    /// Blinn-Phong exponent: how small the highlight is.
    pub(crate) polish: f64,
}

impl Skin {
    pub(crate) fn new(colour: Vec3, gloss: f64, polish: f64) -> Self {
        Self {
            colour,
            gloss,
            polish,
        }
    }
}

/// The studio: a key light and a white tent all around.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Light {
    /// Towards the key light, in picture space (x right, y up, z to the viewer).
    pub(crate) towards: Vec3,
    pub(crate) key: f64,
    pub(crate) tent: f64,
}

/// One photograph: how the fruit is turned, how it is lit, how much of the picture it fills.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) rotation: Rotation,
    pub(crate) light: Light,
    /// Longer side of the fruit over the side of the picture.
    pub(crate) fill: f64,
}

/// Draws `fruit` on white, centred, as `view` says.
pub(crate) fn draw(fruit: &dyn Fruit, view: &View) -> RgbImage {
    let camera = Camera::framing(fruit, view);
    RgbImage::from_fn(SIDE, SIDE, |column, row| {
        let mut sum = Vec3::ZERO;
        for ray in 0..RAYS * RAYS {
            let at = |pixel, sub| f64::from(pixel) + (f64::from(sub) + 0.5) / f64::from(RAYS);
            let (x, y) = (at(column, ray % RAYS), at(row, ray / RAYS));
            sum = sum + camera.look(fruit, view, x / f64::from(SIDE), y / f64::from(SIDE));
        }
        // Averaged in linear light, or the outline would come out dark.
        let shown = (sum / f64::from(RAYS * RAYS)).map(|c| c.min(1.0).powf(GAMMA.recip()));
        Rgb([shown.x, shown.y, shown.z].map(|c| (c * 255.0).round() as u8))
    })
}

/// A square window of the picture plane, without perspective.
#[derive(Clone, Copy, Debug)]
struct Camera {
    x: f64,
    y: f64,
    half_side: f64,
}

impl Camera {
    /// The window in which the fruit is centred and fills what the view asks for.
    fn framing(fruit: &dyn Fruit, view: &View) -> Self {
        let whole = Self {
            x: 0.0,
            y: 0.0,
            half_side: BOUND,
        };
        let margin = BOUND / f64::from(FRAMING_RAYS);
        let (mut low, mut high) = ((BOUND, BOUND), (-BOUND, -BOUND));
        for i in 0..FRAMING_RAYS * FRAMING_RAYS {
            let at = |i| (f64::from(i) + 0.5) / f64::from(FRAMING_RAYS);
            let (x, y) = whole.point(at(i % FRAMING_RAYS), at(i / FRAMING_RAYS));
            if trace(fruit, view, x, y).is_some() {
                // A ray stands for all of its square: thin stems must not be cut off.
                low = (low.0.min(x - margin), low.1.min(y - margin));
                high = (high.0.max(x + margin), high.1.max(y + margin));
            }
        }
        let longer = (high.0 - low.0).max(high.1 - low.1);
        Self {
            x: 0.5 * (low.0 + high.0),
            y: 0.5 * (low.1 + high.1),
            half_side: 0.5 * longer.max(TOUCH) / view.fill,
        }
    }

    /// The point of the picture plane at a fraction of the window, from its top left.
    fn point(self, right: f64, down: f64) -> (f64, f64) {
        (
            self.x + (2.0 * right - 1.0) * self.half_side,
            self.y - (2.0 * down - 1.0) * self.half_side,
        )
    }

    fn look(self, fruit: &dyn Fruit, view: &View, right: f64, down: f64) -> Vec3 {
        let (x, y) = self.point(right, down);
        trace(fruit, view, x, y).map_or(vec3(1.0, 1.0, 1.0), |hit| shade(fruit, view, hit))
    }
}

/// Where the line of sight through `(x, y)` meets the fruit, in the fruit's space.
fn trace(fruit: &dyn Fruit, view: &View, x: f64, y: f64) -> Option<Vec3> {
    let depth = (BOUND * BOUND - x * x - y * y).max(0.0).sqrt();
    let start = view.rotation.to_fruit(vec3(x, y, depth));
    march(
        fruit,
        start,
        view.rotation.to_fruit(vec3(0.0, 0.0, -1.0)),
        2.0 * depth,
    )
}

fn march(fruit: &dyn Fruit, start: Vec3, direction: Vec3, reach: f64) -> Option<Vec3> {
    let mut travelled = 0.0;
    for _ in 0..MAX_STEPS {
        let p = start + direction * travelled;
        let distance = fruit.distance(p);
        if distance < TOUCH {
            return Some(p);
        }
        travelled += distance;
        if travelled > reach {
            return None;
        }
    }
    None
}

/// Light that leaves `p` for the viewer.
fn shade(fruit: &dyn Fruit, view: &View, p: Vec3) -> Vec3 {
    let Light { towards, key, tent } = view.light;
    let to_light = view.rotation.to_fruit(towards);
    let to_eye = view.rotation.to_fruit(vec3(0.0, 0.0, 1.0));
    let up = view.rotation.to_fruit(vec3(0.0, 1.0, 0.0));

    let body = gradient(|q| fruit.distance(q), p, 0.003).normalize();
    let normal = gradient(|q| fruit.distance(q) - fruit.relief(q), p, 0.006).normalize();
    let skin = fruit.skin(p);

    let lit = if march(fruit, p + body * 0.02, to_light, 1.0).is_some() {
        0.25
    } else {
        1.0
    };
    let open = openness(fruit, p, body);
    // The tent is brightest above; the white table sends a little back from below.
    let around = tent * open * (0.72 + 0.28 * normal.dot(up));
    let direct = key * lit * normal.dot(to_light).max(0.0);
    let highlight = normal
        .dot((to_light + to_eye).normalize())
        .max(0.0)
        .powf(skin.polish);
    // Skins mirror the tent at a grazing angle (Schlick's approximation of Fresnel's law).
    let grazing = (1.0 - normal.dot(to_eye).clamp(0.0, 1.0)).powi(4);

    skin.colour * (around + direct)
        + vec3(1.0, 1.0, 1.0) * (skin.gloss * (lit * highlight + 0.35 * tent * open * grazing))
}

/// 1 on an open surface, towards 0 in a cavity: does the body come near again along the normal?
fn openness(fruit: &dyn Fruit, p: Vec3, normal: Vec3) -> f64 {
    let hidden: f64 = [0.05, 0.12, 0.25]
        .into_iter()
        .map(|reach| {
            smoothstep(
                0.6 * reach,
                -0.2 * reach,
                fruit.distance(p + normal * reach),
            )
        })
        .sum();
    1.0 - 0.25 * hidden
}
