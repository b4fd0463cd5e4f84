//! Settings of the session, `featurize.…`.
//!
//! The extension that defines them belongs to a crate above this one, so they are read by name; one
//! that is not there has its default.

use datafusion_common::config::ConfigOptions;
use datafusion_common::{Result, config_datafusion_err};

const PREFIX: &str = "featurize";

/// Bytes that an accumulator of `pca_fit` may hold.
const MEMORY_LIMIT: &str = "pca_memory_limit";

/// The memory limit, unless it is left to its default.
pub(crate) fn memory_limit(options: &ConfigOptions) -> Result<Option<usize>> {
    let Some(text) = entry(options, MEMORY_LIMIT) else {
        return Ok(None);
    };
    match parse_bytes(&text) {
        Some(bytes) => Ok(Some(bytes)),
        None => Err(config_datafusion_err!(
            "{PREFIX}.{MEMORY_LIMIT} must be a number of bytes such as 1073741824, 512M or 2G, got '{text}'"
        )),
    }
}

fn entry(options: &ConfigOptions, key: &str) -> Option<String> {
    let (_, extension) = options
        .extensions
        .iter()
        .find(|(prefix, _)| *prefix == PREFIX)?;
    let entries = extension.entries();
    entries
        .into_iter()
        .find(|e| e.key.rsplit('.').next() == Some(key))?
        .value
}

/// A positive number of bytes, with a suffix K, M or G for powers of 1024.
pub(crate) fn parse_bytes(text: &str) -> Option<usize> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: usize = match text.get(digits.len()..)?.to_ascii_uppercase().as_str() {
        "" | "B" => 1,
        "K" | "KB" => 1 << 10,
        "M" | "MB" => 1 << 20,
        "G" | "GB" => 1 << 30,
        _ => return None,
    };
    let number: usize = digits.trim().parse().ok()?;
    number.checked_mul(unit).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes() {
        assert_eq!(parse_bytes("1024"), Some(1024));
        assert_eq!(parse_bytes(" 2G "), Some(2 << 30));
        assert_eq!(parse_bytes("512mb"), Some(512 << 20));
        for bad in ["", "0", "-1", "G", "1T", "1.5G", "99999999999999999999"] {
            assert_eq!(parse_bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn absent_settings_have_their_default() {
        assert_eq!(memory_limit(&ConfigOptions::default()).unwrap(), None);
    }
}
