//! The `featurize.*` settings that the image functions read.
//!
//! The settings are declared by the root package as a `ConfigExtension`, which this crate cannot
//! name; it reads them by key. Without that extension every setting has the default given here.

use std::path::PathBuf;
use std::str::FromStr;

use datafusion_common::config::ConfigOptions;
use datafusion_common::{Result, config_err};

use crate::decode::{DecodeOptions, DeepGrey, ExifOrientation, Limits, TruncatedImages};

/// Prefix of the settings: `SET featurize.model = 'vgg16'`.
pub const PREFIX: &str = "featurize";
/// Full name of the setting that says how pictures become the input of an ONNX file.
pub const ONNX_PREPROCESSING: &str = "featurize.onnx_preprocessing";
/// Default of `featurize.model`.
pub const DEFAULT_MODEL: &str = "vgg16";
/// Default of `featurize.weights`.
pub const DEFAULT_WEIGHTS: &str = "imagenet";
/// Default of `featurize.max_pixels`: twice Pillow's `MAX_IMAGE_PIXELS`, where Pillow refuses an
/// image as a decompression bomb.
pub const DEFAULT_MAX_PIXELS: u64 = 178_956_970;
/// Default of `featurize.device`.
pub const DEFAULT_DEVICE: &str = "cpu";
/// Default of `featurize.threads`: as many as the machine has cores.
pub const DEFAULT_THREADS: usize = 0;

/// The settings that decide what features are, wherever and however they are computed.
///
/// A function takes them when a statement is planned, so that the metadata of its field and what it
/// computes cannot differ, on whichever machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FeatureSettings {
    /// Network when the `model` argument is absent or NULL.
    pub model: String,
    /// Weights when the `weights` argument is absent or NULL.
    pub weights: String,
    /// Side of the images that networks are fed when the `input_size` argument is absent or NULL;
    /// `None` for each network's own.
    pub input_size: Option<usize>,
    /// How pictures become the input of networks in ONNX files, in the words of
    /// `preprocessor_config.json`; `None` for what the file of that name beside each says.
    pub onnx_preprocessing: Option<String>,
    /// What to do with the orientation that EXIF gives.
    pub exif_orientation: ExifOrientation,
    /// What to do with a JPEG that ends early.
    pub truncated_images: TruncatedImages,
    /// How grey of more than eight bits becomes grey of eight.
    pub deep_grey: DeepGrey,
}

impl Default for FeatureSettings {
    fn default() -> Self {
        Self {
            model: DEFAULT_MODEL.to_owned(),
            weights: DEFAULT_WEIGHTS.to_owned(),
            input_size: None,
            onnx_preprocessing: None,
            exif_orientation: ExifOrientation::default(),
            truncated_images: TruncatedImages::default(),
            deep_grey: DeepGrey::default(),
        }
    }
}

impl FeatureSettings {
    /// Takes the setting of this name, without the prefix; `false` if it is none of these.
    ///
    /// # Errors
    ///
    /// A Configuration error if the value is none of the setting's.
    pub fn set(&mut self, name: &str, value: &str) -> Result<bool> {
        match name {
            "model" => value.clone_into(&mut self.model),
            "weights" => value.clone_into(&mut self.weights),
            "input_size" => self.input_size = Some(parse(name, value)?),
            "onnx_preprocessing" => self.onnx_preprocessing = Some(value.to_owned()),
            "exif_orientation" => self.exif_orientation = choose(name, value)?,
            "truncated_images" => self.truncated_images = choose(name, value)?,
            "deep_grey" => self.deep_grey = choose(name, value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Names and values, as [`set`](Self::set) takes them.
    pub fn entries(&self) -> Vec<(&'static str, String)> {
        let mut entries = vec![
            ("model", self.model.clone()),
            ("weights", self.weights.clone()),
            ("exif_orientation", self.exif_orientation.to_string()),
            ("truncated_images", self.truncated_images.to_string()),
            ("deep_grey", self.deep_grey.to_string()),
        ];
        entries.extend(self.input_size.map(|side| ("input_size", side.to_string())));
        let preprocessing = self.onnx_preprocessing.clone();
        entries.extend(preprocessing.map(|text| ("onnx_preprocessing", text)));
        entries
    }
}

/// Values of the `featurize.*` settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Those that decide what features are.
    pub features: FeatureSettings,
    /// Folder in which weights are kept; `None` for the platform's cache folder.
    pub weights_dir: Option<PathBuf>,
    /// Most pixels an image may have; larger ones are refused from their header.
    pub max_pixels: u64,
    /// Where networks run: `cpu` or `cuda`.
    pub device: String,
    /// Threads of the compute pool; 0 for one per core.
    pub threads: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            features: FeatureSettings::default(),
            weights_dir: None,
            max_pixels: DEFAULT_MAX_PIXELS,
            device: DEFAULT_DEVICE.to_owned(),
            threads: DEFAULT_THREADS,
        }
    }
}

