//! The `featurize.*` settings of a session: `SET featurize.model = 'vgg16'`, `SHOW ALL`.
//!
//! One struct holds all of them because DataFusion keeps one extension a prefix. The function
//! crates cannot depend on this one, so they look their settings up by name; a test here makes
//! sure that every name they ask for exists.

use std::any::Any;

use datafusion::common::config::{ConfigEntry, ConfigExtension, ExtensionOptions};
use datafusion::common::{Result, config_datafusion_err, config_err};
use datafusion_functions_image::decode::{DeepGrey, ExifOrientation, TruncatedImages};
use datafusion_functions_image::models::ModelSpec;
use datafusion_functions_image::preparation;
use datafusion_functions_image::settings::{
    DEFAULT_DEVICE, DEFAULT_MAX_PIXELS, DEFAULT_MODEL, DEFAULT_WEIGHTS,
};
use datafusion_functions_image::weights::WeightsSpec;

use crate::blobs::Allowed;
use crate::suggest::did_you_mean;

/// The prefix of every setting.
pub const PREFIX: &str = "featurize";

/// Settings of a session, set by `SET featurize.<name> = <value>` and listed by `SHOW ALL`.
#[derive(Debug, Clone, PartialEq)]
pub struct FeaturizeOptions {
    /// Network used by `featurize` when its `model` argument is absent.
    pub model: String,
    /// Weights used by `featurize` when its `weights` argument is absent.
    pub weights: String,
    /// Folder of downloaded weights; `None` means `FEATURIZE_WEIGHTS_DIR`, else the platform's
    /// cache folder.
    pub weights_dir: Option<String>,
    /// Side in pixels of the images that networks are fed when the `input_size` argument of
    /// `featurize` is absent; `None` means each network's own.
    pub input_size: Option<usize>,
    /// How pictures become the input of networks in ONNX files, in the words of
    /// `preprocessor_config.json`; `None` means what the file of that name beside each says.
    pub onnx_preprocessing: Option<String>,
    /// Largest image, in pixels, that is decoded.
    pub max_pixels: u64,
    /// What to do with the orientation in EXIF of JPEG, PNG and WebP, and that of AVIF.
    pub exif_orientation: ExifOrientation,
    /// What to do with a JPEG that ends early.
    pub truncated_images: TruncatedImages,
    /// How grey of more than eight bits becomes grey of eight.
    pub deep_grey: DeepGrey,
    /// Where networks run: `cpu` or `cuda`.
    pub device: String,
    /// Most bytes that one `pca_fit` holds; `None` means 1 GiB.
    pub pca_memory_limit: Option<u64>,
    /// Threads of the compute pool that all query partitions share; 0 means every core.
    pub threads: usize,
    /// Objects being fetched at once by one scan, over all its partitions.
    pub scan_concurrency: usize,
    /// Most rows in one batch of a scan that reads `content`.
    pub scan_batch_rows: usize,
    /// Most bytes of `content` in one batch of a scan; one larger object makes a batch of its own.
    pub scan_batch_bytes: usize,
    /// Rows of a partition after which an append closes a part and makes it visible; 0 means at
    /// the end.
    pub checkpoint_rows: usize,
    /// Where `read_blob` may read: `*`, or beginnings of addresses between commas.
    pub read_blob_from: String,
    /// Whether `read_blob` may read from web servers on the machine that it runs on and on its own
    /// link; `None` means on one machine, but not on a cluster.
    pub read_blob_local_hosts: Option<bool>,
    /// Longest object, in bytes, that `read_blob` reads; `None` means what one value can have.
    pub read_blob_max_length: Option<u64>,
}

impl Default for FeaturizeOptions {
    fn default() -> Self {
        Self {
            model: DEFAULT_MODEL.to_owned(),
            weights: DEFAULT_WEIGHTS.to_owned(),
            weights_dir: None,
            input_size: None,
            onnx_preprocessing: None,
            max_pixels: DEFAULT_MAX_PIXELS,
            exif_orientation: ExifOrientation::default(),
            truncated_images: TruncatedImages::default(),
            deep_grey: DeepGrey::default(),
            device: DEFAULT_DEVICE.to_owned(),
            pca_memory_limit: None,
            threads: 0,
            scan_concurrency: 64,
            scan_batch_rows: 64,
            scan_batch_bytes: 16 * 1024 * 1024,
            checkpoint_rows: 1000,
            read_blob_from: "*".to_owned(),
            read_blob_local_hosts: None,
            read_blob_max_length: None,
        }
    }
}

