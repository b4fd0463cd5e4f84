//! The options of a BINARYFILE table: names and meanings of Spark's, and two of our own.

use std::collections::HashMap;
use std::str::FromStr;

use arrow::array::timezone::Tz;
use arrow::compute::kernels::cast_utils::string_to_datetime;
use chrono::{DateTime, Utc};
use datafusion::common::{Result, config_datafusion_err, config_err};
use globset::{Glob, GlobBuilder, GlobMatcher};

use crate::object_stores::is_store_option;
use crate::suggest::did_you_mean;

const NAMES: [&str; 7] = [
    "pathGlobFilter",
    "recursiveFileLookup",
    "modifiedBefore",
    "modifiedAfter",
    "ignoreMissingFiles",
    "maxLength",
    "oversize",
];

/// What happens to an object longer than `maxLength`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Oversize {
    /// Reading its content fails the query.
    #[default]
    Error,
    /// The object is not a row of the table.
    Skip,
    /// Its `content` is NULL.
    Null,
}

impl FromStr for Oversize {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s.to_ascii_lowercase().as_str() {
            "error" => Ok(Self::Error),
            "skip" => Ok(Self::Skip),
            "null" => Ok(Self::Null),
            _ => Err("'error', 'skip' or 'null'".to_owned()),
        }
    }
}

/// Which objects below a location are rows, and what happens to unusual ones.
///
/// ```
/// use datafusion_featurize::BinaryFileOptions;
///
/// let options = BinaryFileOptions::default()
///     .with_path_glob_filter("*.{jpg,jpeg}")?
///     .with_recursive_file_lookup(true);
/// # Ok::<(), datafusion::error::DataFusionError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BinaryFileOptions {
    pub(super) path_glob_filter: Option<Glob>,
    pub(super) recursive_file_lookup: bool,
    pub(super) modified_before: Option<DateTime<Utc>>,
    pub(super) modified_after: Option<DateTime<Utc>>,
    pub(super) ignore_missing_files: bool,
    pub(super) max_length: Option<u64>,
    pub(super) oversize: Oversize,
}

impl BinaryFileOptions {
    /// Keeps the objects whose file name, without its folders, matches `glob`.
    ///
    /// # Errors
    /// When `glob` is not a glob (`*`, `?`, `[a-z]`, `{jpg,png}`).
    pub fn with_path_glob_filter(mut self, glob: &str) -> Result<Self> {
        self.path_glob_filter = Some(parse_glob(glob)?);
        Ok(self)
    }

    /// Reads every folder below the location; partition columns are not discovered then.
    pub fn with_recursive_file_lookup(mut self, recursive: bool) -> Self {
        self.recursive_file_lookup = recursive;
        self
    }

    /// Keeps the objects last modified before `time`.
    pub fn with_modified_before(mut self, time: DateTime<Utc>) -> Self {
        self.modified_before = Some(time);
        self
    }

    /// Keeps the objects last modified after `time`.
    pub fn with_modified_after(mut self, time: DateTime<Utc>) -> Self {
        self.modified_after = Some(time);
        self
    }

    /// Leaves out objects that were deleted after they were listed, instead of failing.
    pub fn with_ignore_missing_files(mut self, ignore: bool) -> Self {
        self.ignore_missing_files = ignore;
        self
    }

    /// Treats objects of more than `bytes` as `oversize` says.
    pub fn with_max_length(mut self, bytes: u64, oversize: Oversize) -> Self {
        self.max_length = Some(bytes);
        self.oversize = oversize;
        self
    }

    /// Reads the options of a `CREATE EXTERNAL TABLE`: camelCase or snake_case, in any letter
    /// case. Times without an offset are in `time_zone` (UTC when `None`).
    ///
    /// # Errors
    /// When a name is unknown or a value is not what the option takes; both are named.
    pub fn try_from_map(
        options: &HashMap<String, String>,
        time_zone: Option<&str>,
    ) -> Result<Self> {
        let mut parsed = Self::default();
        for (key, value) in options {
            if is_store_option(key) {
                continue;
            }
            // The SQL planner puts `format.` before a name without a namespace.
            let key = key.strip_prefix("format.").unwrap_or(key);
            parsed.set(key, value, time_zone)?;
        }
        if parsed.max_length.is_none() && parsed.oversize != Oversize::Error {
            return config_err!(
                "the option 'oversize' needs 'maxLength', the most bytes an object may have"
            );
        }
        Ok(parsed)
    }

