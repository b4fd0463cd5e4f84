//! The nearest known name to a mistyped one.

use datafusion::common::utils::datafusion_strsim::levenshtein;

/// The name that most resembles a mistyped one, whatever the case of its letters, if one does.
pub fn nearest<'a>(mistyped: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mistyped = mistyped.to_ascii_lowercase();
    names
        .into_iter()
        .map(|name| (levenshtein(&mistyped, &name.to_ascii_lowercase()), name))
        .filter(|(distance, name)| *distance <= name.len().div_ceil(3))
        // Of several at the same distance always the same one.
        .min()
        .map(|(_, name)| name)
}

/// `" (did you mean 'model'?)"` for `modle`, or nothing when no name is near.
pub(crate) fn did_you_mean(found: &str, names: &[&str]) -> String {
    nearest(found, names.iter().copied())
        .map(|name| format!(" (did you mean '{name}'?)"))
        .unwrap_or_default()
}
