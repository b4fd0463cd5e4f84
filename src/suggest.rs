//! The nearest known name to a mistyped one.

use datafusion::common::utils::datafusion_strsim::levenshtein;

/// `" (did you mean 'model'?)"` for `modle`, or nothing when no name is near.
pub(crate) fn did_you_mean(found: &str, names: &[&str]) -> String {
    let found = found.to_ascii_lowercase();
    names
        .iter()
        .map(|name| (levenshtein(&found, &name.to_ascii_lowercase()), name))
        .filter(|(distance, name)| *distance <= name.len().div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| format!(" (did you mean '{name}'?)"))
        .unwrap_or_default()
}