/// Names in the order in which `SHOW ALL` and the reference list them, with their meaning.
const SETTINGS: [(&str, &str); 19] = [
    (
        "model",
        "Network used by featurize when its model argument is absent",
    ),
    (
        "weights",
        "Weights used by featurize when its weights argument is absent: imagenet, seeded, or the path or URL of a file",
    ),
    (
        "weights_dir",
        "Folder of downloaded weights; unset means FEATURIZE_WEIGHTS_DIR, else the platform's cache folder",
    ),
    (
        "input_size",
        "Side in pixels of the images that networks are fed when the input_size argument of featurize is absent; unset means each network's own",
    ),
    (
        "onnx_preprocessing",
        "How pictures become the input of networks in ONNX files, as JSON with the fields of preprocessor_config.json; unset means what the file of that name beside each says",
    ),
    ("max_pixels", "Largest image, in pixels, that is decoded"),
    (
        "exif_orientation",
        "What to do with the orientation in EXIF of JPEG, PNG and WebP, and that of AVIF: ignore (as Keras jobs) or apply. That of TIFF is always applied, as by Pillow",
    ),
    (
        "truncated_images",
        "What to do with a JPEG that ends early: error, or load what there is, as Pillow with LOAD_TRUNCATED_IMAGES",
    ),
    (
        "deep_grey",
        "How grey of more than eight bits becomes grey of eight: high_byte, or clip, as Pillow, which takes all above 255 as white",
    ),
    ("device", "Where networks run: cpu or cuda"),
    (
        "pca_memory_limit",
        "Most bytes of rows or moments that one pca_fit holds in each group and partition, such as 512M or 2G; unset means 1 GiB. Components come on top",
    ),
    (
        "threads",
        "Threads of the compute pool shared by all partitions; 0 means every core",
    ),
    (
        "scan_concurrency",
        "Objects being fetched at once by one scan, over all its partitions",
    ),
    (
        "scan_batch_rows",
        "Most rows in one batch of a scan that reads content",
    ),
    (
        "scan_batch_bytes",
        "Most bytes of content in one batch of a scan; one larger object makes a batch of its own",
    ),
    (
        "checkpoint_rows",
        "Rows of a partition after which an append closes a part and makes it visible; 0 means at the end. Batches that are read or computed on have no more rows than this",
    ),
    (
        "read_blob_from",
        "Where read_blob may read: * for everywhere, or beginnings of addresses between commas, such as `s3://photos/`, `https://images.example.org/`, `/data/`",
    ),
    (
        "read_blob_local_hosts",
        "Whether read_blob may read from web servers on the machine that it runs on and on its own link; unset means on one machine, but not on a cluster",
    ),
    (
        "read_blob_max_length",
        "Longest object, in bytes or such as 512M, that read_blob reads; unset means 2 GiB, which is what one value can have",
    ),
];

impl FeaturizeOptions {
    /// The settings of a session, or the defaults when the extension is not installed.
    pub fn from_config(config: &datafusion::config::ConfigOptions) -> Self {
        config.extensions.get::<Self>().cloned().unwrap_or_default()
    }

    /// Most rows in one batch of what is read or computed row by row: no more than are to become visible
    /// at a time.
    pub(crate) fn batch_rows(&self) -> usize {
        match self.checkpoint_rows {
            0 => self.scan_batch_rows,
            rows => rows.min(self.scan_batch_rows),
        }
    }

    fn value(&self, name: &str) -> Option<String> {
        match name {
            "model" => Some(self.model.clone()),
            "weights" => Some(self.weights.clone()),
            "weights_dir" => self.weights_dir.clone(),
            "input_size" => self.input_size.map(|size| size.to_string()),
            "onnx_preprocessing" => self.onnx_preprocessing.clone(),
            "max_pixels" => Some(self.max_pixels.to_string()),
            "exif_orientation" => Some(self.exif_orientation.to_string()),
            "truncated_images" => Some(self.truncated_images.to_string()),
            "deep_grey" => Some(self.deep_grey.to_string()),
            "device" => Some(self.device.clone()),
            "pca_memory_limit" => self.pca_memory_limit.map(|bytes| bytes.to_string()),
            "threads" => Some(self.threads.to_string()),
            "scan_concurrency" => Some(self.scan_concurrency.to_string()),
            "scan_batch_rows" => Some(self.scan_batch_rows.to_string()),
            "scan_batch_bytes" => Some(self.scan_batch_bytes.to_string()),
            "checkpoint_rows" => Some(self.checkpoint_rows.to_string()),
            "read_blob_from" => Some(self.read_blob_from.clone()),
            "read_blob_local_hosts" => self.read_blob_local_hosts.map(|on| on.to_string()),
            "read_blob_max_length" => self.read_blob_max_length.map(|bytes| bytes.to_string()),
            _ => None,
        }
    }
}

