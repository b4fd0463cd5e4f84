//! `write_mode`, `num_files`, `success_file`, `manifest` and `vectors`.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use datafusion::common::{DataFusionError, Result, config_datafusion_err, config_err};
use serde::{Deserialize, Serialize};

use crate::suggest::did_you_mean;

/// The most parts that `num_files` may ask for: each is an open upload until the end.
const MAX_NUM_FILES: usize = 1000;

/// The options that this module adds to those of the format, as the SQL planner spells them.
const PREFIX: &str = "format.";
pub(super) const WRITE_MODE: &str = "format.write_mode";
pub(super) const NUM_FILES: &str = "format.num_files";
pub(super) const SUCCESS_FILE: &str = "format.success_file";
pub(super) const MANIFEST: &str = "format.manifest";
pub(super) const VECTORS: &str = "format.vectors";

/// What happens to data that the target holds already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteMode {
    /// Kept; new parts appear beside it while the query runs.
    Append,
    /// Replaced, all at once, when the query has ended well.
    Overwrite,
    /// An error.
    ErrorIfExists,
}

impl FromStr for WriteMode {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "append" => Ok(Self::Append),
            "overwrite" => Ok(Self::Overwrite),
            "error_if_exists" | "errorifexists" => Ok(Self::ErrorIfExists),
            _ => Err(format!(
                "option 'write_mode': expected 'append', 'overwrite' or 'error_if_exists', found \
                 '{text}'"
            )),
        }
    }
}

impl fmt::Display for WriteMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Append => "append",
            Self::Overwrite => "overwrite",
            Self::ErrorIfExists => "error_if_exists",
        })
    }
}

/// How columns of lists are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vectors {
    /// As text, `[1.0, 2.5]`: what CSV does if nothing is said.
    Text,
    /// As lists (Parquet).
    List,
    /// Lists of numbers as lists of fixed size (Parquet).
    FixedSizeList,
    /// Lists of numbers as a column for each place, `features_0`, `features_1`, …
    Columns,
}

impl FromStr for Vectors {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "text" => Ok(Self::Text),
            "list" => Ok(Self::List),
            "fixed_size_list" => Ok(Self::FixedSizeList),
            "columns" => Ok(Self::Columns),
            _ => Err(format!(
                "option 'vectors': expected 'text', 'list', 'fixed_size_list' or 'columns', found \
                 '{text}'"
            )),
        }
    }
}

impl fmt::Display for Vectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::List => "list",
            Self::FixedSizeList => "fixed_size_list",
            Self::Columns => "columns",
        })
    }
}

/// The options of one target; `None` where the statement does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// `write_mode`; append where absent.
    pub write_mode: Option<WriteMode>,
    /// `num_files`: exactly so many parts, also when some are empty.
    pub num_files: Option<usize>,
    /// `success_file`: whether `_SUCCESS` is written. Where absent, it is unless the mode is append,
    /// which keeps it up to date if the folder has it.
    pub success_file: Option<bool>,
    /// `manifest`: whether `_MANIFEST.json` stays beside the parts. Where absent, it does not, unless
    /// the mode is append and the folder has it.
    pub manifest: Option<bool>,
    /// `vectors`: how lists are written; as text to CSV and as they are to Parquet where absent.
    pub vectors: Option<Vectors>,
}

/// All of them.
const OURS: [&str; 5] = [WRITE_MODE, NUM_FILES, SUCCESS_FILE, MANIFEST, VECTORS];

impl WriteOptions {
    /// Whether `key`, as the SQL planner spells it, is one of ours.
    pub fn is_ours(key: &str) -> bool {
        OURS.contains(&key)
    }

    /// The options as people write them.
    pub(super) fn names() -> [&'static str; OURS.len()] {
        OURS.map(|key| key.trim_start_matches(PREFIX))
    }

    /// Whether a statement with the option `name` can only be planned by this crate's formats.
    pub fn is_option(name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        Self::is_ours(&name)
            || Self::is_ours(&format!("{PREFIX}{name}"))
            || Self::mistyped(std::iter::once(&name)).is_some()
    }

