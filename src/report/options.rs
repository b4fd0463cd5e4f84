//! What a caller chooses.

use std::fmt;
use std::str::FromStr;

use crate::object_stores::{StoreOptions, is_store_option};

const POINTS: u16 = 2000;
const THUMBNAILS: u16 = 2000;

/// What a report is drawn from, and how much it shows.
#[derive(Debug, Clone, Default)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[non_exhaustive]
pub struct ReportOptions {
    /// The features: a Parquet file, or a folder of them, local or s3://
    #[cfg_attr(feature = "cli", arg(long, value_name = "PARQUET"))]
    pub features: String,

    /// The value of pca_fit; without it, a model is fitted to the features
    #[cfg_attr(feature = "cli", arg(long, value_name = "PARQUET"))]
    pub model: Option<String>,

    /// The images that could not be read, with columns path and reason (or error), in Parquet or CSV
    #[cfg_attr(feature = "cli", arg(long, value_name = "FILES"))]
    pub ledger: Option<String>,

    /// The page's heading
    #[cfg_attr(feature = "cli", arg(long, value_name = "TEXT"))]
    pub title: Option<String>,

    /// Most points in the scatter plot; of more images, a sample is drawn
    #[cfg_attr(feature = "cli", arg(long, value_name = "N", default_value_t = POINTS,
        value_parser = clap::value_parser!(u16).range(1..=10_000)))]
    pub points: u16,

    /// Most thumbnails; 0 reads no image
    #[cfg_attr(feature = "cli", arg(long, value_name = "N", default_value_t = THUMBNAILS,
        value_parser = clap::value_parser!(u16).range(..=10_000)))]
    pub thumbnails: u16,

    /// The column of paths [default: path]
    #[cfg_attr(feature = "cli", arg(long, value_name = "COLUMN"))]
    pub path_column: Option<String>,

    /// The column of labels [default: label, else the folder of the path]
    #[cfg_attr(feature = "cli", arg(long, value_name = "COLUMN"))]
    pub label_column: Option<String>,

    /// The column of vectors [default: features, else features_pca]
    #[cfg_attr(feature = "cli", arg(long, value_name = "COLUMN"))]
    pub features_column: Option<String>,

    /// The column of the model's table that holds it [default: pca, else the only binary one]
    #[cfg_attr(feature = "cli", arg(long, value_name = "COLUMN"))]
    pub model_column: Option<String>,

    /// An option of the stores, aws.region=eu-west-3, as OPTIONS of CREATE EXTERNAL TABLE has them; other
    /// users of this machine can see it: the environment (AWS_SECRET_ACCESS_KEY) serves secrets better
    #[cfg_attr(feature = "cli", arg(long = "option", value_name = "NAME=VALUE"))]
    pub store_options: Vec<StoreOption>,

    /// Whether the caller typed these options on a command line.
    #[cfg_attr(feature = "cli", arg(skip = true))]
    #[doc(hidden)]
    pub typed: bool,
}

impl ReportOptions {
    /// A report on the features at this location, all else by default.
    pub fn new(features: impl Into<String>) -> Self {
        Self {
            features: features.into(),
            points: POINTS,
            thumbnails: THUMBNAILS,
            ..Self::default()
        }
    }

    /// The options of the stores by their names.
    pub(super) fn of_stores(&self) -> StoreOptions {
        let options = self.store_options.iter();
        StoreOptions::of(options.map(|option| (&option.name, &option.value)))
    }

    /// How a message names an option: `--path-column` to whoever typed it, else `path_column`.
    pub(super) fn name_of(&self, option: &str) -> String {
        match self.typed {
            true => format!("--{}", option.replace('_', "-")),
            false => option.to_owned(),
        }
    }
}

/// A name such as `aws.region`, and its value, which may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreOption {
    name: String,
    value: String,
}

impl fmt::Debug for StoreOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=…", self.name)
    }
}

/// `name=value`; the name in any letter case.
impl FromStr for StoreOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
        let name = name.trim().to_ascii_lowercase();
        match is_store_option(&name) {
            true => Ok(Self {
                name,
                value: value.to_owned(),
            }),
            false => Err("expected a name such as aws.region or aws.endpoint".to_owned()),
        }
    }
}