impl ConfigExtension for FeaturizeOptions {
    const PREFIX: &'static str = PREFIX;
}

impl ExtensionOptions for FeaturizeOptions {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "model" => self.model = checked(key, model(value))?,
            "weights" => {
                checked(key, WeightsSpec::parse(value))?;
                value.clone_into(&mut self.weights);
            }
            "weights_dir" => {
                self.weights_dir = (!value.is_empty()).then(|| value.to_owned());
            }
            "input_size" => {
                self.input_size = unless_empty(value, |value| number(key, value, 32))?;
            }
            "onnx_preprocessing" => {
                self.onnx_preprocessing = unless_empty(value, |value| {
                    preparation::check(value).map_err(|e| config_datafusion_err!("{e}"))?;
                    Ok(value.to_owned())
                })?;
            }
            "max_pixels" => self.max_pixels = number(key, value, 1)?,
            "exif_orientation" => self.exif_orientation = checked(key, value.parse())?,
            "truncated_images" => self.truncated_images = checked(key, value.parse())?,
            "deep_grey" => self.deep_grey = checked(key, value.parse())?,
            "device" => self.device = device(value)?,
            "pca_memory_limit" => self.pca_memory_limit = Some(size(key, value)?),
            "threads" => self.threads = number(key, value, 0)?,
            "scan_concurrency" => self.scan_concurrency = number(key, value, 1)?,
            "scan_batch_rows" => self.scan_batch_rows = number(key, value, 1)?,
            "scan_batch_bytes" => self.scan_batch_bytes = number(key, value, 1)?,
            "checkpoint_rows" => self.checkpoint_rows = number(key, value, 0)?,
            "read_blob_from" => {
                checked(
                    key,
                    Allowed::parse(value, true).map_err(|e| e.message().into_owned()),
                )?;
                value.clone_into(&mut self.read_blob_from);
            }
            "read_blob_local_hosts" => {
                self.read_blob_local_hosts = unless_empty(value, |value| flag(key, value))?;
            }
            "read_blob_max_length" => {
                self.read_blob_max_length = unless_empty(value, |value| size(key, value))?;
            }
            _ => {
                let names = SETTINGS.map(|(name, _)| name);
                return config_err!(
                    "there is no setting {PREFIX}.{key}{}; the settings are {}",
                    did_you_mean(key, &names),
                    names.join(", ")
                );
            }
        }
        Ok(())
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        SETTINGS
            .iter()
            .map(|&(name, description)| ConfigEntry {
                key: format!("{PREFIX}.{name}"),
                value: self.value(name),
                description,
            })
            .collect()
    }
}

/// A setting that need not have a value is set back by none.
fn unless_empty<T>(value: &str, parse: impl FnOnce(&str) -> Result<T>) -> Result<Option<T>> {
    match value {
        "" => Ok(None),
        value => parse(value).map(Some),
    }
}

/// A name in any letter case, or an address as it is.
fn model(value: &str) -> datafusion_functions_image::error::Result<String> {
    let lower = value.to_ascii_lowercase();
    match ModelSpec::parse(&lower) {
        Ok(ModelSpec::Transformer(spec)) if spec.published().is_none() => {
            ModelSpec::parse(value).map(|_| value.to_owned())
        }
        Ok(ModelSpec::Onnx(_)) => ModelSpec::parse(value).map(|_| value.to_owned()),
        parsed => parsed.map(|_| lower),
    }
}

fn device(value: &str) -> Result<String> {
    match value.to_ascii_lowercase().as_str() {
        "cuda" if !cfg!(feature = "cuda") => config_err!(
            "{PREFIX}.device: this program was built without the feature 'cuda'; build it with that \
             feature, or take 'cpu'"
        ),
        device @ ("cpu" | "cuda") => Ok(device.to_owned()),
        _ => config_err!("{PREFIX}.device: expected 'cpu' or 'cuda', found '{value}'"),
    }
}

fn flag(key: &str, value: &str) -> Result<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => config_err!("{PREFIX}.{key}: expected 'true' or 'false', found '{value}'"),
    }
}

