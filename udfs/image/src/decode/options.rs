//! How images are decoded, where there is a choice.

use std::fmt;
use std::str::FromStr;

/// The libraries that decode, part of the provenance of features: another decoder gives other
/// pixels.
pub const DECODERS: &str = if cfg!(feature = "avif") {
    "libjpeg-turbo-rs 0.9, image 0.25, hayro-jpeg2000 0.5, rav1d 1.1"
} else {
    "libjpeg-turbo-rs 0.9, image 0.25, hayro-jpeg2000 0.5"
};

/// How large an image may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most pixels, width times height.
    pub max_pixels: u64,
}

/// How images are decoded. Every choice but the limit changes pixels, and so features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeOptions {
    /// How large an image may be.
    pub limits: Limits,
    /// What to do with the orientation that EXIF gives.
    pub exif_orientation: ExifOrientation,
    /// What to do with a file that ends early.
    pub truncated_images: TruncatedImages,
    /// How grey of more than eight bits becomes grey of eight.
    pub deep_grey: DeepGrey,
}

impl From<Limits> for DecodeOptions {
    fn from(limits: Limits) -> Self {
        Self {
            limits,
            exif_orientation: ExifOrientation::default(),
            truncated_images: TruncatedImages::default(),
            deep_grey: DeepGrey::default(),
        }
    }
}

impl DecodeOptions {
    /// The libraries that decode, and the choices that are not the usual ones: what pixels depend on,
    /// and so features.
    pub fn provenance(&self) -> String {
        let usual = Self::from(self.limits);
        let mut text = DECODERS.to_owned();
        for (name, value, usual) in [
            (
                "exif_orientation",
                self.exif_orientation.to_string(),
                usual.exif_orientation.to_string(),
            ),
            (
                "truncated_images",
                self.truncated_images.to_string(),
                usual.truncated_images.to_string(),
            ),
            (
                "deep_grey",
                self.deep_grey.to_string(),
                usual.deep_grey.to_string(),
            ),
        ] {
            if value != usual {
                text.push_str(&format!(", {name} {value}"));
            }
        }
        text
    }
}

/// A setting with a few names to choose from.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text),+ })
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text.to_lowercase().as_str() {
                    $($text => Ok(Self::$variant),)+
                    _ => {
                        let names = [$($text),+].map(|name| format!("'{name}'"));
                        Err(format!("expected {}, found '{text}'", names.join(" or ")))
                    }
                }
            }
        }
    };
}

choice! {
    /// `featurize.exif_orientation`: what to do with the orientation in EXIF of JPEG, PNG and WebP, and that of AVIF.
    ExifOrientation {
        /// Take pixels as stored, as Keras jobs do.
        #[default]
        Ignore = "ignore",
        /// Turn them, as Pillow's `ImageOps.exif_transpose` does.
        Apply = "apply",
    }
}

choice! {
    /// `featurize.truncated_images`: what to do with a JPEG that ends early.
    TruncatedImages {
        /// Refuse it.
        #[default]
        Error = "error",
        /// Take what there is; the rest is grey, as with Pillow's `LOAD_TRUNCATED_IMAGES`.
        Load = "load",
    }
}

choice! {
    /// `featurize.deep_grey`: how grey of more than eight bits becomes grey of eight.
    DeepGrey {
        /// Keep the high byte. Numbers without a highest value are refused.
        #[default]
        HighByte = "high_byte",
        /// Keep 0 to 255; all above is white, all below black: Pillow's `convert("RGB")`.
        Clip = "clip",
    }
}