    /// What to say of options that the format refused, if one of them is nearly ours.
    pub(super) fn mistyped<'a>(keys: impl Iterator<Item = &'a String>) -> Option<DataFusionError> {
        let ours = Self::names();
        keys.filter_map(|key| {
            let name = key.strip_prefix(PREFIX).unwrap_or(key);
            let hint = did_you_mean(name, &ours);
            (!hint.is_empty()).then(|| config_datafusion_err!("there is no option '{name}'{hint}"))
        })
        .next()
    }

    /// Reads the options that are ours and leaves the others alone.
    ///
    /// # Errors
    /// When a value is not one that the option takes.
    pub fn try_from_map(options: &HashMap<String, String>) -> Result<Self> {
        let num_files = options
            .get(NUM_FILES)
            .map(|text| match text.trim().parse() {
                Ok(number @ 1..=MAX_NUM_FILES) => Ok(number),
                _ => config_err!(
                    "option 'num_files': expected a whole number from 1 to {MAX_NUM_FILES}, found \
                     '{text}'"
                ),
            })
            .transpose()?;
        Ok(Self {
            write_mode: read(options, WRITE_MODE)?,
            num_files,
            success_file: read_bool(options, SUCCESS_FILE)?,
            manifest: read_bool(options, MANIFEST)?,
            vectors: read(options, VECTORS)?,
        })
    }
}

fn read<T: FromStr<Err = String>>(
    options: &HashMap<String, String>,
    key: &str,
) -> Result<Option<T>> {
    let value = options.get(key).map(|text| text.parse()).transpose();
    value.map_err(|e| config_datafusion_err!("{e}"))
}

fn read_bool(options: &HashMap<String, String>, key: &str) -> Result<Option<bool>> {
    let Some(text) = options.get(key) else {
        return Ok(None);
    };
    match text.trim().to_ascii_lowercase().parse() {
        Ok(value) => Ok(Some(value)),
        Err(_) => config_err!(
            "option '{}': expected 'true' or 'false', found '{text}'",
            key.trim_start_matches(PREFIX)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &[(&str, &str)]) -> Result<WriteOptions> {
        let options = options
            .iter()
            .map(|(key, value)| (format!("format.{key}"), (*value).to_owned()))
            .collect();
        WriteOptions::try_from_map(&options)
    }

    #[test]
    fn values_are_read_whatever_their_case() {
        let options = read(&[
            ("write_mode", "Overwrite"),
            ("num_files", " 3"),
            ("success_file", "FALSE"),
            ("manifest", "true"),
            ("vectors", "Columns"),
            ("delimiter", ";"),
        ]);
        let expected = WriteOptions {
            write_mode: Some(WriteMode::Overwrite),
            num_files: Some(3),
            success_file: Some(false),
            manifest: Some(true),
            vectors: Some(Vectors::Columns),
        };
        assert_eq!(options.unwrap(), expected);
        assert_eq!(read(&[]).unwrap(), WriteOptions::default());
    }

    #[test]
    fn nonsense_is_refused_with_what_was_expected() {
        for (key, value, expected) in [
            (
                "write_mode",
                "replace",
                "expected 'append', 'overwrite' or 'error_if_exists', found 'replace'",
            ),
            (
                "vectors",
                "array",
                "'fixed_size_list' or 'columns', found 'array'",
            ),
            ("num_files", "0", "whole number from 1 to 1000, found '0'"),
            ("num_files", "many", "found 'many'"),
            (
                "success_file",
                "yes",
                "expected 'true' or 'false', found 'yes'",
            ),
        ] {
            let error = read(&[(key, value)]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn options_are_told_from_those_of_the_format() {
        assert!(WriteOptions::is_option("Write_Mode"));
        assert!(WriteOptions::is_option("format.num_files"));
        assert!(!WriteOptions::is_option("delimiter"));
    }
}