/// Bytes in `10`, `10k`, `10m`, `10g` or `10t`, with or without a `b` at the end, in any letter
/// case; `None` if it is not a positive size.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match lower.get(digits.len()..)? {
        "" | "b" => 0,
        "k" | "kb" => 10,
        "m" | "mb" => 20,
        "g" | "gb" => 30,
        "t" | "tb" => 40,
        _ => return None,
    };
    let number: u64 = digits.parse().ok()?;
    number.checked_mul(1 << shift).filter(|&bytes| bytes > 0)
}

fn size(key: &str, value: &str) -> Result<u64> {
    parse_bytes(value).ok_or_else(|| {
        config_datafusion_err!(
            "{PREFIX}.{key}: expected a size such as 512M or 2G, found '{value}'"
        )
    })
}

/// A Configuration error that names the setting for what the image functions would refuse.
fn checked<T, E: std::fmt::Display>(key: &str, parsed: std::result::Result<T, E>) -> Result<T> {
    parsed.map_err(|error| config_datafusion_err!("{PREFIX}.{key}: {error}"))
}

/// Parses a whole number that is at least `least`.
fn number<T: std::str::FromStr + PartialOrd + std::fmt::Display + Copy>(
    key: &str,
    value: &str,
    least: T,
) -> Result<T> {
    match value.trim().parse::<T>() {
        Ok(number) if number >= least => Ok(number),
        _ => Err(config_datafusion_err!(
            "{PREFIX}.{key}: expected a whole number of at least {least}, found '{value}'"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_can_be_set_and_shown() {
        let mut options = FeaturizeOptions::default();
        for (name, value) in [
            ("model", "vgg16"),
            ("weights", "seeded"),
            ("weights_dir", "/Some/Folder"),
            ("input_size", "100"),
            (
                "onnx_preprocessing",
                r#"{"image_processor_type": "ViTImageProcessor"}"#,
            ),
            ("max_pixels", "7"),
            ("exif_orientation", "apply"),
            ("truncated_images", "load"),
            ("deep_grey", "clip"),
            ("device", "cpu"),
            ("pca_memory_limit", "4096"),
            ("threads", "3"),
            ("scan_concurrency", "5"),
            ("scan_batch_rows", "11"),
            ("scan_batch_bytes", "13"),
            ("checkpoint_rows", "17"),
            ("read_blob_from", "s3://b, /data/"),
            ("read_blob_local_hosts", "true"),
            ("read_blob_max_length", "19"),
        ] {
            options.set(name, value).unwrap();
            let entry = options
                .entries()
                .into_iter()
                .find(|entry| entry.key == format!("featurize.{name}"))
                .unwrap();
            assert_eq!(entry.value.as_deref(), Some(value), "{name}");
            assert!(!entry.description.is_empty());
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("7", 7), ("2k", 2048), ("3MB", 3 << 20), ("1g", 1 << 30)] {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
        for text in ["", "g", "-1g", "1x", "1.5g", "99999999t", "0"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        let mut options = FeaturizeOptions::default();
        for (name, value, expected) in [
            ("device", "tpu", "expected 'cpu' or 'cuda', found 'tpu'"),
            #[cfg(not(feature = "cuda"))]
            ("device", "cuda", "built without the feature 'cuda'"),
            ("threads", "-1", "whole number of at least 0, found '-1'"),
            (
                "scan_batch_rows",
                "0",
                "whole number of at least 1, found '0'",
            ),
            ("max_pixels", "many", "found 'many'"),
            (
                "exif_orientation",
                "on",
                "expected 'ignore' or 'apply', found 'on'",
            ),
            (
                "pca_memory_limit",
                "0",
                "a size such as 512M or 2G, found '0'",
            ),
            ("read_blob_from", "s3://b, s3://c//d", "'s3://c//d' cannot"),
            ("read_blob_local_hosts", "maybe", "found 'maybe'"),
            ("model", "vgg61", "did you mean 'vgg16'?"),
            ("weights", "image-net", "did you mean 'imagenet'?"),
            #[cfg(not(feature = "onnx"))]
            ("model", "Mine.onnx", "built without the feature 'onnx'"),
            (
                "onnx_preprocessing",
                r#"{"size": 224}"#,
                "featurize.onnx_preprocessing: field 'resample' is missing",
            ),
            ("modle", "vgg16", "(did you mean 'model'?)"),
        ] {
            let error = options.set(name, value).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!(options, FeaturizeOptions::default());
    }
}
