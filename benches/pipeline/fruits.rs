//! A made-up data set laid out like Fruits-360: `Training/<Label>/<frame>_100.jpg`, one fruit on
//! white, turned a little further in each frame. The same numbers give the same files.

use std::error::Error;

use libjpeg_turbo_rs::{PixelFormat, Subsampling, compress};

/// As many as Fruits-360 has, if there are images enough.
const LABELS: usize = 131;
const KINDS: [&str; 12] = [
    "Apple", "Apricot", "Banana", "Cherry", "Grape", "Lemon", "Mango", "Orange", "Peach", "Pear",
    "Plum", "Tomato",
];
const VARIETIES: [&str; 11] = [
    "Golden 1", "Golden 2", "Red 1", "Red 2", "Red 3", "Green", "Yellow", "Dark", "Wax", "Heart",
    "Maroon",
];
/// About 4 KB at 100×100, as Fruits-360 has.
const QUALITY: u8 = 92;

/// Objects in the bucket: key and content.
pub(crate) type Files = Vec<(String, Vec<u8>)>;

/// Draws `images` pictures on all cores.
///
/// # Errors
/// When the encoder refuses the size.
pub(crate) fn draw(
    images: usize,
    (width, height): (usize, usize),
    seed: u64,
) -> Result<Files, Box<dyn Error>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = images.div_ceil(cores).max(1);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..images)
            .step_by(share)
            .map(|first| {
                scope.spawn(move || {
                    (first..images.min(first + share))
                        .map(|number| file(number, (width, height), seed))
                        .collect::<Result<Files, String>>()
                })
            })
            .collect();
        let mut files = Vec::with_capacity(images);
        for worker in workers {
            let drawn = worker
                .join()
                .map_err(|_| "a thread that draws has failed")?;
            files.extend(drawn?);
        }
        Ok(files)
    })
}

fn file(
    number: usize,
    (width, height): (usize, usize),
    seed: u64,
) -> Result<(String, Vec<u8>), String> {
    let (label, frame) = (number % LABELS, number / LABELS);
    let kind = KINDS.get(label % KINDS.len()).unwrap_or(&"Fruit");
    let variety = VARIETIES.get(label / KINDS.len()).unwrap_or(&"Wild");
    let fruit = Fruit::new(&mut Random::new(seed, label as u64, 0));
    let mut chance = Random::new(seed, label as u64, 1 + frame as u64);
    let pixels = fruit.photograph(width, height, frame, &mut chance);
    let jpeg = compress(
        &pixels,
        width,
        height,
        PixelFormat::Rgb,
        QUALITY,
        Subsampling::S420,
    )
    .map_err(|e| format!("could not encode a JPEG of {width}×{height} pixels: {e}"))?;
    Ok((format!("Training/{kind} {variety}/{frame}_100.jpg"), jpeg))
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn new(seed: u64, label: u64, frame: u64) -> Self {
        let mut random = Self(seed);
        for number in [label, frame] {
            random.0 ^= number.wrapping_mul(0xd134_2543_de82_ef95);
            random.bits();
        }
        random
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Evenly between two numbers.
    fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * (self.bits() >> 40) as f32 / (1 << 24) as f32
    }
}

type Colour = [f32; 3];

/// What all pictures of a label have in common: an ellipsoid with a blush and freckles.
struct Fruit {
    skin: Colour,
    blush: Colour,
    /// Its longer half-axis is 1.
    shorter: f32,
    freckles: f32,
    gloss: f32,
}

impl Fruit {
    fn new(chance: &mut Random) -> Self {
        let mut colour = || {
            [
                chance.between(90.0, 240.0),
                chance.between(30.0, 210.0),
                chance.between(10.0, 90.0),
            ]
        };
        Self {
            skin: colour(),
            blush: colour(),
            shorter: chance.between(0.55, 1.0),
            freckles: chance.between(0.0, 0.5),
            gloss: chance.between(10.0, 90.0),
        }
    }

    /// RGB pixels of the fruit, centred on white.
    fn photograph(
        &self,
        width: usize,
        height: usize,
        frame: usize,
        chance: &mut Random,
    ) -> Vec<u8> {
        let angle = frame as f32 * 0.11 + chance.between(0.0, 0.05);
        let (sin, cos) = angle.sin_cos();
        let fill = chance.between(0.84, 0.97);
        let (light_x, light_y) = (chance.between(-0.6, 0.4), chance.between(-0.8, -0.3));
        // Distance of neighbouring pixels, in half-axes.
        let step = 2.0 / (width.min(height) as f32 * fill);
        let mut pixels = Vec::with_capacity(width * height * 3);
        for row in 0..height {
            for column in 0..width {
                let x = (column as f32 + 0.5 - 0.5 * width as f32) * step;
                let y = (row as f32 + 0.5 - 0.5 * height as f32) * step;
                // In the fruit's own space.
                let (u, v) = (cos * x + sin * y, (cos * y - sin * x) / self.shorter);
                let r = (u * u + v * v).sqrt();
                // The outline takes one pixel.
                let inside = ((1.0 - r) / step + 0.5).clamp(0.0, 1.0);
                if inside == 0.0 {
                    pixels.extend([255; 3]);
                    continue;
                }
                let z = (1.0 - r * r).max(0.0).sqrt();
                let light = (0.75 * z + light_x * x + light_y * y).clamp(0.0, 1.0);
                let highlight = self.gloss * light.powi(12);
                let blush = (0.5 + 0.5 * (3.0 * u + 2.0 * v + 4.0 * z).sin()) * z;
                let grain = chance.between(-1.0, 1.0);
                let freckle = if chance.between(0.0, 1.0) < 0.1 * self.freckles {
                    0.7
                } else {
                    1.0
                };
                for (skin, other) in self.skin.iter().zip(self.blush) {
                    let colour = (skin + (other - skin) * blush) * freckle;
                    let shown = colour * (0.35 + 0.65 * light) + highlight + 4.0 * grain;
                    pixels.push((255.0 + (shown - 255.0) * inside).clamp(0.0, 255.0) as u8);
                }
            }
        }
        pixels
    }
}