impl Settings {
    /// Reads the settings of a session.
    ///
    /// # Errors
    ///
    /// A Configuration error if a number does not parse.
    pub fn try_from_config(config: &ConfigOptions) -> Result<Self> {
        let mut settings = Self::default();
        let entries = config
            .extensions
            .iter()
            .filter(|(prefix, _)| *prefix == PREFIX)
            .flat_map(|(_, options)| options.entries());
        for entry in entries {
            let Some(value) = entry.value.filter(|value| !value.is_empty()) else {
                continue;
            };
            let key = entry.key.as_str();
            let name = key.strip_prefix("featurize.").unwrap_or(key);
            if settings.features.set(name, &value)? {
                continue;
            }
            match name {
                "weights_dir" => settings.weights_dir = Some(PathBuf::from(value)),
                "max_pixels" => settings.max_pixels = parse(name, &value)?,
                "device" => settings.device = value,
                "threads" => settings.threads = parse(name, &value)?,
                // The other settings belong to the scan.
                _ => {}
            }
        }
        Ok(settings)
    }

    /// How images are decoded.
    pub fn decode_options(&self) -> DecodeOptions {
        DecodeOptions {
            limits: Limits {
                max_pixels: self.max_pixels,
            },
            exif_orientation: self.features.exif_orientation,
            truncated_images: self.features.truncated_images,
            deep_grey: self.features.deep_grey,
        }
    }
}

fn choose<T: FromStr<Err = String>>(key: &str, value: &str) -> Result<T> {
    match value.parse() {
        Ok(chosen) => Ok(chosen),
        Err(error) => config_err!("{PREFIX}.{key}: {error}"),
    }
}

fn parse<T: FromStr>(key: &str, value: &str) -> Result<T> {
    match value.parse() {
        Ok(parsed) => Ok(parsed),
        Err(_) => config_err!("{PREFIX}.{key} must be a whole number ≥ 0, found '{value}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion_common::config::ConfigExtension;
    use datafusion_common::extensions_options;

    extensions_options! {
        /// A part of the root package's settings.
        struct Part {
            /// Network
            pub model: String, default = "vgg16".to_owned()
            /// Pixels
            pub max_pixels: u64, default = 7
            /// Side
            pub input_size: Option<usize>, default = None
            /// Folder
            pub weights_dir: Option<String>, default = None
            /// Requests in flight
            pub scan_concurrency: usize, default = 32
        }
    }

    impl ConfigExtension for Part {
        const PREFIX: &'static str = PREFIX;
    }

    #[test]
    fn defaults_without_extension() {
        let settings = Settings::try_from_config(&ConfigOptions::default()).unwrap();
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn set_values_are_read() {
        let mut config = ConfigOptions::default();
        config.extensions.insert(Part::default());
        config.set("featurize.model", "mobilenet_v2").unwrap();
        config.set("featurize.weights_dir", "/srv/weights").unwrap();
        let settings = Settings::try_from_config(&config).unwrap();
        assert_eq!(settings.features.model, "mobilenet_v2");
        assert_eq!(settings.max_pixels, 7);
        assert_eq!(settings.weights_dir, Some(PathBuf::from("/srv/weights")));
        assert_eq!(settings.features.weights, DEFAULT_WEIGHTS);
        assert_eq!(settings.features.input_size, None);
        config.set("featurize.input_size", "100").unwrap();
        let settings = Settings::try_from_config(&config).unwrap();
        assert_eq!(settings.features.input_size, Some(100));
    }
}