    fn set(&mut self, key: &str, value: &str, time_zone: Option<&str>) -> Result<()> {
        // The SQL planner hands names over in small letters; messages have them as they are written.
        let name = canonical(key).unwrap_or(key);
        match name {
            "pathGlobFilter" => self.path_glob_filter = Some(parse_glob(value)?),
            "recursiveFileLookup" => self.recursive_file_lookup = boolean(name, value)?,
            "modifiedBefore" => self.modified_before = Some(time(name, value, time_zone)?),
            "modifiedAfter" => self.modified_after = Some(time(name, value, time_zone)?),
            "ignoreMissingFiles" => self.ignore_missing_files = boolean(name, value)?,
            "maxLength" => {
                self.max_length = Some(parse(name, value, "a whole number of bytes")?);
            }
            "oversize" => {
                self.oversize = parse(name, value, "'error', 'skip' or 'null'")?;
            }
            _ => {
                return config_err!(
                    "a BINARYFILE table has no option '{key}'{}; its options are {}",
                    did_you_mean(key, &NAMES),
                    NAMES.join(", ")
                );
            }
        }
        Ok(())
    }

    /// The matcher of file names, if they are filtered.
    pub(super) fn file_name_matcher(&self) -> Option<GlobMatcher> {
        self.path_glob_filter.as_ref().map(Glob::compile_matcher)
    }
}

/// The contract's spelling of an option name written in any accepted way.
fn canonical(key: &str) -> Option<&'static str> {
    let plain = key.replace('_', "");
    NAMES
        .into_iter()
        .find(|name| name.eq_ignore_ascii_case(&plain))
}

/// Compiles a glob in which `*` and `?` do not match `/`.
pub(super) fn parse_glob(glob: &str) -> Result<Glob> {
    GlobBuilder::new(glob)
        .literal_separator(true)
        .build()
        .map_err(|e| config_datafusion_err!("'{glob}' is not a glob: {}", e.kind()))
}

fn parse<T: FromStr>(key: &str, value: &str, expected: &str) -> Result<T> {
    value
        .trim()
        .parse()
        .map_err(|_| config_datafusion_err!("option '{key}': expected {expected}, found '{value}'"))
}

fn boolean(key: &str, value: &str) -> Result<bool> {
    parse(key, &value.to_ascii_lowercase(), "'true' or 'false'")
}

fn time(key: &str, value: &str, time_zone: Option<&str>) -> Result<DateTime<Utc>> {
    let zone = time_zone.unwrap_or("UTC");
    let zone: Tz = zone.parse().map_err(|_| {
        config_datafusion_err!("option '{key}': the session's time zone '{zone}' is unknown")
    })?;
    string_to_datetime(&zone, value.trim())
        .map(|time| time.to_utc())
        .map_err(|_| {
            config_datafusion_err!(
                "option '{key}': expected a time such as '2024-12-31T23:59:59', found '{value}'"
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(options: &[(&str, &str)]) -> Result<BinaryFileOptions> {
        let options = options
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        BinaryFileOptions::try_from_map(&options, None)
    }

    #[test]
    fn every_spelling_of_a_name_is_accepted() {
        let expected = BinaryFileOptions::default().with_recursive_file_lookup(true);
        for key in [
            "recursiveFileLookup",
            "recursive_file_lookup",
            "RECURSIVEFILELOOKUP",
            "format.recursivefilelookup",
            "format.recursive_file_lookup",
        ] {
            assert_eq!(parsed(&[(key, "TRUE")]).unwrap(), expected, "{key}");
        }
    }

    #[test]
    fn times_are_read_in_the_sessions_zone() {
        let options = HashMap::from([(
            "modifiedBefore".to_owned(),
            "2024-07-01T12:00:00".to_owned(),
        )]);
        for (zone, hour) in [(None, 12), (Some("+02:00"), 10)] {
            let parsed = BinaryFileOptions::try_from_map(&options, zone).unwrap();
            let expected = format!("2024-07-01T{hour}:00:00Z");
            assert_eq!(parsed.modified_before, Some(expected.parse().unwrap()));
        }
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        for (key, value, expected) in [
            ("pathGlobFilters", "*", "(did you mean 'pathGlobFilter'?)"),
            ("colour", "red", "has no option 'colour'; its options are"),
            ("pathGlobFilter", "[", "'[' is not a glob"),
            ("maxLength", "-1", "a whole number of bytes, found '-1'"),
            (
                "oversize",
                "maybe",
                "'error', 'skip' or 'null', found 'maybe'",
            ),
            (
                "recursiveFileLookup",
                "yes",
                "'true' or 'false', found 'yes'",
            ),
            (
                "modifiedAfter",
                "today",
                "such as '2024-12-31T23:59:59', found 'today'",
            ),
            ("oversize", "skip", "needs 'maxLength'"),
        ] {
            let error = parsed(&[(key, value)]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn credentials_are_no_options_of_the_table() {
        let options = parsed(&[("aws.secret_access_key", "hush")]).unwrap();
        assert!(!format!("{options:?}").contains("hush"));
    }
}
