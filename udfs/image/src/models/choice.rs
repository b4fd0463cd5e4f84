//! Names among which arguments choose.

use datafusion_common::utils::datafusion_strsim::levenshtein;
use featurize_kernels::Pooling;

use crate::error::{Error, Result};

/// Parses the `pooling` argument.
///
/// # Errors
///
/// [`Error::Argument`] that lists the names and suggests the nearest.
pub fn parse_pooling(text: &str) -> Result<Pooling> {
    choose(
        "pooling",
        text,
        &Pooling::ALL.map(|each| (each.name(), each)),
        "",
    )
}

/// Finds `text` among `choices`, or says which they are, what `more` there is, and which is nearest.
pub(super) fn choose<T: Copy>(
    argument: &str,
    text: &str,
    choices: &[(&str, T)],
    more: &str,
) -> Result<T> {
    if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == text) {
        return Ok(*choice);
    }
    let names: Vec<String> = choices
        .iter()
        .map(|(name, _)| format!("'{name}'"))
        .collect();
    let nearest = choices
        .iter()
        .map(|(name, _)| (levenshtein(&text.to_lowercase(), name), name))
        .filter(|(distance, name)| *distance <= text.len().max(name.len()).div_ceil(2))
        .min()
        .map(|(_, name)| format!("; did you mean '{name}'?"))
        .unwrap_or_default();
    Err(Error::Argument(format!(
        "unknown {argument} '{text}', expected one of {}{}{nearest}",
        names.join(", "),
        more
    )))
}
